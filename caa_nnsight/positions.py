"""Where the tokens of a forward pass stand in their sequences, seen from outside the model.

A cached step holds one token, so what is steered can't be read off the pass alone. A `Watch` sits
on a transformers model while it is steered: a hook before its decoder notes how much is in the
cache, and `generate` is wrapped, because only its caller knows where the prompt ends when there is
no cache or when the prompt comes in pieces.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from caa_nnsight.errors import ModelError, SteeringError

if TYPE_CHECKING:
    import torch
    from torch import nn

# What decoders call the cache of what came before: attention's, and recurrent layers'.
CACHES = ("past_key_values", "cache_params")
# One row holds several sequences, told apart by where each begins.
SEVERAL_IN_A_ROW = ("cu_seq_lens_q", "cu_seqlens", "block_table")


@dataclass(frozen=True)
class Prompt:
    """A batch of prompts, in columns of the padded batch.

    Attributes:
        length: columns, padding included.
        spans: the column of each row's first token and that behind its last; None where nothing
            is padded.
    """

    length: int
    spans: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class Pass:
    """One forward pass.

    Attributes:
        past: columns that came before it.
        columns, rows: of this pass.
        prompt: where the sequences' prompts end.
        repeats: how many rows stand for one of the batch: beams, or several answers to a prompt.
        packed: whether its rows hold several sequences each.
        doubt: why the end of the prompt can't be known; empty where it can.
    """

    past: int
    columns: int
    rows: int
    prompt: Prompt
    repeats: int
    packed: bool = False
    doubt: str = ""


@dataclass
class _Call:
    """One call of `generate`.

    Attributes:
        tokens: `[rows, columns]` ids, or `[rows, columns, hidden]` embeddings, that it was given.
        length: columns of the prompt, with what a given cache holds.
        mask: `[rows, columns]`, if it was given one.
        prompt: set by its first pass.
        cacheless: whether that pass had no cache.
    """

    tokens: torch.Tensor
    length: int
    mask: torch.Tensor | None
    prompt: Prompt | None = None
    cacheless: bool = False


class Watch:
    """Watches the passes of one model for everything that steers it; see `watching`.

    What it knows of a running pass or call belongs to the thread that runs it.
    """

    def __init__(self, module: nn.Module, layers_path: str) -> None:
        self.module = module
        self.users = 0
        self.blocks = module.get_submodule(layers_path)
        self._decoder = module.get_submodule(layers_path.rpartition(".")[0])
        # Of the class, without self: on an object that nnsight has traced stands a function of its.
        self._names = tuple(inspect.signature(type(self._decoder).forward).parameters)[1:]
        # Prompts by the cache of their sequences; recurrent caches don't tell their length.
        self._prompts: WeakKeyDictionary[Any, Prompt] = WeakKeyDictionary()
        self._counts: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._local = threading.local()
        self._handles: list[Any] = []
        self._own_generate: Any = None

    def current(self) -> Pass:
        """The pass that runs in this thread.

        Raises:
            SteeringError: none does.
        """
        found = getattr(self._local, "running", None)
        if found is None:
            raise SteeringError(
                f"A decoder block of {type(self.module).__name__} ran outside of the model's own "
                "forward pass, where its tokens' positions aren't known: call the model, or leave "
                "caa.steered first."
            )
        return found

    # -- coming and going ------------------------------------------------------------------

    def install(self) -> None:
        """Put the hooks and the wrapper in place."""
        self._handles = [
            self._decoder.register_forward_pre_hook(self._before, with_kwargs=True),
            self._decoder.register_forward_hook(self._after, always_call=True),
        ]
        if hasattr(self.module, "generate"):
            # An object's own `generate` hides its class's; most have none.
            self._own_generate = vars(self.module).get("generate")
            self.module.generate = self._wrapped(self.module.generate)

    def remove(self) -> None:
        """Leave the model as it was."""
        for handle in self._handles:
            handle.remove()
        if hasattr(self.module, "generate"):
            del self.module.generate
            if self._own_generate is not None:
                self.module.generate = self._own_generate

    def _wrapped(self, generate):
        @functools.wraps(generate)
        def watched(*args, **kwargs):
            with self._calling(_call(args, kwargs)):
                return generate(*args, **kwargs)

        return watched

    @contextmanager
    def _calling(self, call: _Call | None) -> Iterator[None]:
        outer = getattr(self._local, "call", None)
        if call and outer and _continues(call.tokens, outer.tokens):
            # A model that drafts its own tokens calls itself with what it has written so far.
            call.length, call.mask = outer.length, outer.mask
        self._local.call, self._local.previous = call, None
        try:
            yield
        finally:
            self._local.call = outer

    # -- one pass --------------------------------------------------------------------------

    def _before(self, _decoder, args: tuple, kwargs: Mapping[str, Any]) -> None:
        given = dict(zip(self._names, args, strict=False)) | dict(kwargs)
        tokens = given.get("input_ids")
        tokens = given.get("inputs_embeds") if tokens is None else tokens
        if tokens is None:
            return  # the model will say so
        rows, columns = tokens.shape[:2]
        cache = next((given[name] for name in CACHES if given.get(name) is not None), None)
        past = self._length_of(cache)
        call: _Call | None = getattr(self._local, "call", None)
        repeats = max(1, rows // call.tokens.shape[0]) if call else 1
        doubt = ""
        prompt = self._known(cache, past, call)
        if prompt is None:
            mask = given.get("attention_mask")
            if call is not None and call.prompt is None:
                if call.mask is not None:
                    mask = call.mask.repeat_interleave(repeats, 0)
                prompt = call.prompt = _prompt(call.length, mask)
                call.cacheless = cache is None
            else:
                prompt = _prompt(past + columns, mask)
                if call is None:
                    doubt = self._doubt(tokens, mask)
                    self._local.previous = tokens
        elif past:
            self._local.previous = None
        if past + columns < prompt.length and cache is None:
            raise ModelError(
                f"A pass of {columns} tokens came without a cache where the prompt has "
                f"{prompt.length}, so that caa.steered can't tell their positions: steer "
                f"{type(self.module).__name__} with caa.generate."
            )
        if cache is not None:
            self._prompts[cache] = prompt
            self._counts[cache] = past + columns
        packed = any(given.get(name) is not None for name in SEVERAL_IN_A_ROW) or (
            given.get("attention_mask") is None and _restarts(given.get("position_ids"))
        )
        self._local.running = Pass(past, columns, rows, prompt, repeats, packed, doubt)

    def _after(self, _decoder, _args, output) -> None:
        running, self._local.running = getattr(self._local, "running", None), None
        if running is None or output is None:
            return
        made = [getattr(output, name, None) for name in CACHES]
        if isinstance(output, tuple):
            made += [part for part in output if hasattr(part, "get_seq_length")]
        for cache in made:
            if cache is not None:
                self._prompts[cache] = running.prompt
                self._counts[cache] = running.past + running.columns

    def _known(self, cache: Any, past: int, call: _Call | None) -> Prompt | None:
        """The prompt that this pass belongs to; None where it begins one."""
        if call is not None and call.prompt is None:
            return None
        if cache is None:
            return call.prompt if call is not None and call.cacheless else None
        return self._prompts.get(cache) if past else None

    def _length_of(self, cache: Any) -> int:
        if cache is None:
            return 0
        if not hasattr(cache, "get_seq_length"):
            raise ModelError(
                f"A cache of the type {type(cache).__name__} doesn't say how many tokens it holds: "
                "pass one of transformers' Cache classes, such as DynamicCache()."
            )
        try:
            return int(cache.get_seq_length())
        except ValueError:  # recurrent layers only
            return self._counts.get(cache, 0) if cache.has_previous_state() else 0

    def _doubt(self, tokens: torch.Tensor, mask: Any) -> str:
        if mask is not None and getattr(mask, "ndim", 0) != 2:
            return "a pass comes with a mask of its own making"
        previous = getattr(self._local, "previous", None)
        if previous is not None and _continues(tokens, previous):
            return "a pass repeats the last one's tokens and goes on, without a cache"
        return ""


_watches: dict[tuple[nn.Module, str], Watch] = {}
_lock = threading.Lock()
# The compiler's stance while any model is watched: compiled code doesn't look for new hooks. It is
# one for the process, so that the first watch takes it and the last one gives it back.
_uncompiled: Any = None


@contextmanager
def watching(module: nn.Module, layers_path: str) -> Iterator[Watch]:
    """The model's one watch, shared by all that steer it at the time.

    Nothing in the process runs compiled meanwhile.
    """
    global _uncompiled
    import torch

    with _lock:
        watch = _watches.get((module, layers_path))
        if watch is None:
            watch = Watch(module, layers_path)
            if not _watches:
                _uncompiled = torch.compiler.set_stance("force_eager")
            _watches[module, layers_path] = watch
            watch.install()
        watch.users += 1
    try:
        yield watch
    finally:
        with _lock:
            watch.users -= 1
            if not watch.users:
                del _watches[module, layers_path]
                watch.remove()
            if not _watches:
                _uncompiled.__exit__(None, None, None)


def is_watched(blocks: nn.Module) -> bool:
    """Whether these decoder blocks are those of a model that `caa.steered` steers now."""
    with _lock:
        return any(watch.blocks is blocks for watch in _watches.values())


def _call(args: tuple, kwargs: Mapping[str, Any]) -> _Call | None:
    """What `generate` was called with; None where that doesn't tell the prompt's length."""
    named = [kwargs.get(name) for name in ("inputs_embeds", "inputs", "input_ids")]
    tokens = next((each for each in (*named, *args[:1]) if each is not None), None)
    if getattr(tokens, "ndim", 0) < 2:
        return None
    mask = kwargs.get("attention_mask")
    mask = mask if getattr(mask, "ndim", 0) == 2 else None
    # Behind a cache that was filled before, the tokens may be the new ones alone; masks are whole.
    return _Call(tokens, (tokens if mask is None else mask).shape[1], mask)


def _restarts(positions: Any) -> bool:
    """Whether positions, `[rows, columns]`, begin anew within a row, as those of packed rows do."""
    if getattr(positions, "ndim", 0) != 2 or positions.shape[1] == 1:
        return False
    return bool((positions.diff(dim=1) <= 0).any())


def _continues(tokens: torch.Tensor, earlier: torch.Tensor) -> bool:
    """Whether these rows begin with all of the earlier ones."""
    import torch

    length = earlier.shape[1]
    return (
        tokens.shape[1] > length
        and tokens.dtype == earlier.dtype
        and torch.equal(tokens[:, :length], earlier.to(tokens.device))
    )


def _prompt(length: int, mask: Any) -> Prompt:
    if getattr(mask, "ndim", 0) != 2:
        return Prompt(length)
    seen = mask[:, :length].bool()
    if bool(seen.all()):
        return Prompt(length)
    # Of the first piece of a prompt, the mask is no longer than that piece.
    missing = length - seen.shape[1]
    firsts = seen.int().argmax(1).tolist()
    behind = [seen.shape[1] - back for back in seen.flip(1).int().argmax(1).tolist()]
    ends = [length] * len(firsts) if missing else behind
    return Prompt(length, tuple(zip(firsts, ends, strict=True)))
