"""What goes wrong on the way to the Hub and back is one sentence, and never shows a token."""

import logging
import threading
import time
import traceback

import pytest
from huggingface_hub import constants

from caa_nnsight.errors import CAAError, HubError
from caa_nnsight.hub import asking, repositories
from caa_nnsight.vectors import SteeringVectors
from tests.analysis.fake_run import LAYER
from tests.hub.local_hub import READER, STRANGER, WRITER, Fault
from tests.hub.made_up import REPO, vectors

MAY_READ = "set HF_TOKEN to a token that may read it."
MAY_WRITE = "set HF_TOKEN to a token that may write it."


def read():
    return SteeringVectors.from_pretrained(REPO)


def push(**options):
    return vectors().push_to_hub(REPO, **options)


def private(hub):
    vectors().push_to_hub(REPO, private=True)


def public(hub):
    vectors().push_to_hub(REPO)


def nothing(hub):
    pass


def model(hub):
    hub.make("models", REPO, {"config.json": b"{}", "model.safetensors": b"0", "README.md": b"#"})


def empty(hub):
    hub.make("models", REPO, {})


def failing(where, what):
    def prepare(hub):
        public(hub)
        hub.faults.append(Fault(where, what))

    return prepare


NO_SUCH = (
    f"The Hugging Face Hub has no model {REPO}, or it is private: check the spelling, or {MAY_READ}"
)
REFUSED = f"The token may not do this to {REPO} on the Hugging Face Hub: {MAY_WRITE}"
NOT_OURS = (
    f"{REPO} on the Hugging Face Hub holds no steering vectors of caa_nnsight, as there is no "
    "vectors.safetensors ({}): give another name."
)
MEANWHILE = (
    f"{REPO} was made or changed on the Hugging Face Hub by somebody else meanwhile, or the token "
    f"can't see it: try again, or {MAY_WRITE}"
)


@pytest.mark.parametrize(
    ("prepare", "token", "act", "sentence"),
    [
        (nothing, WRITER, read, NO_SUCH),
        (private, None, read, NO_SUCH),
        (private, STRANGER, read, NO_SUCH),
        (
            private,
            "hf_wrongwrong",
            read,
            f"The Hugging Face Hub doesn't accept the token for {REPO}: {MAY_READ}",
        ),
        (
            public,
            WRITER,
            lambda: SteeringVectors.load(f"hf:{REPO}@v9"),
            f"{REPO} has no revision 'v9' on the Hugging Face Hub.",
        ),
        (model, WRITER, read, NOT_OURS.format("it has config.json, model.safetensors")),
        (empty, WRITER, read, NOT_OURS.format("it is empty")),
        (
            model,
            WRITER,
            push,
            NOT_OURS.format("it has config.json, model.safetensors") + " Nothing was changed.",
        ),
        (
            nothing,
            None,
            push,
            f"The Hugging Face Hub doesn't accept the token for {REPO}: {MAY_WRITE}",
        ),
        (
            nothing,
            "hf_wrongwrong",
            push,
            f"The Hugging Face Hub doesn't accept the token for {REPO}: {MAY_WRITE}",
        ),
        (nothing, READER, push, REFUSED),
        (public, READER, lambda: vectors(seed=8).push_to_hub(REPO), REFUSED),
        (
            public,
            WRITER,
            lambda: push(private=True),
            f"{REPO} is a public repository already, so what is pushed there isn't private: make "
            "it private on its page, or give another name.",
        ),
        (
            nothing,
            WRITER,
            lambda: push(revision="0" * 40),
            f"{'0' * 40} is a commit of {REPO}, and a push makes a new one: give a branch, or "
            "none.",
        ),
        (failing("GET /api/models/", 503), WRITER, read, "answered 503"),
        (failing("resolve", 500), WRITER, read, "answered 500"),
        (failing("GET /api/models/", "disconnect"), WRITER, push, "can't be reached from here"),
        (failing("POST .*/commit/", 500), WRITER, push, "answered 500"),
        (failing("POST .*/commit/", 412), WRITER, push, MEANWHILE),
        (failing("POST .*/commit/", "disconnect"), WRITER, push, "can't be reached from here"),
        (failing("PUT /large/", 403), WRITER, push, REFUSED),
        (
            failing("POST .*/commit/", 400),
            WRITER,
            push,
            f"The Hugging Face Hub refuses this for {REPO} (400: Something is wrong).",
        ),
        (failing("POST .*/commit/", 429), WRITER, push, "answered 429 for"),
    ],
)
def test_what_the_hub_refuses_is_told_in_one_sentence(
    hub, monkeypatch, caplog, capfd, prepare, token, act, sentence
):
    caplog.set_level(logging.DEBUG)
    prepare(hub)
    monkeypatch.delenv("HF_TOKEN")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with pytest.raises(CAAError) as caught:
        act()
    told = str(caught.value)
    assert told == sentence if sentence.endswith(".") else sentence in told
    shown = "".join([*traceback.format_exception(caught.value), caplog.text, *capfd.readouterr()])
    assert not any(secret in shown for secret in (WRITER, READER, STRANGER, "hf_wrong"))


