"""A tiny random model in a folder, vectors for it, and the provider made on them."""

import asyncio

import pytest
import torch

from caa_nnsight.vectors import SteeringVectors
from tests.tiny_models import HIDDEN, tiny_model
from tests.tiny_tokenizers import tiny_tokenizer


@pytest.fixture(scope="session")
def inspect_ai():
    """Inspect, where it is installed."""
    return pytest.importorskip(
        "inspect_ai", reason="needs Inspect: pip install 'caa_nnsight[inspect]'"
    )


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model("llama").save_pretrained(folder)
    tiny_tokenizer("joined").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vectors():
    """Directions about half as long as the tiny model's hidden states, at two layers."""
    generator = torch.Generator().manual_seed(0)
    return SteeringVectors({layer: torch.randn(HIDDEN, generator=generator) for layer in (1, 2)})


@pytest.fixture(scope="session")
def vector_file(vectors, tmp_path_factory):
    return vectors.save(tmp_path_factory.mktemp("vectors") / "vectors.safetensors")


@pytest.fixture
def provider(inspect_ai, tiny_folder):
    """Makes a provider as Inspect does, on the tiny model."""
    from caa_nnsight.inspect_provider.provider import SteeredModel

    def make(**arguments):
        return SteeredModel(str(tiny_folder), **arguments)

    return make


@pytest.fixture
def ask(inspect_ai):
    """Asks a provider several things at the same time; texts or lists of messages."""
    from inspect_ai.model import ChatMessageUser, GenerateConfig

    def send(provider, *conversations, configs=None, **config):
        conversations = [
            [ChatMessageUser(content=each)] if isinstance(each, str) else each
            for each in conversations
        ]
        configs = configs or [GenerateConfig(**config)] * len(conversations)

        async def all_at_once():
            return await asyncio.gather(
                *(
                    provider.generate(messages, [], "auto", one)
                    for messages, one in zip(conversations, configs, strict=True)
                )
            )

        return [output for output, _ in asyncio.run(all_at_once())]

    return send
