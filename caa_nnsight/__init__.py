"""Contrastive Activation Addition with nnsight: steer a language model and know whether it worked.

Everything public is importable from here; heavy libraries load when they are first needed.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

try:
    __version__ = version("caa_nnsight")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"

_HERE = Path(__file__).parent
if not (_HERE / "behaviors").is_dir():
    # A checkout, not an installed copy: the other two rooms stand beside this folder.
    __path__.append(str(_HERE.parent))

# Public name -> the module that holds it. The imports below say the same to type checkers.
_HOMES = {
    "Behavior": "behavior",
    "DataSource": "data_sources",
    "HubDataset": "sources",
    "ContrastPair": "pairs",
    "FreeFormPair": "free_pairs",
    "SystemPromptPair": "free_pairs",
    "balance_letters": "pairs",
    "behavior_names": "registry",
    "get_behavior": "registry",
    "load_behaviors": "registry",
    "register": "registry",
    "Model": "models",
    "load": "models",
    "RemoteSettings": "remote",
    "preflight": "remote",
    "Tracer": "tracer",
    "Edit": "steering",
    "Steering": "steering",
    "NO_STEERING": "steering",
    "SteeringVectors": "vectors",
    "VectorMeta": "vectors",
    "normalize_across": "vectors",
    "random_like": "vectors",
    "export_vectors": "exchange",
    "import_vectors": "exchange",
    "from_steering_vector": "exchange",
    "to_steering_vector": "exchange",
    "text_prompt": "prompts",
    "extract": "extraction",
    "read_pairs": "extraction",
    "finetune": "finetuning",
    "load_mmlu": "capabilities",
    "load_truthful_qa": "capabilities",
    "score": "sweep",
    "score_texts": "text_scores",
    "generate": "generation",
    "steered": "hooks",
    "bake": "exchange.baked",
    "Pushed": "hub.repositories",
    "Shards": "shards",
    "Lab": "lab",
    "LabSettings": "settings",
    "RunResult": "experiment",
    "RunSettings": "experiment",
    "run": "experiment",
    "StudyResult": "studies",
    "StudySettings": "studies",
    "study": "studies",
    "CAAError": "errors",
}

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from caa_nnsight.behavior import Behavior
    from caa_nnsight.capabilities import load_mmlu, load_truthful_qa
    from caa_nnsight.data_sources import DataSource
    from caa_nnsight.errors import CAAError
    from caa_nnsight.exchange import (
        export_vectors,
        from_steering_vector,
        import_vectors,
        to_steering_vector,
    )
    from caa_nnsight.exchange.baked import bake
    from caa_nnsight.experiment import RunResult, RunSettings, run
    from caa_nnsight.extraction import extract, read_pairs
    from caa_nnsight.finetuning import finetune
    from caa_nnsight.free_pairs import FreeFormPair, SystemPromptPair
    from caa_nnsight.generation import generate
    from caa_nnsight.hooks import steered
    from caa_nnsight.hub.repositories import Pushed
    from caa_nnsight.lab import Lab
    from caa_nnsight.models import Model, load
    from caa_nnsight.pairs import ContrastPair, balance_letters
    from caa_nnsight.prompts import text_prompt
    from caa_nnsight.registry import behavior_names, get_behavior, load_behaviors, register
    from caa_nnsight.remote import RemoteSettings, preflight
    from caa_nnsight.settings import LabSettings
    from caa_nnsight.shards import Shards
    from caa_nnsight.sources import HubDataset
    from caa_nnsight.steering import NO_STEERING, Edit, Steering
    from caa_nnsight.studies import StudyResult, StudySettings, study
    from caa_nnsight.sweep import score
    from caa_nnsight.text_scores import score_texts
    from caa_nnsight.tracer import Tracer
    from caa_nnsight.vectors import SteeringVectors, VectorMeta, normalize_across, random_like


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'caa_nnsight' has no attribute {name!r}")
    value = getattr(import_module(f"caa_nnsight.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
