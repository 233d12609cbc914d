"""Models: loaded by alias, folder, GGUF file or Hub id, with their decoder layers found.

Importing this loads neither torch nor transformers.
"""

from caa_nnsight.models.aliases import ALIASES, DEFAULT_MODEL, Alias
from caa_nnsight.models.loading import load
from caa_nnsight.models.model import Model

__all__ = ["ALIASES", "DEFAULT_MODEL", "Alias", "Model", "load"]
