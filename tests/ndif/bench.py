"""A small experiment on a server, run as a user would, to be disturbed and compared."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
import pytest

from caa_nnsight import load
from caa_nnsight.models import Model
from caa_nnsight.pairs import ContrastPair
from caa_nnsight.remote import Ledger
from caa_nnsight.vectors import SteeringVectors
from tests.cli.calling import Outcome as Called
from tests.cli.calling import caa
from tests.cli.places import N_HELD_OUT, N_PAIRS, lay_out
from tests.core.examples import PLACES, THINGS, made_up_pairs, write_pairs
from tests.ndif.proxy import Answer, Call, Proxy
from tests.ndif.server import NdifServer

MODEL = "test-org/tiny-llama"
RUN = (
    "run",
    "refusal",
    "--pairs=pairs.jsonl",
    "--held-out-pairs=held_out.jsonl",
    "--open-ended-prompts=prompts.jsonl",
    "--limit=24",
    "--layers=1-2",
    "--multipliers=-2,0,2",
    "--controls=2",
    "--open-ended=3",
    "--max-new-tokens=4",
    "--seed=3",
    "--remote",
)
FRAMES = ("results", "generations")
# Put before each question.
WORDS = 16


@dataclass(frozen=True)
class Bench:
    """A server and a folder with data; the runs' folders are made in it.

    Attributes:
        sizes: of all requests of the undisturbed run, bytes.
    """

    server: NdifServer
    place: Path
    sizes: list[int] = field(default_factory=list)

    @classmethod
    def over(cls, server: NdifServer, place: Path) -> Bench:
        """Write the data, and let the server load the model."""
        lay_out(place)
        write_pairs(place / "pairs.jsonl", [_longer(pair) for pair in made_up_pairs(N_PAIRS)])
        held_out = made_up_pairs(N_HELD_OUT, first=N_PAIRS)
        write_pairs(place / "held_out.jsonl", [_longer(pair) for pair in held_out])
        bench = cls(server, place)
        assert bench.undisturbed.is_dir()
        return bench

    @cached_property
    def undisturbed(self) -> Path:
        """The folder of a run that nothing befell."""
        with Proxy(self.server.host, self._measure) as proxy:
            called = self.run("undisturbed", f"--host={proxy.host}")
        assert called.code == 0, called.err
        return self.place / "undisturbed"

    def _measure(self, call: Call, forward: Callable[[], Answer]) -> Answer:
        self.sizes.append(call.size)
        return forward()

    def run(self, name: str, *words: str, model: str = MODEL) -> Called:
        """`caa run` on the server, in this process, without the figures of its report."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("caa_nnsight.analysis.write_report", lambda run: run / "report.html")
            return caa(*self.command(name, *words, model=model), folder=self.place)

    @staticmethod
    def command(name: str, *words: str, model: str = MODEL) -> tuple[str, ...]:
        return (*RUN, f"--model={model}", f"--out={name}", *words)

    def run_while(self, name: str, disturb: Callable[[], object], *words: str) -> Called:
        """`run`, and meanwhile the disturbance, whose own failure is raised."""
        with ThreadPoolExecutor(1) as pool:
            disturbance = pool.submit(disturb)
            called = self.run(name, *words)
            disturbance.result()
        return called

    @staticmethod
    def load() -> Model:
        """The model on the server."""
        with warnings.catch_warnings():
            # Server and client have different releases of transformers here.
            warnings.simplefilter("ignore", UserWarning)
            return load(MODEL, remote=True)

    def ledger(self, name: str) -> Ledger:
        return Ledger(self.place / name / "jobs.jsonl")

    def events(self, name: str) -> list[tuple[str, str]]:
        """(job, event) of a run's ledger, oldest first."""
        return [(record["job"], record["event"]) for record in self.ledger(name).records()]

    def traffic(self, name: str) -> dict[str, float]:
        return json.loads((self.place / name / "manifest.json").read_text())["traffic"]

    def difference(self, name: str) -> float:
        """The largest difference to the undisturbed run's numbers; texts and rows are the same."""
        return max(_differences(self.place / name, self.undisturbed))


def _longer(pair: ContrastPair) -> ContrastPair:
    """The pair behind some more words, so that a request takes several passes."""
    words = random.Random(pair.question).choices(THINGS + PLACES, k=WORDS)
    return replace(pair, question=f"Think of {', '.join(words)}. {pair.question}")


def _differences(found: Path, expected: Path) -> Iterator[float]:
    for name in FRAMES:
        ours, theirs = (pd.read_parquet(run / f"{name}.parquet") for run in (found, expected))
        numbers = theirs.select_dtypes("float").columns
        rest = theirs.columns.difference(numbers)
        pd.testing.assert_frame_equal(ours[rest], theirs[rest])
        pd.testing.assert_frame_equal(ours[numbers].isna(), theirs[numbers].isna())
        yield float((ours[numbers] - theirs[numbers]).abs().max().max()) if len(numbers) else 0.0
    ours, theirs = (SteeringVectors.load(run / "vectors.safetensors") for run in (found, expected))
    assert ours.layers == theirs.layers
    for layer in theirs.layers:
        yield float((ours[layer] - theirs[layer]).abs().max())
