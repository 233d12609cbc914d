"""steering-vectors: logits of a row under a vector of ours, or one trained here and taken over."""

import json
import sys
from importlib.metadata import version

import numpy as np
import torch
from steering_vectors import train_steering_vector
from transformers import AutoModelForCausalLM, AutoTokenizer

import caa_nnsight as caa

request = json.loads(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained("model").eval()
if "train" in request:
    tokenizer = AutoTokenizer.from_pretrained("model")
    theirs = train_steering_vector(model, tokenizer, [tuple(pair) for pair in request["train"]])
    caa.from_steering_vector(theirs, behavior="trained elsewhere").save(request["file"])
else:
    theirs = caa.to_steering_vector(caa.SteeringVectors.load(request["file"]))
with (
    torch.no_grad(),
    theirs.apply(model, multiplier=request["multiplier"], min_token_index=request["first"]),
):
    logits = model(input_ids=torch.tensor([request["ids"]])).logits[0]
np.savez("answer.npz", logits=logits.numpy(), version=version("steering-vectors"))
