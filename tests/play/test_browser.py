"""The real page in a real browser: start, type, move, read; and all that can go wrong."""

from __future__ import annotations

import re

import httpx
import pytest

import caa_nnsight as caa
from tests.play.browser import BROWSER, Tab, chromium, served
from tests.play.places import (
    HOSTILE,
    WINDOW,
    save_endless,
    save_hostile,
    vectors_of_length,
)
from tests.tiny_models import LAYERS

pytest.importorskip("nicegui")
pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: the page was NOT looked at"),
]

PROMPT = "What of the hills?"
# What stands for a character of which a part is still to come.
BROKEN = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("play")
    save_endless(folder / "endless")
    save_hostile(folder / "hostile")
    vectors_of_length(6.0).save(folder / "one.safetensors")
    vectors_of_length(6.0, seed=1).save(folder / "two.safetensors")
    return folder


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(folder):
    words = ("one.safetensors", "two.safetensors", "refusal", "--model=endless", "--limit=8")
    with served(folder, *words) as page:
        yield page


@pytest.fixture
def tab(browser, page):
    tab = Tab(browser, page.url)
    yield tab
    assert tab.errors == []
    assert tab.hosts == {"127.0.0.1"}
    tab.page.close()


def generated(folder, vectors: str, layer: int, multiplier: float, length: int) -> list[str]:
    model = caa.load(str(folder / "endless"), device="cpu")
    settings = {"layers": [layer], "multipliers": [0, multiplier], "max_new_tokens": length}
    loaded = caa.SteeringVectors.load(folder / vectors)
    return caa.generate(model, [PROMPT], loaded, **settings)["text"].tolist()


def test_type_move_and_read(tab, folder):
    assert "Positive means <b>more</b>." in tab.page.locator(".polarity").text_content()
    assert f"near the middle of {LAYERS}" in tab.page.locator(".why").text_content()
    tab.type(PROMPT, Longest_answer="12")
    tab.slider("Multiplier").focus()
    for _ in range(4):
        tab.page.keyboard.press("ArrowRight")
    tab.slider("Layer").focus()
    tab.page.keyboard.press("ArrowLeft")
    tab.page.get_by_text("Multiplier +2", exact=True).wait_for()
    tab.page.get_by_text("Layer 1", exact=True).wait_for()
    tab.field("Prompt").press("Control+Enter")
    tab.wait_until_done()
    assert tab.answers == generated(folder, "one.safetensors", 1, 2.0, 12)
    assert re.match(r"Done: 12 and 12 tokens, the first after [\d.]+ s, then", tab.status)

    tab.open("Tokens along the vector")
    tab.page.locator(".shaded span.s8").first.wait_for()
    prompt, plain, steered = (each.inner_text() for each in tab.page.locator(".shaded").all())
    assert "hills?" in prompt
    assert len({prompt, plain, steered}) == 3
    assert "layer 1, read without steering" in tab.page.locator("details .soft").first.inner_text()
    cosines = tab.page.locator(".shaded span").first.get_attribute("title")
    tab.page.get_by_role("radio", name="Projection").click()
    tab.page.get_by_text("Length of each token's activation").wait_for()
    assert tab.page.locator(".shaded span").first.get_attribute("title") != cosines

    tab.open("The code that does the same")
    code = tab.page.locator("pre code").inner_text()
    assert "layers=[1]" in code
    assert "multipliers=[0, 2]" in code


def test_the_code_is_copied(browser, page):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    tab = Tab(context, page.url)
    tab.type(PROMPT)
    tab.open("The code that does the same")
    tab.page.get_by_text(f"['{PROMPT}']").wait_for()
    tab.button("Copy the code").click()
    tab.wait_until("status.includes('copied')")
    copied = tab.page.evaluate("navigator.clipboard.readText()")
    assert copied == tab.page.locator("pre code").text_content()
    assert "caa.SteeringVectors.load('one.safetensors')" in copied
    context.close()


def test_a_behaviors_vectors_are_extracted_on_first_use_and_kept(tab, folder):
    tab.page.get_by_role("combobox", name="Behavior").click()
    tab.page.get_by_role("option", name="refusal").click()
    tab.page.get_by_text("declines the request").wait_for()
    tab.ask(PROMPT, Longest_answer="5")
    tab.wait_until_done()
    assert "refusal, multiplier +1, layer 2" in tab.page.locator("article").nth(1).inner_text()
    (kept,) = (folder / "cache" / "vectors").iterdir()
    assert kept.name.startswith("refusal-")


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("", "The prompt is empty: type at least one word."),
        (" \n ", "The prompt is empty: type at least one word."),
        ("hills " * WINDOW, f"is more than the {WINDOW} that endless can hold: shorten"),
    ],
)
def test_a_bad_prompt_is_one_sentence_and_the_page_lives_on(tab, prompt, said):
    tab.ask(prompt, Longest_answer="5")
    tab.wait_until("complaint")
    assert said in tab.complaint
    assert tab.answers == ["", ""]
    tab.field("Prompt").fill(PROMPT)
    tab.button("Answer").click()
    tab.wait_until("status.startsWith('Done')")
    assert tab.complaint == ""


