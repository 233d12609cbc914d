"""Each thing that can be wrong before the work has a sentence of its own."""

import socket

import pytest

from caa_nnsight.errors import RemoteError
from caa_nnsight.remote import RemoteSettings, client, preflight
from caa_nnsight.remote.client import installed
from caa_nnsight.remote.keys import ApiKey
from tests.remote.fake_ndif import Answer, Drop, Hang

NAMES = ["server", "compute", "key", "nnsight", "transformers", "python", "model"]


def replica(repo_id, level="HOT", state="RUNNING", revision="main"):
    facts = {"repo_id": repo_id, "deployment_level": level, "application_state": state}
    return {key: value for key, value in facts.items() if value} | {"revision": revision}


@pytest.fixture
def good(ndif):
    """A server whose versions are those here."""
    import platform

    ndif.environment = {
        "python_version": f"{platform.python_version()} (main, today) [GCC]",
        "packages": {name: installed(name) for name in ("nnsight", "transformers")},
    }
    return ndif


def checks(ndif, repo_id=None, revision=None, key=None):
    found = preflight(RemoteSettings(ndif.host, key), repo_id, revision)
    assert [check.name for check in found.checks] == NAMES
    return {check.name: check for check in found.checks}


def test_a_server_that_is_in_order_passes_every_check(good):
    good.deployments = {"a": replica("org/model")}
    found = preflight(RemoteSettings(good.host, ApiKey("any-key-1")), "org/model")
    assert [check.state for check in found.checks] == ["ok"] * 7
    assert found.deployment == replica("org/model")
    found.raise_for_failure()
    assert good.jobs == []


def test_the_first_failure_is_the_one_that_is_raised(good):
    good.keys = set()
    good.environment["packages"]["nnsight"] = "0.7.0"
    with pytest.raises(RemoteError, match="asks for an API key"):
        preflight(RemoteSettings(good.host)).raise_for_failure()


# -- the server --------------------------------------------------------------------------


def test_every_way_of_not_reaching_a_server_has_its_own_sentence(good, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.05)
    good.faults["/ping"] = [Hang(), Drop(), Answer(200, body=b"<html>"), Answer(404), Answer(502)]
    hosts = [f"http://127.0.0.1:{port}", "http://no-such-host.invalid"]
    hosts += [good.host.replace("http:", "https:"), *[good.host] * 5]
    sentences = []
    for host in hosts:
        found = preflight(RemoteSettings(host))
        assert [check.name for check in found.checks] == NAMES
        assert [check.state for check in found.checks] == ["failed", *["skipped"] * 6]
        sentences.append(found.checks[0].sentence)
    for sentence, words in zip(
        sentences,
        (
            "nothing listens there",
            "name is not known",
            "certificate",
            "didn't answer in time",
            "broke off",
            "no NDIF server",
            "no NDIF server",
            "HTTP 502",
        ),
        strict=True,
    ):
        assert words in sentence


def test_a_server_without_its_cluster_fails_and_the_rest_is_skipped(good):
    good.connected = False
    found = checks(good)
    assert found["compute"].state == "failed"
    assert "try again in a few minutes" in found["compute"].sentence
    assert {found[name].state for name in NAMES[2:]} == {"skipped"}


# -- the key -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (None, "asks for an API key: set NDIF_API_KEY"),
        ("malformed", "doesn't have the form"),
        ("other-key-2", "doesn't know the API key"),
    ],
)
def test_each_thing_wrong_with_a_key_has_its_own_sentence(good, given, sentence):
    good.keys = {"good-key-1"}
    check = checks(good, key=ApiKey(given) if given else None)["key"]
    assert check.state == "failed"
    assert sentence in check.sentence
    assert given is None or given not in check.sentence.replace("malformed key", "")


def test_a_key_that_is_accepted_is_told_from_a_server_that_asks_for_none(good):
    assert checks(good)["key"].sentence == "No API key is set, and the server asks for none."
    good.keys = {"good-key-1"}
    assert (
        checks(good, key=ApiKey("good-key-1"))["key"].sentence == "The server accepts the API key."
    )


def test_a_server_that_does_not_say_is_a_warning(good):
    good.faults["/request"] = [Answer(500)]
    assert checks(good)["key"].state == "warning"


# -- versions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "state"), [("nnsight", "failed"), ("transformers", "warning"), ("python", "warning")]
)
def test_another_minor_version_is_named_on_both_sides(good, name, state):
    if name == "python":
        good.environment["python_version"] = "2.7.18 (old)"
        here = "3."
    else:
        good.environment["packages"][name] = "2.7.18"
        here = installed(name)
    check = checks(good)[name]
    assert check.state == state
    assert here in check.sentence
    assert "2.7.18 on the server: " in check.sentence


