"""What transformers complains of while it loads, as one sentence; its chatter, held back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from caa_nnsight.errors import CAAError, ModelError

if TYPE_CHECKING:
    import torch

_loading = threading.RLock()


@contextmanager
def explained_load_errors(where: str, device: torch.device | None = None) -> Iterator[None]:
    """Turn what transformers raises on a model it can't load into a ModelError of one sentence."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except ModelError:
        raise
    except SafetensorError as error:
        raise ModelError(
            f"The weights in {where} can't be read ({first_line(error)}): the file is incomplete "
            "or damaged, so get it again."
        ) from error
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"The model in {where} does not fit into the memory of {device}: pass a smaller dtype "
            "(dtype='bfloat16') or device='cpu'."
        ) from error
    except Exception as error:
        text = str(error)
        if "trust_remote_code" in text:
            raise ModelError(
                f"The model in {where} brings Python code of its own: read it, and if you trust "
                "it, pass trust_remote_code=True."
            ) from error
        if "does not recognize this architecture" in text:
            raise ModelError(
                f"The architecture of the model in {where} is unknown to transformers "
                f"{_transformers_version()}: upgrade transformers."
            ) from error
        if "ignore_mismatched_sizes" in text:
            raise ModelError(
                f"The weights in {where} do not have the sizes that its config.json gives: the two "
                "are not of the same model."
            ) from error
        if "attn_implementation" in text or "attention implementation" in text.lower():
            raise ModelError(
                f"The attn_implementation is not usable for the model in {where} "
                f"({first_line(error)}): pass eager or sdpa, or leave it out."
            ) from error
        raise ModelError(
            f"The model in {where} can't be loaded ({type(error).__name__}: {first_line(error)})."
        ) from error


def require_all_weights(facts: dict, where: str) -> None:
    """Raise ModelError where `from_pretrained` made up weights that it did not find.

    `facts` is its `output_loading_info`. transformers itself only warns, and goes on with random
    numbers.
    """
    if missing := sorted(facts["missing_keys"]):
        raise ModelError(
            f"The weights in {where} lack {len(missing)} of the model's tensors, such as "
            f"{missing[0]}: they are incomplete, or were saved without the language-model head."
        )


@contextmanager
def loading_alone() -> Iterator[None]:
    """Let no other thread of ours load a model meanwhile.

    While transformers loads it puts functions of its own in the place of its classes' methods. Two
    threads at once would put back each other's, and from then on no model of the process would tie
    its weights.
    """
    with _loading:
        yield


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Switch transformers' progress bars off meanwhile: loading from disk takes seconds."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def as_phrase(error: CAAError) -> str:
    """An error's sentence as a part of a longer one."""
    text = str(error).removesuffix(".")
    return f"the {text.removeprefix('The ')}" if text.startswith("The ") else text


def first_line(error: BaseException) -> str:
    """The first line of an error's text, cut to a length that fits into a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _transformers_version() -> str:
    import transformers

    return transformers.__version__
