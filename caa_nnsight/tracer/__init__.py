"""The tracer: the one room that speaks nnsight. Capture, score choices, generate."""

from caa_nnsight.tracer.before_nnsight import load_anyio_classes

load_anyio_classes()

from caa_nnsight.tracer.structure import configured_server, model_without_weights  # noqa: E402
from caa_nnsight.tracer.tracer import ChoiceLogprobs, Tracer  # noqa: E402

__all__ = ["ChoiceLogprobs", "Tracer", "configured_server", "model_without_weights"]