@pytest.mark.parametrize("patch", ["{}.{}.99", "{}.{}.0.dev3+gabc", "{}.{}"])
def test_another_patch_version_is_fine(good, patch):
    major, minor, *_ = installed("nnsight").split(".")
    good.environment["packages"]["nnsight"] = patch.format(major, minor)
    assert checks(good)["nnsight"].state == "ok"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"packages": None},
        {"packages": {"nnsight": None}, "python_version": 3},
        {"packages": {"nnsight": "x"}},
    ],
)
def test_versions_that_the_server_does_not_tell_are_warnings(good, environment):
    good.environment = environment
    found = checks(good)
    assert {found[name].state for name in ("nnsight", "transformers", "python")} == {"warning"}
    assert "on the server isn't known" in found["nnsight"].sentence


def test_versions_that_can_not_be_asked_for_are_warnings_with_the_reason(good):
    good.faults["/env"] = [Answer(504, "Timed out waiting for cluster env.")]
    check = checks(good)["nnsight"]
    assert check.state == "warning"
    assert "Timed out waiting for cluster env." in check.sentence


# -- the model ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "state", "expected", "words"),
    [
        ("HOT", "RUNNING", "ok", "is running"),
        ("HOT", "DEPLOYING", "warning", "is being loaded"),
        ("HOT", "NOT_STARTED", "warning", "is being loaded"),
        ("WARM", None, "warning", "off its devices"),
        ("COLD", None, "warning", "only on the server's disk"),
        ("HOT", "UNHEALTHY", "failed", "has crashed"),
        ("LUKEWARM", "NAPPING", "warning", "doesn't say whether it is running"),
    ],
)
def test_each_state_of_a_model_has_its_own_sentence(good, level, state, expected, words):
    good.deployments = {"a": replica("org/model", level, state, None)}
    check = checks(good, "org/model")["model"]
    assert check.state == expected
    assert words in check.sentence


def test_the_readiest_of_several_replicas_counts(good):
    good.deployments = {
        "a": replica("org/model", "HOT", "UNHEALTHY"),
        "b": replica("org/model", "HOT", "RUNNING"),
        "c": replica("org/model", "WARM", None),
    }
    assert checks(good, "org/model")["model"].state == "ok"


def test_the_spelling_of_capitals_does_not_matter(good):
    good.deployments = {"a": replica("Org/Model")}
    assert checks(good, "org/model")["model"].state == "ok"


def test_a_model_that_is_not_served_names_up_to_five_that_run(good):
    good.deployments = {f"{n}": replica(f"org/model{n}") for n in range(7)}
    good.deployments["cold"] = replica("org/cold", "COLD", None, None)
    check = checks(good, "org/other")["model"]
    assert check.state == "warning"
    assert "which it may refuse" in check.sentence
    assert check.sentence.count("org/model") == 5
    assert "and 2 more" in check.sentence
    assert "cold" not in check.sentence


def test_a_model_that_is_not_served_where_nothing_runs(good):
    assert "runs no model now" in checks(good, "org/other")["model"].sentence


def test_another_revision_of_the_model_is_not_the_model(good):
    good.deployments = {"a": replica("org/model", revision="v1")}
    check = checks(good, "org/model")["model"]
    assert check.state == "warning"
    assert "only at revision v1" in check.sentence
    assert checks(good, "org/model", "v1")["model"].state == "ok"
    assert checks(good, "org/model", "v2")["model"].state == "warning"


@pytest.mark.parametrize("asked", [None, "main"])
@pytest.mark.parametrize("served", [None, "main"])
def test_no_revision_is_the_main_one(good, asked, served):
    good.deployments = {"a": replica("org/model", revision=served)}
    assert checks(good, "org/model", asked)["model"].state == "ok"


def test_a_status_that_can_not_be_had_is_a_warning(good):
    good.faults["/status"] = [Answer(503, "Could not retrieve cluster status.")]
    check = checks(good, "org/model")["model"]
    assert check.state == "warning"
    assert "Could not retrieve cluster status." in check.sentence


def test_entries_that_are_no_models_are_left_out(good):
    good.deployments = {"a": {"application_state": "DEPLOYING"}, "b": None, "c": {"repo_id": 3}}
    assert "runs no model now" in checks(good, "org/model")["model"].sentence


def test_the_key_is_in_no_sentence(good, key):
    good.faults["/request"] = [Answer(400, f"Invalid API key format: '{key}'.")]
    good.faults["/env"] = [Answer(503, f"key {key}")]
    good.faults["/status"] = [Answer(403, f"key {key}")]
    found = preflight(RemoteSettings(good.host, ApiKey(key)), "org/model")
    assert key not in repr(found)
    with pytest.raises(RemoteError) as caught:
        found.raise_for_failure()
    assert key not in str(caught.value)
