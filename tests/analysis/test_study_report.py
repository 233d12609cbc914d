"""The report of a study: every experiment in it, model text as text, and clear refusals."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from caa_nnsight.analysis import effect, example_scores, summarize, write_report
from caa_nnsight.analysis.experiments import get_experiment
from caa_nnsight.analysis.report import write_study_report
from caa_nnsight.analysis.report.glossary import glossary
from caa_nnsight.analysis.report.parts import TokenView
from caa_nnsight.analysis.report.tables import Table, effect_table, score_table
from caa_nnsight.analysis.report.token_views import LEVELS, shade
from caa_nnsight.errors import RunError
from tests.analysis import fake_study
from tests.analysis.fake_run import PROMPTS, write_run
from tests.analysis.fake_study import (
    BEHAVIORS,
    GIST,
    TOKENS,
    VALUES,
    answers,
    study_frames,
    study_manifest,
    tokens,
    write_study,
)
from tests.analysis.page import parse
from tests.analysis.page_checks import (
    HOSTILE,
    asks_nothing_of_the_network,
    has_only_known_attributes,
    reads_well_without_eyes,
    section,
    with_class,
    words,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        fake_study.experiments(patch)
        folder = write_study(tmp_path_factory.mktemp("studies") / "study")
        write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return parse((folder / "report.html").read_text("utf-8"))


@pytest.fixture
def _made_up(monkeypatch):
    fake_study.experiments(monkeypatch)


def made_up(folder, answers=None, tokens=None, **manifest):
    """A written report of the made-up experiment alone."""
    changed = {"made-up/answers": answers, "made-up/tokens": tokens}
    frames = {
        name: frame if changed[name] is None else changed[name]
        for name, frame in study_frames(sweep=False).items()
    }
    study = write_study(folder, frames, **{"experiments": ["made-up"]} | manifest)
    return write_report(study).read_text("utf-8")


def test_the_page_and_a_figure_of_every_plot_are_written_and_nothing_else(folder):
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "manifest.json",
        "report.html",
        "layer-sweep/scores.parquet",
        "made-up/answers.parquet",
        "made-up/tokens.parquet",
        "figures/layer-sweep/layers-refusal.png",
        "figures/layer-sweep/layers-sycophancy.png",
        "figures/made-up/tokens.png",
    }
    for path in (folder / "figures").rglob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_summary_comes_first_with_the_gist_of_each_experiment_and_a_link(page):
    first = page.one("main").all("section")[0]
    assert words(first.one("h2")) == "What was found"
    done, skipped = first.all("ul")
    gists = [words(item) for item in done.all("li")]
    assert gists[0].startswith(
        "Layer sweep refusal: the change toward the behavior is largest at layer 14: +0."
    )
    assert gists[1] == f"Made up {GIST}"
    assert [words(name) for name in done.all("li")[0].all("b")] == ["refusal", "sycophancy"]
    targets = [link.attributes["href"][1:] for link in done.all("a")]
    assert targets == ["experiment-layer-sweep", "experiment-made-up"]
    assert [words(section(page, target).one("h2")) for target in targets] == [
        "Layer sweep", "Made up",
    ]  # fmt: skip
    assert [words(item) for item in skipped.all("li")] == [
        "judged-answers There is no judge: name one with --judge."
    ]


def test_an_experiment_shows_its_question_points_figures_and_tables(page):
    shown = section(page, "experiment-layer-sweep")
    text = words(shown)
    sweep = get_experiment("layer-sweep")
    assert f"{sweep.asks} (Paper: {sweep.source})" in text
    assert len(shown.all("img")) == len(shown.all("source")) == len(BEHAVIORS)
    assert [words(node) for node in shown.all("summary")] == [
        f"{behavior}: change by layer, validation items" for behavior in BEHAVIORS
    ]
    made_up = section(page, "experiment-made-up")
    folded = [table for details in made_up.all("details") for table in details.all("table")]
    open_tables = [
        table
        for table in made_up.all("table")
        if table.attributes["class"] == "sortable" and table not in folded
    ]
    assert [words(table.one("caption")) for table in open_tables] == ["Tokens in a table"]
    assert "Paper" not in words(made_up)


def test_the_page_asks_nothing_of_the_network_and_allows_only_its_own_script(page):
    asks_nothing_of_the_network(page)


def test_the_page_reads_well_without_eyes(page):
    reads_well_without_eyes(page)
    assert page.one("title").text == "Study of refusal, sycophancy on qwen2.5-coder-0.5b"


def test_every_answer_is_on_the_page_before_any_script_runs(page):
    frame = answers()
    tables = with_class(section(page, "experiment-made-up"), "answers")
    for behavior, table in zip(BEHAVIORS, tables, strict=True):
        own = frame[frame["behavior"] == behavior]
        assert words(table.one("caption")).startswith(f"{behavior}: answers steered with")
        headings = [words(cell) for cell in table.one("thead").all("th")]
        assert headings == [
            "Prompt", "Multiplier −2", "Multiplier 0 (unsteered)", "Multiplier +2",
        ]  # fmt: skip
        for row, prompt in zip(table.one("tbody").all("tr"), PROMPTS, strict=True):
            assert row.one("th").text == prompt
            texts = own[own["prompt"] == prompt].sort_values("multiplier")["text"]
            assert [cell.one("div").text for cell in row.all("td")] == list(texts)


def test_the_slider_has_every_multiplier_and_waits_for_the_script(page):
    (first, second) = with_class(page, "dial")
    assert "hidden" in first.attributes
    slider = next(node for node in first.all("input") if node.attributes["type"] == "range")
    assert (slider.attributes["min"], slider.attributes["max"]) == ("0", "2")
    assert slider.attributes["aria-valuetext"] == "+2"
    (ticks,) = with_class(first, "ticks")
    assert [words(tick) for tick in ticks.all("span")] == ["−2", "0 (unsteered)", "+2"]
    ids = [dial.all("input")[0].attributes["id"] for dial in (first, second)]
    assert len(set(ids)) == 2
    assert with_class(page, "answers")[0].attributes["data-unsteered"] == "1"


@pytest.mark.usefixtures("_made_up")
def test_two_multipliers_need_no_slider(tmp_path):
    page = parse(made_up(tmp_path, answers(texts={-1.0: "a", 1.0: "b"})))
    assert with_class(page, "dial") == []
    assert [cell.one("div").text for cell in with_class(page, "answers")[0].all("td")[:2]] == [
        "a", "b",
    ]  # fmt: skip


def test_tokens_are_shaded_by_their_numbers_which_stand_there_too(page):
    (view,) = with_class(page, "shaded")
    spans = view.all("span")
    assert len(spans) == len(TOKENS)
    titles = [span.attributes["title"] for span in spans]
    assert titles[:4] == ["+0.02", "−0.11", "0.00", "+0.31"]
    assert titles[8] == "n/a"
    classes = [span.attributes.get("class") for span in spans]
    assert classes[3] == "up s4"
    assert classes[5] == "down s4"
    assert classes[7] == f"up s{LEVELS}"
    assert [classes[place] for place in (0, 2, 8, 10)] == [None] * 4
    (table,) = with_class(page, "numbers")[0].all("table")
    rows = [row.all("th", "td") for row in table.one("tbody").all("tr")]
    assert [row[2].text for row in rows] == titles
    assert [float(row[2].attributes["data-key"]) for row in rows] == pytest.approx(
        VALUES, nan_ok=True
    )


def test_whitespace_of_tokens_is_visible(page):
    (view,) = with_class(page, "shaded")
    shown = [span.text for span in view.all("span")]
    assert shown[:4] == ["The", "·capital", "·of", "·France"]
    assert shown[4] == "↵\n↵\n"
    assert shown[6] == "⇥\tParis"
    assert shown[9] == "··"
    assert {mark.text.strip() for mark in view.all("i")} == {"·", "↵\n↵", "⇥", "··"}


def test_the_legend_says_what_the_shades_mean_without_their_color(page):
    legend = next(iter(with_class(page, "legend")))
    assert words(legend).startswith("−0.60 to +0.60Below 0 orange with a dotted line")
    assert len(with_class(legend, "scale")[0].all("span")) == 2 * LEVELS


@pytest.mark.parametrize(
    ("limit", "value", "level"),
    [
        (1.0, 0.0, 0),
        (1.0, 1.0, LEVELS),
        (1.0, -5.0, LEVELS),
        (1.0, 0.5, LEVELS // 2),
        (1.0, float("nan"), 0),
        (0.0, 1.0, 0),
        (float("nan"), 1.0, 0),
        (float("inf"), 1.0, 0),
    ],
)
def test_the_shade_is_the_share_of_the_limit(limit, value, level):
    (token,) = shade(TokenView("", ["x"], [value], limit)).tokens
    assert token.level == level


@pytest.mark.parametrize(("limit", "shown"), [(0.004, "+0.00210"), (20.0, "0.0"), (300.0, "0")])
def test_numbers_have_the_digits_that_their_limit_asks_for(limit, shown):
    (token,) = shade(TokenView("", ["x"], [0.0021], limit)).tokens
    assert token.number == shown


def test_the_split_of_every_behavior_is_there_and_checked(page):
    (table,) = section(page, "split").all("table")
    rows = [[words(cell) for cell in row.all("th", "td")] for row in table.one("tbody").all("tr")]
    assert rows == [[name, "200", "20", "30", "14"] for name in BEHAVIORS]
    assert "No item of a behavior is in two of its parts" in words(section(page, "split"))
    assert "The matching answer refuses" in words(section(page, "split"))


@pytest.mark.usefixtures("_made_up")
def test_items_in_two_parts_are_told(tmp_path):
    split = study_manifest()["split"]
    shared = dict(split["refusal"])
    shared["generation_ids"] = shared["generation_ids"] + shared["held_out_ids"][:1]
    split |= {"refusal": shared}
    page = parse(made_up(tmp_path, split=split, warnings=["refusal: few."]))
    second = page.one("main").all("section")[1]
    assert words(second.one("h2")) == "Read with care"
    told = [words(item) for item in second.all("li")]
    assert told[0] == "refusal: few."
    assert told[1].startswith("refusal: 1 item stands in both the generation and the held-out part")
    assert "No item of a behavior" not in words(page)


def test_every_setting_and_the_command_are_on_the_page(folder, page):
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    shown = section(page, "again")
    assert shown.one("code").text == manifest["command"]
    rows = {words(row.one("th")): words(row.one("td")) for row in shown.all("tr") if row.all("td")}
    for part in ("settings", "versions", "model", "timings_seconds"):
        assert manifest[part].keys() <= rows.keys()
    folded = shown.all("details")
    assert [words(details.one("summary")) for details in folded] == list(BEHAVIORS)
    for details, (name, record) in zip(folded, manifest["behavior"].items(), strict=True):
        captions = [words(caption) for caption in details.all("caption")]
        assert captions == ["Behavior", "Length of the vector, by layer"]
        text = words(details)
        assert record["data_hash"] in text
        assert manifest["norms"][name].keys() <= {words(cell) for cell in details.all("th")}


def test_the_columns_that_stand_there_are_explained_and_no_others(page):
    terms = [words(term) for term in section(page, "columns").all("dt")]
    assert "Change" in terms
    assert "Letter A" in terms
    assert "Mass" not in terms


def test_the_same_words_over_another_table_are_not_explained():
    headings = ["Token", "Change", "95% interval"]
    assert glossary([Table("", headings, [])]) == []
    both = [Table("", headings, []), Table("", ["Vector", "Moved up"], [], explained=True)]
    assert [term for term, _ in glossary(both)] == ["Vector", "Moved up"]
    scores = example_scores(splits=["held_out"], layers=[3])
    assert effect_table(effect(scores), "").explained
    assert score_table(summarize(scores), "").explained


@pytest.mark.usefixtures("_made_up")
def test_hostile_text_stays_text_wherever_it_comes_from(tmp_path):
    every = "\n".join(HOSTILE)
    names = (HOSTILE[0], HOSTILE[3])
    manifest = study_manifest(names) | {"model": {"name": HOSTILE[1], HOSTILE[3]: every}}
    manifest["behavior"] = {
        name: dict.fromkeys(record, every) for name, record in manifest["behavior"].items()
    }
    page = made_up(
        tmp_path,
        answers(HOSTILE, {-1.0: every, 0.0: "", 1.0: HOSTILE[1]}, names),
        tokens(HOSTILE, np.linspace(-1, 1, len(HOSTILE)), names[0]),
        **manifest
        | {
            "experiments": ["made-up"],
            "settings": {HOSTILE[0]: [every]},
            "skipped": {HOSTILE[2]: every},
            "command": every,
            "warnings": HOSTILE,
        },
    )
    page = parse(page)
    has_only_known_attributes(page)
    assert len(page.all("img")) == 1
    table = with_class(page, "answers")[0]
    rows = table.one("tbody").all("tr")
    assert [row.one("th").text for row in rows] == HOSTILE
    assert [cell.one("div").text for cell in rows[0].all("td")] == [every, "", HOSTILE[1]]
    assert len(with_class(page, "dial")) == 2
    (view,) = with_class(page, "shaded")
    shown = [span.text.replace("·", " ") for span in view.all("span")]
    assert shown == HOSTILE
    cells = [cell.text for cell in with_class(page, "sortable")[0].all("th") if cell.text]
    assert set(HOSTILE) <= set(cells)
    assert page.one("code").text == every
    assert page.one("title").text == f"Study of {names[0]}, {names[1]} on {HOSTILE[1]}"
    assert words(section(page, "found")).count(words_of(every)) == 1


def words_of(text):
    return " ".join(text.split())


@pytest.mark.usefixtures("_made_up")
def test_characters_that_html_cannot_carry_are_made_visible(tmp_path):
    text = "bell\x07 null\x00 escape\x1b[31m\r\nline\rline\x85"
    texts = answers([text], {-1.0: text, 0.0: text, 1.0: text})
    html = made_up(tmp_path, texts, tokens([text], [0.5]), warnings=["\ud800"])
    assert "bell␇ null␀ escape␛[31m\nline\nline\ufffd" in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", html)
    (view,) = with_class(parse(html), "shaded")
    assert view.text == "bell␇·null␀·escape␛[31m↵\nline↵\nline\ufffd"


@pytest.mark.usefixtures("_made_up")
def test_the_same_folder_gives_the_same_bytes(folder):
    paths = [folder / "report.html", *sorted((folder / "figures").rglob("*.png"))]
    before = [path.read_bytes() for path in paths]
    write_study_report(str(folder))
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.usefixtures("_made_up")
def test_a_study_of_one_behavior_and_little_else_is_reported(tmp_path):
    names = BEHAVIORS[:1]
    frames = {"layer-sweep/scores": fake_study.sweep_scores(names)}
    manifest = study_manifest(names) | {"experiments": ["layer-sweep"], "skipped": {}}
    for key in ("split", "picked_layers", "norms", "timings_seconds", "versions", "command"):
        del manifest[key]
    study = write_study(tmp_path, frames, **manifest | dict.fromkeys(("split", "norms", "command")))
    page = parse(write_report(study).read_text("utf-8"))
    assert page.one("title").text == "Study of refusal on qwen2.5-coder-0.5b"
    assert "The command was not recorded" in words(page)
    assert "not recorded" in words(section(page, "split"))
    assert len(section(page, "found").all("ul")) == 1


def damage(study, name):
    manifest = json.loads((study / "manifest.json").read_text("utf-8"))

    def put(**changes):
        (study / "manifest.json").write_text(json.dumps(manifest | changes), encoding="utf-8")

    scores = study / "layer-sweep" / "scores.parquet"
    frame = pd.read_parquet(scores)
    changes = {
        "new schema": lambda: put(schema_version="2"),
        "new kind": lambda: put(kind="something"),
        "running": lambda: put(status="running"),
        "no list": lambda: put(experiments=None),
        "outside": lambda: put(experiments=["../elsewhere"]),
        "above": lambda: put(experiments=[".."]),
        "here": lambda: put(experiments=["."]),
        "nameless": lambda: put(experiments=[""]),
        "no reasons": lambda: put(skipped=["x"]),
        "no records": lambda: put(behavior={"refusal": "x"}),
        "no settings": lambda: put(settings=None),
        "unknown": lambda: (put(experiments=["made-up", "new"]), copy(study, "made-up", "new")),
        "no frames": lambda: put(experiments=["layer-sweep", "new"]),
        "cut frame": lambda: scores.write_bytes(b"PAR1 and no more"),
        "no column": lambda: frame.drop(columns="mass").to_parquet(scores),
        "other frame": lambda: (study / "made-up" / "tokens.parquet").unlink(),
    }
    changes[name]()


def copy(study, name, other):
    (study / other).mkdir()
    for path in (study / name).iterdir():
        (study / other / path.name).write_bytes(path.read_bytes())


BAD = [
    ("new schema", "/manifest.json has the schema version 2", "upgrade caa_nnsight"),
    ("new kind", "/manifest.json is of the kind 'something'", "upgrade caa_nnsight"),
    ("running", "/manifest.json says that the study is 'running'", "to finish it"),
    ("no list", "/manifest.json doesn't list the experiments", "start the same `caa experiment`"),
    ("outside", "/manifest.json doesn't list the experiments", "delete the folder"),
    ("above", "/manifest.json doesn't list the experiments", "delete the folder"),
    ("here", "/manifest.json doesn't list the experiments", "delete the folder"),
    ("nameless", "/manifest.json doesn't list the experiments", "delete the folder"),
    ("no reasons", "/manifest.json doesn't say what was skipped", "delete the folder"),
    ("no records", "/manifest.json has no record of each behavior", "delete the folder"),
    ("no settings", "/manifest.json has no object 'settings'", "delete the folder"),
    ("unknown", "/manifest.json has the experiment 'new'", "upgrade caa_nnsight"),
    ("no frames", "/new holds no frames, so the study is damaged", "delete the folder"),
    ("cut frame", "/layer-sweep/scores.parquet can't be read as Parquet (", "delete the folder"),
    ("no column", "/layer-sweep can't be shown: ", "mass"),
    ("other frame", "/made-up lack 'tokens'", "delete the folder"),
]


@pytest.mark.usefixtures("_made_up")
@pytest.mark.parametrize(("name", "middle", "end"), BAD)
def test_a_damaged_study_is_refused_by_the_name_of_the_file(tmp_path, name, middle, end):
    study = write_study(tmp_path / "study")
    damage(study, name)
    with pytest.raises(RunError) as error:
        write_report(study)
    sentence = str(error.value)
    assert f"{study}{middle}" in sentence
    assert end in sentence
    assert "\n" not in sentence
    assert not (study / "report.html").exists()


def test_a_run_is_no_study(tmp_path):
    run = write_run(tmp_path)
    with pytest.raises(RunError, match=r"manifest\.json is of a run, not of a study: give a fol"):
        write_study_report(run)


@pytest.mark.usefixtures("_made_up")
def test_a_report_that_cannot_be_written_says_so_and_leaves_nothing_half_done(tmp_path):
    study = write_study(tmp_path, study_frames(sweep=False), experiments=["made-up"])
    (study / "figures").write_text("a file where the folder should be")
    with pytest.raises(RunError, match=r"tokens\.png can't be written \(.+\): free the space or"):
        write_report(study)
    assert not (study / "report.html").exists()
    assert not [path for path in study.rglob("*") if path.name.endswith(".tmp")]
