"""Run what is sent as a server does, where this package can't be imported.

`python on_another_machine.py MODEL BLOB...` runs each blob against the model in that folder and
writes what it saved beside it, as BLOB.saved.
"""

import sys
from pathlib import Path

import torch
from nnsight.modeling.transformers import TransformersModel
from nnsight.schema.request import RequestModel
from nnsight.tracing.tracer import _saves, dec, inc


def run(lm: TransformersModel, blob: bytes) -> dict:
    """What a blob's block saves, by name."""
    tracer = RequestModel.deserialize(blob, lm._remoteable_persistent_objects(), compress=True)
    inc()
    try:
        tracer.execute(tracer.info.code)
        saved = _saves()
        return {name: x for name, x in tracer.info.frame.f_locals.items() if id(x) in saved}
    finally:
        dec()


if __name__ == "__main__":
    for name in ("caa_nnsight", "tests"):
        sys.modules[name] = None  # an import of it is an error from here on
    folder, *blobs = sys.argv[1:]
    model = TransformersModel(folder, task="text-generation", dispatch=True, dtype="float32")
    for name in blobs:
        torch.save(run(model, Path(name).read_bytes()), f"{name}.saved")
