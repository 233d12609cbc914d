"""GGUF files: unpacked once into an ordinary transformers folder, which loads in seconds.

transformers de-quantizes a GGUF file on every load, which takes a minute for half a billion
parameters, most of it spent on the tokenizer and the header.
"""

from __future__ import annotations

import copy
import functools
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from caa_nnsight.errors import ModelError
from caa_nnsight.models.cache import ModelCache, shown
from caa_nnsight.models.complaints import (
    explained_load_errors,
    first_line,
    loading_alone,
    require_all_weights,
)
from caa_nnsight.models.folder import causal_class
from caa_nnsight.models.packages import sha256_of
from caa_nnsight.progress import spinner

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAGIC = b"GGUF"
_DAMAGE = (ValueError, IndexError, KeyError, OSError, struct.error)
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


def unpacked(path: Path, cache: ModelCache) -> tuple[Path, str]:
    """The transformers folder made from the GGUF file at `path`, and the file's SHA-256.

    The folder is kept in `cache` under that digest: the same file is converted once, wherever it
    lies and whatever it is called.

    Raises:
        ModelError: the file is no GGUF file, is damaged or one piece of several, or its
            architecture can't be read.
    """
    check_gguf(path)
    digest = sha256_of(path)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem)[:60]
    key = f"gguf-{stem}-{digest[:12]}"
    if cache.record(key) is None:
        with cache.locked(key):
            if cache.record(key) is None:
                # De-quantized float32 takes at most 8 times a 4-bit file's bytes.
                cache.require_space(8 * path.stat().st_size, f"The unpacked model of {shown(path)}")
                convert(path, cache, key, source=f"gguf:{shown(path)}", digest=digest)
    return cache.folder(key), digest


def check_gguf(path: Path) -> None:
    """Raise ModelError unless `path` is a readable file that looks like one whole GGUF model."""
    try:
        with path.open("rb") as file:
            looks_right = file.read(len(MAGIC)) == MAGIC
    except FileNotFoundError:
        raise ModelError(f"There is no file {shown(path)}.") from None
    except OSError as error:
        raise ModelError(f"The file {shown(path)} can't be read ({error.strerror}).") from error
    if not looks_right:
        raise ModelError(
            f"{shown(path)} is not a GGUF file (it does not begin with the letters GGUF): pass "
            "one, or a folder that holds a config.json."
        )
    if _SHARD.search(path.name):
        raise ModelError(
            f"{shown(path)} is one piece of a GGUF model in several files: join them first with "
            "llama.cpp's gguf-split --merge."
        )


def convert(path: Path, cache: ModelCache, key: str, *, source: str, digest: str) -> None:
    """Unpack the GGUF file at `path` into the cache as `key`; call it while holding the lock.

    The folder holds float32 weights (tied embeddings stay tied), the config, the generation
    config and the tokenizer with its chat template.
    """
    import transformers

    facts = {"source": source, "sha256": digest, "transformers": transformers.__version__}
    step = spinner(f"Unpacking {path.name} (once; up to a minute or two)")
    with cache.making(key, **facts) as folder, step:
        module, tokenizer = _read(path)
        module.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _read(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from transformers import AutoConfig, AutoTokenizer, GgufConfig

    place, where = {"gguf_file": path.name}, shown(path)
    with (
        _explained_gguf_errors(where),
        explained_load_errors(where),
        loading_alone(),
        _one_quick_reading_of_the_header(),
    ):
        config = AutoConfig.from_pretrained(path.parent, **place)
        auto_class = causal_class(config, where)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **place)
        loaded, facts = auto_class.from_pretrained(
            path.parent,
            **place,
            config=config,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
        require_all_weights(facts, where)
        return _plain(loaded, auto_class), tokenizer


def _plain(loaded: PreTrainedModel, auto_class: type) -> PreTrainedModel:
    """The same weights in a model that knows nothing of GGUF: one from GGUF can't be saved."""
    import torch

    config = copy.deepcopy(loaded.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # Built without memory of its own, it takes over the loaded tensors.
    with torch.device("meta"):
        plain = auto_class.from_config(config, dtype=torch.float32)
    plain.load_state_dict(loaded.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = loaded.generation_config
    return plain


@contextmanager
def _one_quick_reading_of_the_header() -> Iterator[None]:
    """Let transformers' three looks at one file share one header, parsed three times as fast.

    gguf parses the header in Python, vocabulary and all: ten seconds for 150,000 tokens, each
    time, most of it spent on indexing numpy's memory map, whose slices are costlier than a plain
    array's. transformers looks the reader up at every use, so putting another in its place is
    enough; where a version does otherwise, loading is only slower.
    """
    import gguf
    import numpy as np

    original = gguf.GGUFReader

    class QuickReader(original):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "data" and isinstance(value, np.memmap):
                value = value.view(np.ndarray)  # the same mapped bytes
            super().__setattr__(name, value)

    gguf.GGUFReader = functools.lru_cache(maxsize=1)(QuickReader)
    try:
        yield
    finally:
        gguf.GGUFReader = original


@contextmanager
def _explained_gguf_errors(where: str) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        cause = str(error.__cause__)
        if "architecture" in cause and "supported" in cause:
            raise ModelError(
                f"The GGUF file {where} can't be used: {cause.strip().splitlines()[0]}"
            ) from error.__cause__
        if isinstance(error.__cause__, _DAMAGE):
            raise ModelError(
                f"The GGUF file {where} can't be read ({type(error.__cause__).__name__}: "
                f"{first_line(error.__cause__)}): get it again, for it may be incomplete or "
                "damaged, or else of a kind that transformers does not know."
            ) from error.__cause__
        raise
