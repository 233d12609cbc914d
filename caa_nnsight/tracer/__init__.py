"""The tracer: the one room that speaks nnsight. Capture, score choices, generate."""

from caa_nnsight.tracer.structure import configured_server, model_without_weights
from caa_nnsight.tracer.tracer import ChoiceLogprobs, Tracer

__all__ = ["ChoiceLogprobs", "Tracer", "configured_server", "model_without_weights"]
