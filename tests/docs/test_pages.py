"""The pages say what is true: code that runs, links that lead somewhere, tables in step."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

import caa_nnsight.models
from caa_nnsight import errors, registry
from caa_nnsight.analysis import effect, example_scores, summarize
from caa_nnsight.frames import GENERATION_COLUMNS, SCORE_COLUMNS
from tests.cli.calling import caa
from tests.cli.places import save_model
from tests.docs.console import has_commands, run_page
from tests.docs.pages import PAGES, blocks, code_spans, python_blocks, sections, table_rows
from tests.docs.shell import check, lines, run
from tests.packaging.project import ROOT, modules_on_disk
from tests.plugins.environment import copy_example, make_environment

DOCS = ROOT / "docs"


def with_code() -> list:
    pages = [page for page in PAGES if DOCS in page.parents]
    return [
        pytest.param(page, id=page.stem, marks=marks_of(page))
        for page in pages
        if python_blocks(page) or has_commands(page)
    ]


def marks_of(page) -> list:
    code = "".join(block.text for block in python_blocks(page))
    weights = "load(" in code
    # What reads a finished run comes after the commands that make it.
    slow = weights or has_commands(page) or READS_RUN in code
    return [pytest.mark.weights] * weights + [pytest.mark.slow] * slow


READS_RUN = 'load_run("'


@pytest.mark.parametrize("page", with_code())
def test_what_a_page_shows_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # What a page registers stays its own.
    monkeypatch.setattr(registry, "_registered", {})
    environment = None
    if has_commands(page):
        environment = make_environment(tmp_path / "environment", checkout=True)
        save_model(tmp_path / "model")
        copy_example(tmp_path / "docs" / "example-plugin")
    shell = any(READS_RUN in block.text for block in python_blocks(page))
    if shell:
        lay_out_for_commands(tmp_path)
    run_page(page, tmp_path, environment, shell=shell)


def with_runnable_commands() -> list:
    return [
        pytest.param(page, id=page.stem)
        for page in PAGES
        if any(
            words[0] == "caa"
            for block in blocks(page)
            if block.language == "sh" and not block.needs
            for words in lines(block)
        )
        and not any(READS_RUN in block.text for block in python_blocks(page))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("page", with_runnable_commands())
def test_the_commands_of_a_page_run(page, tmp_path):
    lay_out_for_commands(tmp_path)
    for block in blocks(page):
        for words in lines(block) if block.language == "sh" and not block.needs else ():
            if words[0] == "caa":
                run(words, tmp_path)


def lay_out_for_commands(folder) -> None:
    save_model(folder / "model")
    (folder / "texts.txt").write_text("The sun is warm.\nIt rains.\n", encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_can_be_right(page):
    for block in blocks(page):
        for words in lines(block) if block.language == "sh" else ():
            check(words)


class ModelWantedError(Exception):
    pass


def test_settings_of_commands_are_accepted_up_to_the_model(tmp_path, monkeypatch):
    def load(*names, **settings):
        raise ModelWantedError

    monkeypatch.setattr(caa_nnsight.models, "load", load)
    for page, words in with_settings():
        try:
            outcome = caa(*words[1:], folder=tmp_path)
        except ModelWantedError:
            continue
        raise AssertionError(f"{page.name}: {' '.join(words)}\n{outcome.err}")


def with_settings() -> list:
    return [
        (page, words)
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh" and block.needs in ("", "a GPU")
        for words in lines(block)
        if words[0] == "caa" and words[1] in ("run", "experiment", "reproduce", "extract")
        if "list" not in words and "--source" not in words
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_found_and_of_a_kind_that_is_checked(page):
    found = blocks(page)
    fences = re.findall(r"^```", page.read_text("utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(found)
    code = {block.language for block in found if not block.language.startswith("{")}
    assert code <= {"python", "sh", "console", "json", "toml", "text"}
    assert {block.needs for block in found} <= NEEDS


NEEDS = {
    "",
    "a GPU",
    "NDIF",
    "the Hub",
    "the paper's data",
    "an endpoint",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_that_exist(page):
    text = re.sub(r"<!--.*?-->", "", page.read_text("utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_and_targets_named_on_a_page_exist(page):
    roots = ("docs/", "tests/", "caa_nnsight/", "behaviors/", "analysis/", ".ci/")
    named = [span for span in code_spans(page.read_text("utf-8")) if span.startswith(roots)]
    paths = [span for span in named if not re.search(r"[A-Z*]{2}|[ <]", span)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


PUBLIC = {
    name: import_module(name)
    for name in (
        "caa_nnsight",
        "caa_nnsight.analysis",
        "caa_nnsight.analysis.experiments",
        "caa_nnsight.analysis.judges",
    )
}


API = [DOCS / "api.md", *sorted((DOCS / "api").glob("*.md"))]
ENTRY = re.compile(
    r"^\.\. (?:autofunction|autoclass|autoexception|data):: (\w+)\n((?: +.*\n)*)", re.MULTILINE
)


def entries(package: str) -> list[tuple[str, str]]:
    """Names with their options; each page says of which package its names are."""
    found = []
    for page in API:
        text = page.read_text("utf-8")
        (module,) = re.findall(r"^\.\. currentmodule:: ([\w.]+)$", text, re.MULTILINE)
        found += ENTRY.findall(text) if module == package else []
    return found


@pytest.mark.parametrize("package", PUBLIC)
def test_the_api_pages_cover_every_public_name_once_and_no_other(package):
    assert sorted(name for name, _ in entries(package)) == sorted(PUBLIC[package].__all__)


@pytest.mark.parametrize("package", PUBLIC)
def test_the_api_pages_show_the_members_of_every_class(package):
    classes = [
        name
        for name in PUBLIC[package].__all__
        if isinstance(getattr(PUBLIC[package], name), type) and not name.endswith("Error")
    ]
    options = dict(entries(package))
    assert [name for name in classes if ":members:" not in options[name]] == []


def columns(title: str) -> list[str]:
    rows = table_rows(sections(DOCS / "frames.md")[title])
    return [name for row in rows for name in code_spans(row[0])]


def test_the_columns_of_the_frames_are_documented_in_order():
    assert columns("Score frame") == list(SCORE_COLUMNS)
    assert columns("Generation frame") == list(GENERATION_COLUMNS)


def test_the_columns_of_the_tables_are_documented():
    scores = example_scores()
    assert sorted(columns("Summary frame")) == sorted(summarize(scores).columns)
    assert sorted(columns("Effect frame")) == sorted(effect(scores).columns)


def test_every_kind_of_error_is_documented():
    kinds = [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.CAAError)
    ]
    page = (DOCS / "errors.md").read_text("utf-8")
    assert [name for name in kinds if name not in page] == []
    # Their base is among the names of the package.
    listed = [name for name, _ in entries("caa_nnsight.errors")]
    assert sorted(["CAAError", *listed]) == sorted(kinds)


def test_every_module_of_the_core_has_its_place_in_the_architecture():
    text = (DOCS / "architecture.md").read_text("utf-8")
    named = set(code_spans(text))
    missing = []
    for module in modules_on_disk():
        parts = module.split(".")[1:]
        if not parts or parts in (["analysis"], ["errors"]) or parts[0] in ("behaviors", "cli"):
            continue
        short = parts[-1] if parts[0] == "tracer" else parts[parts[0] == "analysis"]
        places = (short, f"{short}/", f"caa_nnsight/{short}/", f"caa_nnsight/{short}.py")
        if not {*places, f"analysis/{short}/"} & named:
            missing.append(module)
    assert sorted(set(missing) - set(SELF_EVIDENT)) == []


# Their names say all there is to say.
SELF_EVIDENT = ("caa_nnsight.progress", "caa_nnsight.suggest", "caa_nnsight.versions")
