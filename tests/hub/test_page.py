"""What docs/hub.md shows runs, with a Hub of our own in place of the real one."""

import pytest

from tests.cli.calling import caa
from tests.docs.pages import blocks, run_python
from tests.docs.shell import lines
from tests.hub.local_hub import OWNER
from tests.hub.made_up import run_of, vectors
from tests.packaging.project import ROOT

PAGE = ROOT / "docs" / "hub.md"


@pytest.mark.slow
def test_what_the_page_shows_runs(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_of(tmp_path / "runs" / "refusal", vectors())
    namespace = {}
    ran = 0
    for block in blocks(PAGE):
        text = block.text.replace("you/", f"{OWNER}/")
        if block.language == "python":
            run_python(PAGE, text, block.line, namespace)
        for words in lines(block) if block.language == "sh" else ():
            words = [word.replace("you/", f"{OWNER}/") for word in words]
            # What needs a model is run in test_push_cli.
            if words[1] in ("push", "behaviors"):
                done = caa(*words[1:])
                assert done.code == 0, done.err
                ran += 1
    assert ran == 3
