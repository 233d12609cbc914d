"""repeng: logits of a row under a control vector, from a file or trained and exported here."""

import json
import sys
from importlib.metadata import version

import numpy as np
import torch
from repeng import ControlModel, ControlVector, DatasetEntry
from transformers import AutoModelForCausalLM, AutoTokenizer

request = json.loads(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained("model").eval()
if "train" in request:
    tokenizer = AutoTokenizer.from_pretrained("model")
    pairs = [DatasetEntry(*texts) for texts in request["train"]]
    vector = ControlVector.train(model, tokenizer, pairs)
    vector.export_gguf(request["file"])
else:
    vector = ControlVector.import_gguf(request["file"])
steered = ControlModel(model, list(vector.directions))
steered.set_control(vector, request["multiplier"])
with torch.no_grad():
    logits = steered(input_ids=torch.tensor([request["ids"]])).logits[0]
np.savez("answer.npz", logits=logits.numpy(), version=version("repeng"))