def test_metadata_that_the_hub_does_not_take_are_told(hub):
    hub.against_cards = '"license" must be one of [mit]'
    with pytest.raises(HubError) as caught:
        push()
    assert str(caught.value) == (
        f'The Hugging Face Hub refuses the metadata of the card of {REPO} ("license" must be one '
        "of [mit])."
    )
    assert hub.files("models", REPO) == {}


def test_two_pushes_at_once_do_not_mix(hub, monkeypatch):
    public(hub)
    seen = repositories._refuse_other

    def somebody_else_is_faster(*facts):
        seen(*facts)
        monkeypatch.setattr(repositories, "_refuse_other", seen)
        vectors(seed=2).push_to_hub(REPO)

    monkeypatch.setattr(repositories, "_refuse_other", somebody_else_is_faster)
    with pytest.raises(HubError) as caught:
        vectors(seed=1).push_to_hub(REPO)
    assert str(caught.value) == MEANWHILE
    assert read()[LAYER].equal(vectors(seed=2)[LAYER])


@pytest.mark.parametrize("offline", [True, False])
def test_without_the_hub_the_cache_serves(hub, monkeypatch, capfd, offline):
    public(hub)
    read()
    capfd.readouterr()
    cut_off(hub, monkeypatch, offline)
    assert read()[LAYER].equal(vectors()[LAYER])
    said = "" if offline else f"The copy of {REPO} in the cache is taken (commit "
    told = capfd.readouterr().err
    assert said in told if said else told == ""


@pytest.mark.parametrize("what", [503, "disconnect"])
def test_a_hub_that_stops_answering_between_two_requests_is_told(hub, capfd, what):
    vectors(seed=1).push_to_hub(REPO)
    read()
    vectors(seed=2).push_to_hub(REPO)
    capfd.readouterr()
    hub.faults.append(Fault("GET /api/models/", what, after=1))
    assert read()[LAYER].equal(vectors(seed=1)[LAYER])
    told = capfd.readouterr().err
    assert f" The copy of {REPO} in the cache is taken (commit " in told
    assert ("stopped answering." in told) == (what == 503)
    hub.faults.clear()
    assert read()[LAYER].equal(vectors(seed=2)[LAYER])


def test_a_file_too_large_to_be_read_is_not_downloaded(hub, monkeypatch):
    hub.make("models", REPO, {"vectors.safetensors": b"0" * 3 * 2**20})
    monkeypatch.setitem(repositories.VECTORS.wanted, "vectors.safetensors", 2**20)
    with pytest.raises(HubError) as caught:
        read()
    assert str(caught.value) == (
        f"vectors.safetensors of hf:{REPO} has 3 MiB, but at most 1 MiB are read, so it is not "
        "downloaded: give another repository."
    )
    assert not any("/resolve/" in request for request in hub.requests)