def test_stop_ends_both_answers_and_the_next_prompt_is_answered(tab):
    tab.ask(PROMPT, Longest_answer="2000")
    tab.wait_until("answers[0].length > 20 && answers[1].length > 20")
    tab.button("Stop").click()
    tab.wait_until("status.startsWith('Stopped')")
    lengths = [int(each) for each in re.findall(r"\d+", tab.status)[:2]]
    assert 0 < lengths[0] < 2000
    assert lengths[0] == lengths[1]
    stopped = tab.answers
    assert tab.button("Answer").is_enabled()
    tab.page.get_by_label("Longest answer").fill("3")
    tab.button("Answer").click()
    tab.wait_until("status.startsWith('Done: 3 and 3')")
    assert stopped[0].startswith(tab.answers[0].rstrip(BROKEN))


def test_two_tabs_at_once_wait_for_each_other_and_keep_their_answers(browser, page, folder):
    first, second = Tab(browser, page.url), Tab(browser, page.url)
    second.page.get_by_role("combobox", name="Behavior").click()
    second.page.get_by_role("option", name="two").click()
    second.type(PROMPT, Longest_answer="9")
    first.ask(PROMPT, Longest_answer="2000")
    first.wait_until("answers[0].length > 20")
    second.button("Answer").click()
    second.wait_until("status.startsWith('Waiting for another tab')")
    assert second.answers == ["", ""]
    second.button("Stop").click()
    second.wait_until("status.startsWith('Stopped')")
    assert first.button("Stop").is_enabled()
    second.button("Answer").click()
    second.wait_until("status.startsWith('Waiting for another tab')")
    first.button("Stop").click()
    second.wait_until_done()
    assert second.answers == generated(folder, "two.safetensors", 2, 1.0, 9)
    for shown, known in zip(
        first.answers, generated(folder, "one.safetensors", 2, 1.0, 300), strict=True
    ):
        assert shown.startswith(known) or known.startswith(shown.rstrip(BROKEN))
    for tab in (first, second):
        assert tab.errors == []
        tab.page.close()


def test_a_tab_that_is_closed_lets_the_next_go_on(browser, page):
    first, second = Tab(browser, page.url), Tab(browser, page.url)
    first.ask(PROMPT, Longest_answer="2000")
    first.wait_until("answers[0].length > 20")
    second.ask(PROMPT, Longest_answer="3")
    second.wait_until("status.startsWith('Waiting')")
    first.page.close()
    second.wait_until("status.startsWith('Done: 3 and 3')")
    second.page.close()


def test_hostile_text_stays_text(browser, folder):
    with served(folder, "one.safetensors", "--model=hostile") as page:
        tab = Tab(browser, page.url)
        tab.ask(HOSTILE[1], Longest_answer="12")
        tab.wait_until_done()
        assert any(text in tab.answers[0] for text in HOSTILE)
        tab.open("Tokens along the vector")
        tab.page.locator(".shaded span").first.wait_for()
        shown = tab.page.locator(".shaded").all_text_contents()
        assert any("document.title='hacked'" in text for text in shown)
        tab.open("The code that does the same")
        assert tab.page.title() == "caa play"
        made = "main script, main img, main [onload], main [onerror], .answer *, pre code *"
        assert tab.page.locator(made).count() == 0
        assert tab.page.locator(".shaded *:not(span, i, wbr)").count() == 0
        assert tab.errors == []
        assert tab.hosts == {"127.0.0.1"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_sticks_out_at_any_width(browser, page, width, scheme):
    settings = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    tab = Tab(browser, page.url, **settings)
    tab.ask("hills" * 60, Longest_answer="60")
    tab.wait_until_done()
    tab.open("Tokens along the vector")
    tab.page.locator(".shaded span").first.wait_for()
    tab.open("The code that does the same")
    assert tab.page.evaluate("document.documentElement.scrollWidth") == width
    background = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 25, 31)"}[scheme]
    tab.page.close()


def test_every_control_has_a_name(tab):
    tab.open("More settings")
    unnamed = tab.page.evaluate(
        "[...document.querySelectorAll('input:not(.hidden), textarea, button')].filter(e => !("
        "e.getAttribute('aria-label') || e.textContent || e.closest('label')"
        ")).map(e => e.outerHTML)"
    )
    assert unnamed == []


def test_the_server_is_on_this_machine_and_answers_its_own_pages_only(tab, page):
    assert page.listens_on() == {"127.0.0.1"}
    assert page.talks_to() <= {"127.0.0.1"}
    socket = f"{page.url}/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        for url in (page.url, socket):
            assert httpx.get(url, headers=headers).status_code == 403
    assert httpx.get(page.url).status_code == 200


def test_a_socket_of_another_sites_page_is_refused(page):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    url = page.url.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with connect(url, origin=page.url):
        pass
    with pytest.raises(InvalidStatus, match="403"), connect(url, origin="http://evil.example"):
        pass


def test_ctrl_c_ends_cleanly_while_an_answer_is_written(browser, folder):
    with served(folder, "one.safetensors", "--model=endless") as page:
        tab = Tab(browser, page.url)
        tab.ask(PROMPT, Longest_answer="2000")
        tab.wait_until("answers[0].length > 20")
        assert page.end() == 130
        tab.page.close()
    assert "Traceback" not in "".join(page.lines)
    assert not list(folder.glob(".nicegui"))
