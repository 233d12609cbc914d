"""What an extraction and a sweep cost on an NDIF server: packed into few requests, and naively.

The naive way is what one writes first: one remote trace per prompt and setting. It is measured on
a sample, in the same run, and scaled up by the number of its traces.

    python benchmarks/remote.py --host http://127.0.0.1:8001 --model smollm2-135m

`python -m tests.ndif` starts a server on this machine.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass

import nnsight
import torch
from nnsight.intervention.backends.remote import RemoteBackend

import caa_nnsight as caa
from caa_nnsight.pairs import balance_letters
from caa_nnsight.prompts import choice_prompt
from caa_nnsight.readings import readings

MULTIPLIERS = (-2.0, -1.0, 0.0, 1.0, 2.0)


@dataclass
class Cost:
    """What a piece of work cost."""

    requests: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: float = 0.0

    def times(self, factor: float) -> Cost:
        return Cost(
            round(self.requests * factor),
            round(self.bytes_up * factor),
            round(self.bytes_down * factor),
            self.seconds * factor,
        )


class CountingBackend(RemoteBackend):
    """nnsight's own way to a server, with the bytes of requests and results counted."""

    def __init__(self, cost: Cost, *arguments, **settings) -> None:
        super().__init__(*arguments, **settings)
        self.display.enabled = False
        self.cost = cost

    def _serialize(self, tracer):
        blob = super()._serialize(tracer)
        self.cost.requests += 1
        self.cost.bytes_up += len(blob)
        return blob

    def finalize(self, content):
        self.cost.bytes_down += len(content)
        return super().finalize(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", help="the server; else NDIF_HOST")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--behavior", default="refusal")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--items", type=int, default=50)
    parser.add_argument("--sample", type=int, default=40, help="naive traces to measure")
    parser.add_argument("--json", help="write the figures here too")
    options = parser.parse_args()

    model = caa.load(options.model, remote=True, host=options.host)
    behavior = caa.get_behavior(options.behavior)
    split = behavior.split(seed=0, generation=options.pairs, held_out=options.items)
    pairs = balance_letters(split.generation, "stratify", 0)
    layers = range(model.num_layers)
    # The first request loads the model on the server, and belongs to nobody.
    print(f"{options.model}: {model.dtype}, {model.num_layers} layers")

    rows = []
    cost, vectors = measured(model, lambda: caa.extract(model, pairs, balance="none"))
    sample, per_trace = naive_captures(model, pairs, options.sample)
    rows.append((f"extraction, {len(pairs)} pairs", cost, per_trace.times(2 * len(pairs) / sample)))

    again, _ = measured(model, lambda: caa.extract(model, pairs[: len(pairs) // 4], balance="none"))
    rows.append((f"extraction, {len(pairs) // 4} pairs", again, None))

    cost, _ = measured(
        model, lambda: caa.score(model, split.held_out, vectors, multipliers=MULTIPLIERS)
    )
    settings = len(layers) * (len(MULTIPLIERS) - 1) + 1
    traces = 2 * len(split.held_out) * settings
    sample, per_trace = naive_scores(model, split.held_out, vectors, options.sample)
    name = f"sweep, {len(layers)} layers × {len(MULTIPLIERS)} × {len(split.held_out)} items"
    rows.append((name, cost, per_trace.times(traces / sample)))

    print_table(rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                [(name, vars(ours), naive and vars(naive)) for name, ours, naive in rows], file
            )


def measured(model: caa.Model, work):
    """What `work` costs, and what it gives."""
    before = model.remote.jobs.traffic.as_dict()
    began = time.perf_counter()
    value = work()
    seconds = time.perf_counter() - began
    after = model.remote.jobs.traffic.as_dict()
    grown = {name: after[name] - before[name] for name in ("requests", "bytes_up", "bytes_down")}
    return Cost(**grown, seconds=seconds), value


def naive_captures(model: caa.Model, pairs, sample: int) -> tuple[int, Cost]:
    """One trace per completion, which brings its activations of all layers."""
    cost = Cost()
    sides = [side for pair in pairs for side in readings(model.tokenizer, pair)][:sample]
    began = time.perf_counter()
    for side in sides:
        read_last(model, torch.tensor([side.ids]), cost)
    cost.seconds = time.perf_counter() - began
    return len(sides), cost


def naive_scores(model: caa.Model, items, vectors, sample: int) -> tuple[int, Cost]:
    """One trace per prompt and setting, which brings the next token's logits."""
    cost = Cost()
    settings = [(layer, m) for layer in vectors.layers for m in MULTIPLIERS if m]
    began = time.perf_counter()
    for number in range(sample):
        prompt = choice_prompt(model.tokenizer, items[number % len(items)])
        layer, multiplier = settings[number % len(settings)]
        change = multiplier * vectors[layer]
        ids = torch.tensor([prompt.ids])
        next_token(model, ids, layer, prompt.prompt_length - 1, change, cost).log_softmax(-1)
    cost.seconds = time.perf_counter() - began
    return sample, cost


# Functions of their own: a trace ships whatever its frame holds under the names that it reads.
# And clones: a view would bring the whole tensor that it is of.
def read_last(model: caa.Model, ids: torch.Tensor, cost: Cost) -> list[torch.Tensor]:
    lm, layers, count = model.remote.lm, model.tracer.layers, model.num_layers
    backend = CountingBackend(cost, lm.to_model_key(), host=model.remote.host)
    with torch.no_grad(), lm.trace(input_ids=ids, backend=backend):
        kept = nnsight.save([])
        for layer in range(count):
            kept.append(layers[layer].output[0, -1].clone().cpu())
    return kept


def next_token(
    model: caa.Model, ids: torch.Tensor, layer: int, start: int, change: torch.Tensor, cost: Cost
) -> torch.Tensor:
    lm, layers = model.remote.lm, model.tracer.layers
    backend = CountingBackend(cost, lm.to_model_key(), host=model.remote.host)
    with torch.no_grad(), lm.trace(input_ids=ids, backend=backend):
        layers[layer].output[:, start:] += change
        logits = nnsight.save(lm.lm_head.output[0, -1].clone().cpu())
    return logits


def print_table(rows) -> None:
    print("\n| work | way | requests | up | down | seconds |")
    print("|---|---|---|---|---|---|")
    for name, ours, naive in rows:
        for way, cost in (("packed", ours), ("one trace each", naive)):
            if cost:
                print(
                    f"| {name} | {way} | {cost.requests} | {size(cost.bytes_up)} | "
                    f"{size(cost.bytes_down)} | {cost.seconds:.1f} |"
                )


def size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


if __name__ == "__main__":
    main()
