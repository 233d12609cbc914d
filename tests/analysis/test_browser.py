"""The report in a real browser: its script runs, hostile text doesn't, nothing sticks out."""

import shutil
import subprocess

import pytest
from PIL import Image

from caa_nnsight.analysis import write_report
from tests.analysis.fake_run import run_generations, run_scores, write_run
from tests.analysis.page import parse

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
HOSTILE = (
    "<script>document.title = 'hacked'</script><img src=x onerror=\"document.title='hacked'\">"
)

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium here: the report was NOT looked at in a browser"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    generations = run_generations([HOSTILE, "x" * 3000], {-1.0: HOSTILE, 1.0: "y" * 3000})
    return write_report(write_run(folder, run_scores(n_items=8, layers=[13, 14]), generations))


def browse(page, profile, *arguments):
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command += ["--disable-sync", "--hide-scrollbars", f"--user-data-dir={profile}", *arguments]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8")


def test_the_pages_own_script_runs_and_text_of_the_model_does_not(report, tmp_path):
    dom = parse(browse(report, tmp_path, "--dump-dom"))
    assert dom.one("title").text.startswith("Steering refusal on")
    assert len(dom.all("script")) == 1
    tables = [node for node in dom.all("table") if node.attributes.get("class") == "sortable"]
    for table in tables:
        headings = table.one("thead").all("th")
        assert len(table.one("thead").all("button")) == len(headings)


def test_pressing_a_heading_sorts_the_rows(report, tmp_path):
    """The security policy admits no other script: the copy that presses is without it."""
    html = report.read_text("utf-8")
    press = (
        "<script>const t = document.querySelectorAll('table.sortable')[1];"
        "const b = t.tHead.querySelectorAll('button')[1]; b.click(); b.click();</script></body>"
    )
    start = html.index('<meta http-equiv="Content-Security-Policy"')
    html = html[:start] + html[html.index(">", start) + 1 :]
    copy = tmp_path / "copy.html"
    copy.write_text(html.replace("</body>", press), encoding="utf-8")
    dom = parse(browse(copy, tmp_path / "profile", "--dump-dom"))
    table = [node for node in dom.all("table") if node.attributes.get("class") == "sortable"][1]
    multipliers = [row.all("th", "td")[1].text for row in table.one("tbody").all("tr")]
    assert multipliers == ["+2", "+1", "0", "−1", "−2"]
    assert table.one("thead").all("th")[1].attributes["aria-sort"] == "descending"


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_sticks_out_of_the_page(report, tmp_path, width):
    """The margin at the right stays empty, however long the words of the model are."""
    shot = tmp_path / "page.png"
    browse(report, tmp_path / "p", f"--screenshot={shot}", f"--window-size={width},6000")
    image = Image.open(shot).convert("RGB")
    assert image.width == width
    margin = image.crop((width - 8, 0, width, image.height))
    assert margin.getcolors() == [(8 * image.height, (255, 255, 255))]
