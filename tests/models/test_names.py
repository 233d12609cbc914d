"""What `load` takes a name for, and what it says to names that lead nowhere."""

import pytest

from caa_nnsight.errors import ModelError
from caa_nnsight.models import ALIASES, DEFAULT_MODEL, load

CHOICES = (
    "pass an alias (qwen2.5-coder-0.5b, smollm2-135m), a model folder, a GGUF file or a Hub id "
    "such as 'org/name'."
)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", f"No model was named: {CHOICES}"),
        ("weather", f"Unknown model 'weather': {CHOICES}"),
        (
            "smollm-135m",
            f"Unknown model 'smollm-135m': {CHOICES} Did you mean 'smollm2-135m'?",
        ),
        (
            "qwen2.5-coder",
            f"Unknown model 'qwen2.5-coder': {CHOICES} Did you mean 'qwen2.5-coder-0.5b'?",
        ),
        ("/no/such/folder", "There is no folder or file /no/such/folder."),
        ("/no/such/file.gguf", "There is no file /no/such/file.gguf."),
        (
            "nobody/nothing",
            "Can't get the model 'nobody/nothing': the Hugging Face cache here has no whole copy, "
            "and the Hugging Face Hub is off (HF_HUB_OFFLINE); connect and try again, or pass a "
            "local model folder or GGUF file.",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_answered_with_what_to_pass(name, message):
    with pytest.raises(ModelError) as caught:
        load(name, device="cpu")
    assert str(caught.value) == message


def test_a_name_too_long_for_the_file_system_is_still_answered():
    with pytest.raises(ModelError, match="Unknown model"):
        load("x" * 5000, device="cpu")


def test_a_revision_of_something_local_is_refused(tmp_path):
    with pytest.raises(ModelError) as caught:
        load(tmp_path, revision="main", device="cpu")
    assert str(caught.value) == (
        f"The revision 'main' was given with {tmp_path}, but only models of the Hub have "
        "revisions: leave it out."
    )


def test_the_parts_of_every_alias_are_pinned():
    assert DEFAULT_MODEL in ALIASES
    for alias in ALIASES.values():
        assert alias.size < alias.disk_bytes
        assert len(alias.sha256) == 64
        for part in alias.packages:
            assert len(part.sha256) == 64
            assert part.member.split("/")[0] == part.package.replace("-", "_")
