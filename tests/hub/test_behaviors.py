"""A behavior goes to a repository as data alone, and comes back the same."""

import json

import pytest

from caa_nnsight import get_behavior
from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import BehaviorError, HubError
from caa_nnsight.free_pairs import FreeFormPair
from caa_nnsight.hub.behavior_files import write_behavior
from tests.behaviors import made_up

REPO = "somebody/a-behavior"
KEPT = (
    "name",
    "description",
    "polarity",
    "form",
    "held_out_form",
    "read_at",
    "positive_system_prompt",
    "negative_system_prompt",
    "judge_rubric",
    "source",
    "license",
)
MADE_UP = {
    "refusal": lambda: get_behavior("refusal"),
    "choices": lambda: made_up.choices(open_ended=["One?", "Two\n\u2028lines?"]),
    "free_form": lambda: made_up.free_form(read_at="last"),
    "system_prompts": lambda: made_up.system_prompts(
        held_out=made_up.made_up_free_pairs(6, first=100), held_out_form="free_form"
    ),
}


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=[pytest.mark.slow] * (form == "refusal")) for form in MADE_UP]
)
def test_a_behavior_comes_back_the_same(hub, form):
    made = MADE_UP[form]()
    pushed = made.push_to_hub(REPO)
    read = get_behavior(pushed.address)
    assert type(read) is Behavior
    assert [getattr(read, key) for key in KEPT] == [getattr(made, key) for key in KEPT]
    assert read.data_hash() == made.data_hash()
    assert read.load_pairs() == made.load_pairs()
    assert read.load_held_out() == made.load_held_out()
    assert read.load_open_ended() == made.load_open_ended()
    assert read.split(seed=3) == made.split(seed=3)
    assert findings(read) == findings(made)


def findings(behavior: Behavior) -> list[tuple[str, str]]:
    """What `check` says, without the places."""
    return [(issue.level, issue.message.split(" (most of all")[0]) for issue in behavior.check()]


def test_data_that_are_gone_do_not_stay_in_the_repository(hub):
    made_up.choices(open_ended=["One?"]).push_to_hub(REPO)
    made_up.choices().push_to_hub(REPO)
    files = sorted(hub.files("datasets", REPO))
    assert files == ["README.md", "behavior.json", "pairs.jsonl"]
    assert Behavior.from_pretrained(REPO).load_open_ended() == []


def test_a_commit_in_the_cache_is_read_without_the_hub(hub):
    """It has no held-out pairs, so a file that is missing isn't always one to wait for."""
    pushed = made_up.choices().push_to_hub(REPO)
    whole = get_behavior(pushed.address).data_hash()
    hub.requests.clear()
    assert get_behavior(pushed.address).data_hash() == whole
    assert hub.requests == []


def test_a_commit_that_is_in_the_cache_in_part_is_completed(hub, tmp_path):
    pushed = made_up.choices().push_to_hub(REPO)
    whole = get_behavior(pushed.address).data_hash()
    next((tmp_path / "hub").rglob("snapshots/*/pairs.jsonl")).unlink()
    assert get_behavior(pushed.address).data_hash() == whole


def test_code_in_a_repository_is_neither_fetched_nor_run(hub, tmp_path):
    files = write_behavior(made_up.choices())
    bomb = b"raise SystemExit('this ran')"
    hub.make("datasets", REPO, files | {"a-behavior.py": bomb, "__init__.py": bomb})
    Behavior.from_pretrained(REPO).load_pairs()
    assert not any(request.endswith(".py") for request in hub.requests)


def test_a_copy_of_the_repository_is_read_without_the_hub(hub, tmp_path):
    for name, content in write_behavior(made_up.choices()).items():
        (tmp_path / name).write_bytes(content)
    read = Behavior.from_pretrained(tmp_path)
    assert read.data_hash() == made_up.choices().data_hash()
    assert hub.requests == []


def test_a_part_of_a_sum_may_lie_on_the_hub(hub):
    made_up.choices().push_to_hub(REPO)
    total = made_up.combined({f"hf:{REPO}": -1.0})
    assert total.load_pairs() == [pair.opposite() for pair in made_up.choices().load_pairs()]


