"""Steering vectors in the files and objects of other tools, both ways."""

from caa_nnsight.exchange.steering_vector_objects import (
    from_steering_vector,
    to_steering_vector,
)
from caa_nnsight.exchange.transfer import export_vectors, import_vectors

__all__ = ["export_vectors", "from_steering_vector", "import_vectors", "to_steering_vector"]
