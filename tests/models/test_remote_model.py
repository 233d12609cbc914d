"""Models on an NDIF server: named by Hub ids, checked before the work, no weights here."""

import json
import warnings

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from nnsight.modeling import huggingface

from caa_nnsight import remote as transport
from caa_nnsight.errors import ModelError, RemoteError
from caa_nnsight.models import ALIASES, load
from caa_nnsight.remote import Check, Preflight, RemoteSettings
from tests.models.fake_hub import COMMIT, FakeHub
from tests.models.folders import edit_config, tiny_folder

REPO = "somebody/tiny"
HOST = "http://127.0.0.1:9"
KEY = "c0ffee11-2222-4333-8444-555566667777"
SETTINGS = RemoteSettings(HOST, KEY)


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """What the preflight was asked, and what it says: all is well, unless a test changes it."""
    state = {"checks": (Check("server", "ok", "It answers."),), "deployment": None, "asked": []}

    def preflight(settings, repo_id=None, revision=None):
        state["asked"].append((settings, repo_id, revision))
        return Preflight(state["checks"], state["deployment"])

    monkeypatch.setattr(transport, "preflight", preflight)
    for name in ("NDIF_HOST", "NDIF_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return state


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub with one tiny model, which clients that were imported long ago ask too."""
    folder = tmp_path / "repository"
    tiny_folder(folder)
    with FakeHub({REPO: folder}) as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", server.address)
        monkeypatch.setattr(huggingface, "_ID_CACHE", {})
        server.folder = folder
        yield server


# -- what is refused before anything is asked ----------------------------------------------


@pytest.mark.parametrize("given", [{"host": HOST}, {"api_key_file": "key"}, {"remote_timeout": 0}])
def test_a_server_s_settings_without_remote_are_refused(given):
    with pytest.raises(ModelError, match=r"pass remote=True \(--remote\) too, or leave them out"):
        load(REPO, **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"device": "cpu"}, "device can't be chosen for a remote model.*leave it out"),
        ({"device": torch.device("cpu")}, "device can't be chosen"),
        ({"dtype": "float32", "device_map": "auto"}, "dtype and device_map.*leave them out"),
        ({"memory_budget": 2.0}, "memory_budget can't be chosen.*leave it out"),
        ({"attn_implementation": "eager"}, "attn_implementation can't be chosen"),
        ({"cache_dir": "here"}, "cache_dir can't be chosen"),
    ],
)
def test_what_a_server_decides_can_t_be_chosen_here(asked, given, said):
    with pytest.raises(ModelError, match=said):
        load(REPO, remote=SETTINGS, **given)
    assert asked["asked"] == []


@pytest.mark.parametrize("given", [{"host": HOST}, {"api_key_file": "key"}, {"remote_timeout": 9}])
def test_settings_and_parts_of_settings_together_are_refused_and_none_ignored(asked, given):
    with pytest.raises(ModelError, match="put these into the settings"):
        load(REPO, remote=SETTINGS, **given)
    assert asked["asked"] == []


def test_an_address_in_the_place_of_remote_is_told_where_it_belongs():
    with pytest.raises(ModelError, match="is a str: give the server's address as host"):
        load(REPO, remote=HOST)


@pytest.mark.parametrize("name", ["", "tiny", "a/b/c", "./model", "~/model", "org/model.gguf"])
def test_what_is_no_hub_id_is_refused_before_the_server_is_asked(asked, name):
    with pytest.raises(ModelError, match="named by its Hub id"):
        load(name, remote=SETTINGS)
    assert asked["asked"] == []


def test_a_folder_here_is_refused_even_if_it_is_named_like_a_hub_id(asked, tmp_path, monkeypatch):
    (tmp_path / "somebody" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name in (REPO, tmp_path / "somebody" / "tiny"):
        with pytest.raises(ModelError, match="not by a folder or file here"):
            load(name, remote=SETTINGS)
    assert asked["asked"] == []


def test_a_misspelled_alias_is_told_the_right_one():
    with pytest.raises(ModelError, match="Did you mean 'smollm2-135m'"):
        load("smolm2-135m", remote=SETTINGS)


def test_host_key_and_time_come_from_the_arguments(asked, tmp_path):
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o600)
    with pytest.raises(ModelError, match="The Hub is needed"):
        load(REPO, remote=True, host=HOST + "/", api_key_file=file, remote_timeout=7)
    ((settings, repo, revision),) = asked["asked"]
    assert (settings.host, settings.timeout) == (HOST, 7)
    assert settings.api_key.reveal() == KEY
    assert (repo, revision) == (REPO, None)


# -- the preflight -------------------------------------------------------------------------


def test_a_failed_check_stops_before_the_hub_is_asked(asked, hub):
    asked["checks"] = (Check("key", "failed", "The server doesn't know the API key."),)
    with pytest.raises(RemoteError, match=r"^The server doesn't know the API key\.$"):
        load(REPO, remote=SETTINGS)
    assert hub.requests == []


def test_warnings_are_passed_on_as_warnings_of_the_caller(asked, hub):
    asked["checks"] = (
        Check("server", "ok", "It answers."),
        Check("python", "warning", "python is 3.11 here and 3.12 on the server: careful."),
    )
    with pytest.warns(UserWarning, match="careful") as caught:
        load(REPO, remote=SETTINGS)
    assert [warning.filename for warning in caught] == [__file__]


# -- the model -----------------------------------------------------------------------------


def test_an_alias_stands_for_its_hub_id(asked):
    with pytest.raises(ModelError, match="The Hub is needed"):
        load("smollm2-135m", remote=SETTINGS)
    assert asked["asked"][0][1] == ALIASES["smollm2-135m"].hub_id


def test_no_weights_are_fetched(hub, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load(REPO, remote=SETTINGS)
    assert not any("model.safetensors" in path for path in hub.requests)
    assert not list((tmp_path / "hub").rglob("*.safetensors"))
    assert {weight.device.type for weight in model.module.parameters()} == {"meta"}


def test_it_describes_itself_with_what_its_server_tells(hub, monkeypatch):
    model = load(REPO, remote=SETTINGS)
    asked = []

    class Back:
        @property
        def dtype(self):
            asked.append(1)
            return torch.bfloat16

    monkeypatch.setattr(model.tracer, "_back_end", Back())
    assert model.describe() == {
        "name": REPO,
        "source": f"ndif:{HOST}",
        "revision": "main",
        "architecture": "LlamaForCausalLM",
        "layers_path": "model.layers",
        "num_layers": "4",
        "hidden_size": "32",
        "dtype": "bfloat16",
        "device": "remote",
    }
    assert asked


def test_its_short_form_asks_no_server_and_shows_no_key(hub, monkeypatch):
    model = load(REPO, remote=SETTINGS)
    monkeypatch.setattr(model.remote.jobs, "run", pytest.fail)
    assert repr(model) == (
        f"Model('{REPO}': LlamaForCausalLM, 4 layers at model.layers, hidden size 32, "
        f"from ndif:{HOST})"
    )
    for shown in (repr(model.remote), repr(SETTINGS), str(vars(model)), repr(model.remote.jobs)):
        assert KEY not in shown


def test_answers_end_where_the_settings_beside_the_weights_say(hub):
    """A chat model's config often names only one of the tokens that end its answers."""
    path = hub.folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [1, 7]}))
    edit_config(hub.folder, eos_token_id=1)
    model = load(REPO, remote=SETTINGS)
    assert model.tracer._generation_settings(3)["eos_token_id"] == [1, 7]