def test_what_fails_on_this_machine_is_no_reason_to_take_an_older_copy(hub, monkeypatch):
    public(hub)
    read()
    monkeypatch.setattr(repositories, "_names", lambda info: info.no_such_thing)
    with pytest.raises(HubError, match=f"for {REPO} failed here \\(AttributeError\\)"):
        read()


def test_a_cache_that_cannot_be_used_is_told(hub, monkeypatch, tmp_path):
    public(hub)
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file"))
    with pytest.raises(HubError) as caught:
        read()
    assert str(caught.value) == (
        f"The Hugging Face cache in {tmp_path / 'file'} can't be used (Not a directory): mend "
        "that, or name another folder with HF_HOME."
    )


@pytest.mark.parametrize(
    ("offline", "sentence"),
    [
        (
            True,
            "The Hugging Face Hub is off (HF_HUB_OFFLINE), and its cache here doesn't have "
            f"hf:{REPO}: connect once, or give a folder.",
        ),
        (
            False,
            "The Hugging Face Hub can't be reached from here (ConnectError), and its cache here "
            f"doesn't have hf:{REPO}: connect once, or give a folder.",
        ),
    ],
)
def test_without_the_hub_and_the_cache_one_sentence_tells(hub, monkeypatch, offline, sentence):
    public(hub)
    cut_off(hub, monkeypatch, offline)
    with pytest.raises(HubError) as caught:
        read()
    assert str(caught.value) == sentence
    with pytest.raises(HubError, match=r"The Hugging Face Hub (is off|can't be reached)"):
        push()


def cut_off(hub, monkeypatch, offline):
    if offline:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        # A port that nobody listens at.
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def test_a_hub_that_does_not_answer_costs_a_few_seconds(hub, monkeypatch):
    never = threading.Event()
    hub.faults.append(Fault("GET /api/models", never))
    monkeypatch.setattr(asking, "REACH_SECONDS", 0.2)
    began = time.monotonic()
    for act in (read, push):
        with pytest.raises(HubError, match="can't be reached from here"):
            act()
    assert time.monotonic() - began < 5
    never.set()


@pytest.mark.parametrize("token", ["", "two words", "hf_ünicode", "hf_new\nline"])
def test_a_token_that_no_header_can_carry_is_not_shown(hub, token):
    for act in (push, lambda **given: SteeringVectors.from_pretrained(REPO, **given)):
        with pytest.raises(HubError) as caught:
            act(token=token)
        assert "no token has" in str(caught.value)
        shown = "".join(traceback.format_exception(caught.value))
        assert not token or token not in shown
    assert hub.requests == []


def test_a_token_of_the_environment_that_no_header_can_carry_is_told(hub, monkeypatch):
    public(hub)
    read()
    hub.requests.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_ünicode")
    for act in (push, read):
        with pytest.raises(HubError, match="characters that no token has") as caught:
            act()
        assert "hf_ünicode" not in "".join(traceback.format_exception(caught.value))
    assert hub.requests == []


def test_a_token_that_is_given_comes_before_the_one_at_hand(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    push(private=True, token=WRITER)
    assert SteeringVectors.from_pretrained(REPO, token=f" {READER}\n")[LAYER].norm() > 0
    # One request of the client's own asks for a list that needs none.
    assert set(hub.tokens) - {None} == {WRITER, READER}
    assert all(WRITER.encode() not in file for file in hub.files("models", REPO).values())


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("refusal-vectors", "names no repository"),
        ("hf:", "names no repository"),
        ("hf:a/b/c", "names no repository"),
        ("hf:../up", "names no repository"),
        (f"hf:{REPO}@", "names no repository"),
        ("a--b/c", "has no model a--b/c"),
    ],
)
def test_what_names_no_repository_is_told(hub, place, sentence):
    with pytest.raises(HubError, match=sentence):
        SteeringVectors.from_pretrained(place)
    with pytest.raises(HubError, match=sentence):
        vectors().push_to_hub(place)


def test_two_revisions_at_once_are_refused(hub):
    with pytest.raises(HubError, match="names the revision 'v1', but revision is 'v2'"):
        SteeringVectors.from_pretrained(f"hf:{REPO}@v1", revision="v2")
