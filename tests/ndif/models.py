"""The checkpoints that the server has: tiny random models of three families, and a real one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

TINY = {
    "test-org/tiny-llama": "llama",
    "test-org/tiny-gpt2": "gpt2",
    # Six tokens of attention: longer prompts can't be packed into one row.
    "test-org/tiny-mistral": "mistral-window-6",
}
REAL = {"HuggingFaceTB/SmolLM2-135M-Instruct": "smollm2-135m"}


def write_models(root: Path, names: Iterable[str] = tuple(TINY)) -> None:
    """Write the checkpoint of each name to `root`/<organization>/<name>/, if it isn't there."""
    for name in names:
        folder = root / name
        if folder.exists():
            continue
        folder.parent.mkdir(parents=True, exist_ok=True)
        if name in TINY:
            _write_tiny(TINY[name], folder)
        else:
            folder.symlink_to(_converted(REAL[name]))


def _write_tiny(family: str, folder: Path) -> None:
    from tests.tiny_models import tiny_model
    from tests.tiny_tokenizers import tiny_tokenizer

    tiny_model(family).save_pretrained(folder)
    tiny_tokenizer("joined", "system").save_pretrained(folder)


def _converted(alias: str) -> Path:
    """Find the folder of a model that our own loader makes where it isn't there yet."""
    import caa_nnsight

    return Path(caa_nnsight.load(alias, device="cpu", dtype="float32").module.name_or_path)
