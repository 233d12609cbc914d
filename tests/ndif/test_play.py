"""`caa play --remote` against a real server, which dies and comes back."""

from __future__ import annotations

import pytest

import caa_nnsight as caa
from tests.ndif.server import NdifServer
from tests.play.browser import BROWSER, Tab, chromium, served
from tests.play.places import vectors_of_length
from tests.tiny_models import tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

pytest.importorskip("nicegui")
pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.ndif,
    pytest.mark.servers,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: the page was NOT looked at"),
]

MODEL = "test-org/tiny-llama"
PROMPT = "What of the hills?"


def test_a_killed_server_is_one_sentence_and_the_page_lives_on(ndif_installed, tmp_path):
    vectors = vectors_of_length(6.0)
    vectors.save(tmp_path / "mine.safetensors")
    here = caa.Model.wrap(tiny_model("llama"), tiny_tokenizer("joined"))
    settings = {"layers": [2], "multipliers": [0, 1], "max_new_tokens": 40}
    known = caa.generate(here, [PROMPT], vectors, **settings)["text"].tolist()
    words = ("mine.safetensors", "--remote", f"--model={MODEL}", "--remote-timeout=60")
    with (
        NdifServer(models=[MODEL]) as server,
        served(tmp_path, *words, **server.environment) as page,
        chromium() as browser,
    ):
        tab = Tab(browser, page.url)
        tab.ask(PROMPT, Longest_answer="40")
        tab.wait_until_done()
        assert tab.answers == known
        tab.open("Tokens along the vector")
        tab.page.locator(".shaded span").first.wait_for()
        tab.open("Tokens along the vector")

        server.kill("api")
        tab.button("Answer").click()
        tab.wait_until("status.includes('Trying again')")
        tab.button("Stop").click()
        tab.wait_until("status.startsWith('Stopped')")
        assert tab.complaint == ""
        tab.button("Answer").click()
        tab.wait_until("complaint")
        print(tab.complaint)
        assert server.host in tab.complaint
        assert tab.button("Answer").is_enabled()

        server.restart("api")
        tab.button("Answer").click()
        tab.wait_until("status.startsWith('Done')")
        assert tab.complaint == ""
        assert tab.answers == known
        assert page.process.poll() is None
        assert "Traceback" not in "".join(page.lines)
