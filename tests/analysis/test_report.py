"""The report: one page, all of the run in it, model text as text, and clear refusals."""

import base64
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image as Pillow

from caa_nnsight.analysis import write_report
from caa_nnsight.analysis.report import run_page
from caa_nnsight.analysis.report.images import Image
from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import RunError
from tests.analysis.fake_run import (
    ANSWERS,
    LAYER,
    PROMPTS,
    run_generations,
    run_manifest,
    run_scores,
    write_run,
)
from tests.analysis.page import parse
from tests.analysis.page_checks import (
    HOSTILE,
    asks_nothing_of_the_network,
    has_only_known_attributes,
    reads_well_without_eyes,
    section,
    words,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("runs") / "run")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return parse((folder / "report.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def free_form_page(tmp_path_factory):
    scores = run_scores(
        slope=0.04, slope_spread=0.02, item_spread=0.1, random_spread=0.005, form="free_form"
    )
    formal = {"name": "refusal", "form": "free_form", "read_at": "mean"}
    behavior = run_manifest(scores)["behavior"] | formal
    behavior["opposite_of"] = formal | {"name": "helpfulness", "read_at": "last"}
    run = write_run(tmp_path_factory.mktemp("runs") / "free_form", scores, behavior=behavior)
    return parse(write_report(run).read_text("utf-8"))


@pytest.fixture
def undrawn(monkeypatch):
    """Leave out the drawing, which takes most of the time of a report."""

    dot = io.BytesIO()
    Pillow.new("P", (1, 1)).save(dot, format="png")
    png = dot.getvalue()
    uri = "data:image/png;base64," + base64.b64encode(png).decode("ascii")

    def draw(plot):
        return Image(plot.name, plot.caption, plot.alt, uri, uri, 1, 1, png)

    monkeypatch.setattr(run_page, "draw", draw)


def record(page) -> dict[str, str]:
    """Every setting on the page, by its name."""
    rows = [row for row in section(page, "again").all("tr") if row.all("td")]
    return {words(row.one("th")): words(row.one("td")) for row in rows}


def test_the_page_and_the_figures_are_written_and_nothing_else(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "figures", "generations.parquet", "manifest.json", "report.html", "results.parquet",
    ]  # fmt: skip
    assert sorted(path.name for path in (folder / "figures").iterdir()) == [
        "accuracy_curve.png", "layer_curve.png", "multiplier_curve.png",
    ]  # fmt: skip
    for path in (folder / "figures").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_summary_comes_first_and_says_whether_it_worked(page):
    first = page.one("main").all("section")[0]
    assert words(first.one("h2")) == "Did it work? Yes"
    text = words(first)
    assert "It worked: steering moves the answers toward refusal." in text
    assert "30 held-out items, both orders of the choices" in text
    assert re.search(r"\d+ of 30 items \(\d+%\) moved toward the behavior", text)
    assert re.search(r"Control: 4 random vectors of the same length change them by", text)
    assert re.search(r"prefers the matching answer on \d+% of the items at −2", text)
    assert "Unsteered, the two answer letters hold 0.80 of all probability" in text


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_did_not_work_says_so_and_warns(tmp_path):
    run = write_run(tmp_path, run_scores(slope=0.0, random_spread=0.3, mass=0.1))
    page = parse(write_report(run).read_text("utf-8"))
    first, second = page.one("main").all("section")[:2]
    assert words(first.one("h2")) == "Did it work? Not shown"
    assert "No effect was shown" in words(first)
    assert words(second.one("h2")) == "Read with care"
    assert "the two answer letters hold only 0.10 of the probability" in words(second)


def test_the_page_asks_nothing_of_the_network_and_allows_only_its_own_script(page):
    asks_nothing_of_the_network(page)


def test_the_page_reads_well_without_eyes(page):
    reads_well_without_eyes(page)
    assert page.one("title").text == "Steering refusal on qwen2.5-coder-0.5b"


def test_a_free_form_run_is_reported_per_token(free_form_page):
    first = words(section(free_form_page, "worked"))
    assert "Did it work? Yes" in first
    assert re.search(r"the log-odds per token of the matching answer change by \+0\.0\d\d", first)
    assert "30 held-out free-form items" in first
    figures = words(section(free_form_page, "figures"))
    assert "Mean log-odds per token of the matching answer (30 held-out items, layer" in figures
    assert "share of items whose matching answer is the likelier per token" in figures
    assert "Change in the log-odds per token of the matching answer by steered layer" in figures
    effects, scores = [
        [words(cell) for cell in table.one("thead").all("th")]
        for table in section(free_form_page, "scores").all("table")[:2]
    ]
    assert effects[-3:] == ["95% interval", "Strongest", "Moved up"]
    assert scores[3:] == ["Accuracy", "Log-odds per token", "95% interval"]
    captions = [words(node) for node in section(free_form_page, "scores").all("caption")]
    assert captions[0] == "Change in log-odds per token from multiplier −1 to +1, held-out items"
    assert re.match(
        r"Line chart. Behavior vector: [−+]0\.\d\d\d at multiplier −2, ",
        free_form_page.all("img")[0].attributes["alt"],
    )


def test_a_free_form_run_is_told_nothing_of_letters_orders_or_mass(page, free_form_page):
    lettered = r"\b(letters?|orders?|mass|choices?|chance|p\(match\)|probability among)"
    for name in ("worked", "figures", "scores"):
        assert re.search(lettered, words(section(page, name)), re.IGNORECASE)
        assert not re.search(lettered, words(section(free_form_page, name)), re.IGNORECASE)
    texts = [image.attributes["alt"] for image in free_form_page.all("img")]
    assert len(texts) == 3
    assert not re.search(lettered, " ".join(texts), re.IGNORECASE)
    headings = [words(node) for node in free_form_page.all("h2")]
    assert "Read with care" not in headings


def test_what_the_vector_was_read_from_is_said_in_words(free_form_page):
    rows = record(free_form_page)
    assert rows["form"] == "prompts with two free answers"
    assert rows["read_at"] == "mean over the tokens of the answer"
    assert rows["opposite_of.name"] == "helpfulness"
    assert rows["opposite_of.read_at"] == "last token of the answer"


@pytest.mark.usefixtures("undrawn")
def test_a_weighted_sum_shows_its_parts_and_no_form_of_its_own(tmp_path):
    texts = {"description": "A test.", "polarity": "Positive is A."}
    free = [{"question": "Greet me.", "positive": "Good day.", "negative": "Hey!"}]
    formal = Behavior(name="formal", form="free_form", read_at="last", pairs=free, **texts)
    prompts = {"positive_system_prompt": "Be brief.", "negative_system_prompt": "Be long."}
    brief = Behavior(name="brief", form="system_prompts", pairs=["Greet me."], **texts, **prompts)
    scores = run_scores()
    behavior = run_manifest(scores)["behavior"] | (formal - 0.5 * brief).provenance()
    run = write_run(tmp_path, scores, behavior=behavior | {"name": "refusal"})
    rows = record(parse(write_report(run).read_text("utf-8")))
    assert "form" not in rows
    assert "read_at" not in rows
    assert (rows["parts.1.weight"], rows["parts.1.name"]) == ("1.0", "formal")
    assert rows["parts.1.form"] == "prompts with two free answers"
    assert rows["parts.1.read_at"] == "last token of the answer"
    assert (rows["parts.2.weight"], rows["parts.2.name"]) == ("0.5", "not-brief")
    assert rows["parts.2.form"] == "questions under two system prompts"
    assert rows["parts.2.read_at"] == "last token of the prompt"
    assert rows["parts.2.opposite_of.name"] == "brief"


def test_the_alternative_texts_give_the_points(page):
    texts = [image.attributes["alt"] for image in page.all("img")]
    assert re.match(r"Line chart. Behavior vector: 0\.\d\d at multiplier −2, ", texts[0])
    assert "random vectors stay between 0." in texts[0]
    assert f"the change is largest at layer {LAYER}, +0." in texts[2]


def test_the_answers_stand_side_by_side(page):
    (table,) = [n for n in page.all("table") if n.attributes.get("class") == "answers"]
    headings = [words(cell) for cell in table.one("thead").all("th")]
    assert headings == ["Prompt", "Multiplier −2", "Multiplier 0 (unsteered)", "Multiplier +2"]
    rows = table.one("tbody").all("tr")
    assert [row.one("th").text for row in rows] == PROMPTS
    assert [cell.one("div").text for cell in rows[0].all("td")] == list(ANSWERS.values())
    assert rows[2].one("th").attributes["dir"] == "auto"


def test_the_split_is_shown_and_the_choice_of_the_layer_explained(page):
    shown = section(page, "split")
    counts = [[words(cell) for cell in row.all("th", "td")] for row in shown.all("tr")[1:]]
    assert [row[:2] for row in counts] == [
        ["Generation", "200"], ["Validation", "20"], ["Held out", "30"],
    ]  # fmt: skip
    assert "No item is in two parts" in words(shown)
    assert "held-out items played no part in the choice" in words(shown)


def test_every_setting_and_the_command_are_on_the_page(folder, page):
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert section(page, "again").one("code").text == manifest["command"]
    rows = record(page)
    for part in ("settings", "versions", "model", "timings_seconds"):
        assert manifest[part].keys() <= rows.keys()
    assert rows["multipliers"] == "-2.0, -1.0, 0.0, 1.0, 2.0"
    assert rows["pairs"] == "not set"
    assert rows["data_hash"] == manifest["behavior"]["data_hash"]
    assert rows["polarity"] == manifest["behavior"]["polarity"]
    assert rows["picked_layer"] == str(LAYER)


def test_the_table_sorts_by_numbers_not_by_their_texts(page):
    table = [n for n in page.all("table") if n.attributes.get("class") == "sortable"][1]
    multipliers = [row.all("th", "td")[1] for row in table.one("tbody").all("tr")]
    assert [cell.text for cell in multipliers] == ["−2", "−1", "0", "+1", "+2"]
    keys = [float(cell.attributes["data-key"]) for cell in multipliers]
    assert keys == [-2, -1, 0, 1, 2]


@pytest.mark.usefixtures("undrawn")
def test_hostile_text_stays_text_wherever_it_comes_from(tmp_path):
    every = "\n".join(HOSTILE)
    scores = run_scores(behavior=HOSTILE[0])
    manifest = run_manifest(scores)
    texts = {"name": HOSTILE[0], "description": every, "polarity": every, "source": every}
    run = write_run(
        tmp_path,
        scores,
        run_generations(HOSTILE, {-1.0: every, 1.0: HOSTILE[1]}),
        behavior=manifest["behavior"] | texts,
        model={"name": HOSTILE[1], HOSTILE[3]: every},
        settings={HOSTILE[0]: [every]},
        command=every,
        warnings=HOSTILE,
    )
    page = parse(write_report(run).read_text("utf-8"))
    has_only_known_attributes(page)
    assert len(page.all("img")) == 3
    (table,) = [n for n in page.all("table") if n.attributes.get("class") == "answers"]
    rows = table.one("tbody").all("tr")
    assert [row.one("th").text for row in rows] == HOSTILE
    assert [cell.one("div").text for cell in rows[0].all("td")] == [every, HOSTILE[1]]
    assert page.one("code").text == every
    assert page.one("title").text == f"Steering {HOSTILE[0]} on {HOSTILE[1]}"


@pytest.mark.usefixtures("undrawn")
def test_characters_that_html_cannot_carry_are_made_visible(tmp_path):
    text = "bell\x07 null\x00 escape\x1b[31m\r\nline\rline\x85"
    generations = run_generations([text], {0.0: text})
    page = write_report(write_run(tmp_path, generations=generations, warnings=["\ud800"]))
    html = page.read_text("utf-8")
    assert "bell␇ null␀ escape␛[31m\nline\nline\ufffd" in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", html)


def test_the_same_folder_gives_the_same_bytes(folder):
    paths = [folder / "report.html", *sorted((folder / "figures").iterdir())]
    before = [path.read_bytes() for path in paths]
    write_report(str(folder))
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_answers_control_or_choice_of_layer_is_reported(tmp_path):
    scores = run_scores(layers=[LAYER], n_random=0, orders=["as_written"])
    run = write_run(tmp_path, scores, run_generations([]), command=None, timings_seconds=None)
    page = parse(write_report(run).read_text("utf-8"))
    text = words(page)
    assert "Did it work? Partly" in text
    assert "This run has no open-ended answers." in text
    assert "The accuracy curve needs both orders of the choices; one was scored." in text
    assert "There is no layer curve: it takes validation scores of several layers." in text
    assert f"Layer {LAYER} was not picked among others" in text
    assert "The command was not recorded" in text
    assert [path.name for path in (run / "figures").iterdir()] == ["multiplier_curve.png"]


@pytest.mark.usefixtures("undrawn")
def test_another_layer_and_items_in_two_parts_are_told(tmp_path):
    scores = run_scores()
    scores.loc[(scores["split"] == "validation") & (scores["layer"] == 9), "log_odds"] *= (
        1 + 9 * scores["multiplier"].clip(lower=0)
    )
    split = run_manifest(scores)["split"]
    split["generation_ids"][0] = split["held_out_ids"][0]
    split["held_out_ids"] += ["never-scored"]
    run = write_run(tmp_path, scores, split=split)
    text = words(parse(write_report(run).read_text("utf-8")))
    assert "1 item stands in both the generation and the held-out part" in text
    assert "No item is in two parts" not in text
    assert "30 of the 31 held-out items were scored." in text


def damaged(tmp_path, name):
    """A run folder with one thing wrong, by name, and the path that the error must name."""
    run = write_run(tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    scores = pd.read_parquet(run / "results.parquet")

    def put(**changes):
        (run / "manifest.json").write_text(json.dumps(manifest | changes), encoding="utf-8")

    def put_scores(frame):
        frame.to_parquet(run / "results.parquet")

    changes = {
        "no manifest": (run / "manifest.json").unlink,
        "cut manifest": lambda: (run / "manifest.json").write_text('{"status": "do'),
        "binary manifest": lambda: (run / "manifest.json").write_bytes(b"\xff\xfe\x00"),
        "list manifest": lambda: (run / "manifest.json").write_text("[]"),
        "new schema": lambda: put(schema_version="2"),
        "running": lambda: put(status="running"),
        "no settings": lambda: put(settings=None),
        "no name": lambda: put(behavior={}),
        "no layer": lambda: put(picked_layer=None),
        "no results": (run / "results.parquet").unlink,
        "cut results": lambda: (run / "results.parquet").write_bytes(b"PAR1 and no more"),
        "no column": lambda: put_scores(scores.drop(columns="mass")),
        "no numbers": lambda: put_scores(scores.assign(log_odds=float("nan"))),
        "other behavior": lambda: put_scores(scores.assign(behavior="other")),
        "other layer": lambda: put(picked_layer=3),
        "two forms": lambda: put_scores(
            pd.concat(
                [
                    scores[scores["split"] == "held_out"],
                    run_scores(form="free_form").query("split == 'validation'"),
                ]
            )
        ),
        "only validation": lambda: put_scores(scores[scores["split"] == "validation"]),
        "other items": lambda: put_scores(scores.assign(item="x" + scores["item"])),
        "no control rows": lambda: put_scores(
            scores[(scores["vector"] != "random-0") | (scores["item"] != "held_out-000")]
        ),
        "no answers": (run / "generations.parquet").unlink,
        "no answer column": lambda: run_generations().drop(columns=["text", "layer"]).to_parquet(
            run / "generations.parquet"
        ),
    }  # fmt: skip
    changes[name]()
    return run


BAD = [
    ("no manifest", "/manifest.json does not exist, so ", "give the folder that `caa run`, "),
    ("cut manifest", "/manifest.json can't be read (Unterminated string", ""),
    ("binary manifest", "/manifest.json can't be read (", ""),
    ("list manifest", "/manifest.json has the schema version None", ""),
    ("new schema", "/manifest.json has the schema version 2", "upgrade caa_nnsight"),
    ("running", "/manifest.json says that the run is 'running', not 'done'", "to finish it"),
    ("no settings", "/manifest.json has no object 'settings'", "delete the folder and start"),
    ("no name", "/manifest.json doesn't name the behavior", "delete the folder and start"),
    ("no layer", "/manifest.json has no picked_layer", "delete the folder and start"),
    ("no results", "/results.parquet does not exist, so the run is damaged", "delete the folder"),
    ("cut results", "/results.parquet can't be read as Parquet (", "delete the folder and start"),
    ("no column", "/results.parquet lacks the column mass", "pass a frame"),
    ("no numbers", "/results.parquet has", "log_odds is not a finite number"),
    ("other behavior", "/results.parquet holds scores of 'other'", "come from different runs"),
    ("other layer", "/results.parquet lacks held-out scores", "at layer 3, which manifest.json"),
    ("two forms", "/results.parquet holds free-form items and items with lettered choices", "from"),
    ("only validation", "/results.parquet lacks held-out scores", "delete the folder and start"),
    ("other items", "/results.parquet holds held-out items that manifest.json doesn't", "xheld"),
    ("no control rows", "/results.parquet can't be reported: The vectors of one kind were", ""),
    ("no answers", "/generations.parquet does not exist", "delete the folder and start the same"),
    ("no answer column", "/generations.parquet lacks the columns layer, text", "delete the folder"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "start", "end"), BAD)
def test_a_damaged_run_is_refused_by_the_name_of_the_file(tmp_path, name, start, end):
    run = damaged(tmp_path, name)
    with pytest.raises(RunError) as error:
        write_report(run)
    sentence = str(error.value)
    assert sentence.startswith(f"{run}{start}")
    assert end in sentence
    assert "\n" not in sentence
    assert not (run / "report.html").exists()


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"nowhere does not exist: give the folder that `caa run`, "):
        write_report(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(RunError, match=r"file is a file: give the folder that `caa run`, `caa exp"):
        write_report(file)


@pytest.mark.usefixtures("undrawn")
def test_a_report_that_cannot_be_written_says_so_and_leaves_nothing_half_done(tmp_path):
    run = write_run(tmp_path)
    (run / "figures").write_text("a file where the folder should be")
    with pytest.raises(RunError, match=r"curve\.png can't be written \(.+\): free the space or"):
        write_report(run)
    assert not (run / "report.html").exists()
    assert not [path for path in run.iterdir() if path.name.endswith(".tmp")]