class Splitting(Behavior):
    """Splits in its own way."""

    name, description, polarity = "splitting", "d", "p"
    pairs = made_up.made_up_pairs(4)

    def split(self, **_):
        raise AssertionError


def on_the_object() -> Behavior:
    made = made_up.choices()
    made.load_pairs = list
    return made


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: -made_up.choices(), "is the opposite of 'tea' and has no data of its own"),
        (
            lambda: made_up.combined({made_up.choices(): 1.0, made_up.choices("milk"): 1.0}),
            "is made from others and has no pairs of its own",
        ),
        (Splitting, "has a `split` of its own, and a repository holds data alone"),
        (on_the_object, "has a `load_pairs` of its own"),
        (
            lambda: Behavior(
                name="spaced",
                description="d",
                polarity="p",
                form="free_form",
                pairs=[FreeFormPair("Say hello. ", "Good evening.", "Hey!")],
            ),
            "would read otherwise from files",
        ),
        (lambda: made_up.choices(count=0), "there are no records in it"),
    ],
)
def test_what_files_cannot_carry_is_refused(hub, make, sentence):
    with pytest.raises(BehaviorError, match=sentence):
        make().push_to_hub(REPO)
    assert hub.requests == []


def changed(**entries):
    def change(files):
        content = json.loads(files["behavior.json"]) | entries
        return files | {"behavior.json": json.dumps(content).encode()}

    return change


def without(name):
    return lambda files: {key: value for key, value in files.items() if key != name}


def fewer_pairs(files):
    return files | {"pairs.jsonl": b"".join(files["pairs.jsonl"].splitlines(True)[:-2])}


def declaring(**attributes):
    return lambda files: changed(
        attributes=json.loads(files["behavior.json"])["attributes"] | attributes
    )(files)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (fewer_pairs, "The data of .* are not those that its behavior.json was written for: push"),
        (without("pairs.jsonl"), "has no pairs.jsonl, which behavior.json counts on"),
        (changed(schema_version="2"), "has the schema version '2', .* upgrade caa_nnsight"),
        (changed(format="other"), "is no behavior of caa_nnsight"),
        (changed(records={"../../etc/passwd": 1}), "counts on other data than pairs"),
        (changed(attributes=[1]), "has no object 'attributes'"),
        (declaring(sources={"a": 1}), "declares 'sources', which this version"),
        (declaring(name="../up"), "`name` of behavior .* letters, digits"),
        (declaring(polarity=5), "`polarity` of behavior .* has to be a text"),
        (declaring(polarity="a \ud800"), "`polarity` of behavior .* holds half of a character"),
        (declaring(form="images"), "`form` of behavior .* is 'images'"),
        (lambda files: files | {"behavior.json": b"{"}, "can't be read as JSON"),
        (lambda files: files | {"behavior.json": b"[" * 100_000}, "can't be read as JSON"),
        (lambda files: files | {"behavior.json": b"\xff"}, "can't be read as JSON"),
        (lambda files: files | {"behavior.json": b" " * 2**21}, "is larger than 1 MiB"),
    ],
)
def test_files_that_make_no_behavior_are_refused_in_one_sentence(tmp_path, spoil, sentence):
    for name, content in spoil(write_behavior(made_up.choices())).items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BehaviorError, match=sentence) as caught:
        Behavior.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", f"pairs.jsonl:1 of hf:{REPO}: not JSON"),
        (b"\xff", f"pairs.jsonl of hf:{REPO} is not UTF-8 text"),
    ],
)
def test_data_that_cannot_be_read_are_told_by_their_repository(hub, content, sentence):
    hub.make("datasets", REPO, write_behavior(made_up.choices()) | {"pairs.jsonl": content})
    with pytest.raises(BehaviorError) as caught:
        Behavior.from_pretrained(REPO)
    assert str(caught.value).startswith(sentence)


def test_a_place_that_is_no_folder_is_told(tmp_path):
    with pytest.raises(HubError, match=r"There is no folder .*nowhere"):
        Behavior.from_pretrained(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(HubError, match="is a file: give the folder"):
        Behavior.from_pretrained(tmp_path / "file")
    with pytest.raises(BehaviorError, match=r"There is no behavior\.json of"):
        Behavior.from_pretrained(tmp_path)