def key_of(model) -> dict:
    """The part of nnsight's name of the model that tells checkpoints apart."""
    key = model.remote.lm.to_model_key()
    return json.loads(key[key.index("{") :])


@pytest.mark.parametrize(
    ("revision", "served", "sent"),
    [
        (None, None, None),
        (None, {"revision": None, "task": "text-generation"}, None),
        ("main", {"revision": None, "task": "text-generation"}, None),
        (None, {"revision": "main", "task": "text-generation"}, "main"),
        (COMMIT, {"revision": COMMIT, "task": "text-generation"}, COMMIT),
        (COMMIT, {"deployment_level": "COLD"}, COMMIT),
    ],
)
def test_the_main_revision_is_called_what_the_server_calls_it(asked, hub, revision, served, sent):
    asked["deployment"] = served
    model = load(REPO, remote=SETTINGS, revision=revision)
    assert key_of(model)["revision"] == sent
    assert model.revision == (revision or "main")


@pytest.mark.parametrize("cached", [False, True], ids=["nothing in the cache", "all in the cache"])
def test_without_a_hub_one_sentence_says_what_it_is_needed_for(hub, monkeypatch, cached):
    if cached:
        load(REPO, remote=SETTINGS)
        huggingface._ID_CACHE.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError) as caught:
        load(REPO, remote=SETTINGS)
    assert "is off (HF_HUB_OFFLINE): connect and try again." in str(caught.value)
    assert str(caught.value).count(".") == 1


def test_a_model_that_the_hub_does_not_have_is_refused(hub):
    with pytest.raises(ModelError, match="has no model somebody/else"):
        load("somebody/else", remote=SETTINGS)


def test_an_encoder_is_refused_as_it_is_here(hub):
    edit_config(hub.folder, model_type="bert", architectures=["BertForMaskedLM"])
    with pytest.raises(ModelError, match="is an encoder"):
        load(REPO, remote=SETTINGS)
