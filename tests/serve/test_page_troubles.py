"""The page when something goes wrong: nothing of a draft is lost, one line says why, and no words become markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serve.browser import heard, opened, playwright, png, send, write, written
from tests.serve.page_server import Script, scripted
from triptych.serve.server import PAGE

MARKUP = "<img src=x onerror=\"document.title='hit'\"><script>document.title='hit'</script><b>bold</b>"


pytestmark = pytest.mark.flaky(reruns=2)
"""See ``browser.py``."""


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted(Script()) as running:
        yield running


def test_a_reply_shows_while_it_comes_and_stop_keeps_what_has_come(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        write(page, "What is in ", "[red]", "?")
        send(page)
        playwright.expect(page.locator("#live .said")).to_have_text("A ")
        page.locator("#editor").focus()
        page.keyboard.type("meanwhile")
        page.locator("#stop").click()
        reply = page.locator("#turns .assistant")
        playwright.expect(reply).to_contain_text("stopped")
        assert reply.locator(".said").text_content() == "A "
        assert script.gone.wait(5), "the server was not told"
        assert written(page) == "meanwhile"


def test_a_whole_reply_is_read_aloud_once_it_is_there(browser: Any, script: Script) -> None:
    script.go.set()
    with opened(browser, script.url) as page:
        write(page, "What?")
        send(page)
        heard(page, "first: A cat.")
        playwright.expect(page.locator("#turns .assistant .said")).to_have_text("A cat.")


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, "400"), (401, "API key"), (413, "smaller images"), (429, "in a moment"), (500, "500")],
)
def test_a_refusal_is_one_line_and_the_draft_is_back(browser: Any, script: Script, status: int, advice: str) -> None:
    script.refuse = (status, "something\n  is wrong")
    with opened(browser, script.url) as page:
        write(page, "Compare ", "[red]", " with ", "[blue]", "!")
        send(page)
        problem = page.locator("#problem-words")
        playwright.expect(problem).to_contain_text(advice)
        assert "\n" not in (problem.text_content() or "")
        assert page.locator("#problem").get_attribute("role") == "alert"
        assert written(page) == "Compare [image 1: red.png] with [image 2: blue.png]!"
        assert page.locator("#turns li").count() == 0
        assert page.locator("#key").is_visible() == (status == 401)
        script.refuse = None
        script.go.set()
        send(page)
        playwright.expect(page.locator("#turns .assistant .said")).to_have_text("A cat.")
        assert page.locator("#problem").is_hidden()


def test_a_server_that_is_away_is_told_and_the_draft_is_back(browser: Any) -> None:
    with scripted(Script()) as running, opened(browser, running.url) as page:
        write(page, "What is ", "[red]")
        page.context.set_offline(True)
        send(page)
        playwright.expect(page.locator("#problem-words")).to_contain_text("cannot be reached")
        assert written(page) == "What is [image 1: red.png]"


def test_a_reply_that_breaks_off_is_kept_as_far_as_it_came(browser: Any, script: Script) -> None:
    script.torn = True
    script.go.set()
    with opened(browser, script.url) as page:
        write(page, "What?")
        send(page)
        playwright.expect(page.locator("#problem-words")).to_have_text("The reply broke off: the engine <b>failed</b>")
        playwright.expect(page.locator("#turns .assistant .note")).to_have_text("broken off")
        assert page.locator("#turns .assistant .said").text_content() == "A cat."


def test_an_edit_while_a_reply_comes_is_kept(browser: Any, script: Script) -> None:
    script.go.set()
    with opened(browser, script.url) as page:
        replies = page.locator("#turns .assistant")
        write(page, "One?")
        send(page)
        playwright.expect(replies).to_have_count(1)
        script.go.clear()
        write(page, "Two?")
        send(page)
        playwright.expect(page.locator("#live .said")).to_have_text("A ")
        edit(page, "By hand.")
        page.get_by_role("button", name="Keep the change").click()
        script.go.set()
        playwright.expect(replies).to_have_count(2)
        assert replies.locator(".said").all_text_contents() == ["By hand.", "A cat."]


def test_a_half_typed_edit_stays_while_a_message_is_sent(browser: Any, script: Script) -> None:
    script.go.set()
    with opened(browser, script.url) as page:
        write(page, "One?")
        send(page)
        playwright.expect(page.locator("#turns .assistant")).to_have_count(1)
        edit(page, "Half")
        write(page, "Two?")
        send(page)
        playwright.expect(page.locator("#turns .assistant")).to_have_count(2)
        assert page.locator(".editing").input_value() == "Half"
        page.get_by_role("button", name="Keep the change").click()
        said = page.locator("#turns .said").all_text_contents()
        assert said == ["One?", "Half", "Two?", "A cat."]


def test_an_export_tells_which_replies_did_not_come_to_an_end(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        write(page, "One?")
        send(page)
        playwright.expect(page.locator("#live .said")).to_have_text("A ")
        page.locator("#stop").click()
        script.go.set()
        for count, (torn, finish) in enumerate([(True, ""), (False, "length"), (False, "stop")], start=1):
            playwright.expect(page.locator("#turns .assistant")).to_have_count(count)
            script.torn, script.finish = torn, finish
            write(page, "And?")
            send(page)
        playwright.expect(page.locator("#turns .assistant")).to_have_count(4)
        assert exported(page)["facts"]["cut"] == [True, True, True, False]
        heard(page, "3 of its replies did not come to an end")
        edit(page, "A cat.")
        page.get_by_role("button", name="Keep the change").click()
        assert exported(page)["facts"]["cut"] == [False, True, True, False]


def edit(page: Any, words: str) -> None:
    """Write over the first reply, and do not keep it yet."""
    page.locator("#turns .edit").first.click()
    page.locator(".editing").fill(words)


def exported(page: Any) -> dict[str, Any]:
    with page.expect_download() as download:
        page.locator("#export").click()
    row: dict[str, Any] = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    return row


def test_words_of_models_files_and_errors_never_become_markup(browser: Any) -> None:
    with scripted(Script(names=[MARKUP, "second"], pieces=[MARKUP])) as script, opened(browser, script.url) as page:
        script.go.set()
        file = {"name": f"{MARKUP}.png", "mimeType": "image/png", "buffer": png("red")}
        page.set_input_files("#files", [file])
        playwright.expect(page.locator("#editor .chip")).to_have_count(1)
        page.locator("#editor").focus()
        page.keyboard.type(MARKUP)
        send(page)
        playwright.expect(page.locator("#turns .assistant .said")).to_have_text(MARKUP)
        playwright.expect(page.locator("#turns .assistant .who")).to_have_text(MARKUP)
        script.refuse = (400, MARKUP)
        write(page, "again")
        send(page)
        playwright.expect(page.locator("#problem-words")).to_contain_text("<b>bold</b>")
        assert page.locator("b, #turns script, img[src=x]").count() == 0
        assert page.title() == "Triptych"


def test_pasted_markup_comes_as_words(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        page.locator("#editor").focus()
        page.evaluate(
            """(markup) => { const data = new DataTransfer(); data.setData("text/html", markup);
            data.setData("text/plain", markup); document.getElementById("editor").dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })); }""",
            MARKUP,
        )
        assert written(page) == MARKUP
        assert page.title() == "Triptych"


def test_a_file_that_is_no_picture_is_named_and_the_others_come(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        files = [("notes.png", b"no picture"), ("red.png", png("red"))]
        page.set_input_files("#files", [{"name": n, "mimeType": "image/png", "buffer": b} for n, b in files])
        playwright.expect(page.locator("#problem-words")).to_contain_text("notes.png: this browser cannot read it")
        assert written(page) == "[image 1: red.png]"


def test_a_vote_that_is_not_kept_can_be_given_again(browser: Any, script: Script) -> None:
    script.go.set()
    with opened(browser, script.url) as page:
        page.locator("#other").select_option("second")
        write(page, "Which?")
        send(page)
        page.locator(".vote").wait_for()
        script.refuse = (507, "votes.jsonl is full.")
        page.locator("[data-verdict=b]").click()
        playwright.expect(page.locator("#problem-words")).to_contain_text("Your vote is not kept.")
        script.refuse = None
        page.locator("[data-verdict=b]").click()
        playwright.expect(page.locator("#turns .assistant .note")).to_contain_text("b is better")


def test_the_page_allows_no_script_and_no_address_but_its_own() -> None:
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    assert "script-src 'self'; style-src 'self'; img-src data: blob:" in page
    assert re.findall(r"\son\w+=|\sstyle=|<script(?! type=\"module\" src=\"page.js\")", page) == []
    texts = {file.name: file.read_text(encoding="utf-8") for file in PAGE.iterdir()}
    banned = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?://|localStorage")
    assert {name: banned.findall(words) for name, words in texts.items() if banned.search(words)} == {}
    assert {name: words.count("\n") for name, words in texts.items() if words.count("\n") > 350} == {}


@pytest.mark.parametrize("night", [False, True])
def test_words_have_the_contrast_that_people_need(night: bool) -> None:
    days = re.findall(r":root \{(.*?)\}", (PAGE / "page.css").read_text(encoding="utf-8"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", days[int(night)]))
    pairs = [("ink", "paper"), ("ink", "card"), ("ink", "field"), ("quiet", "paper"), ("quiet", "card")]
    pairs += [("quiet", "accent-back"), ("accent", "paper"), ("accent", "card"), ("accent", "accent-back")]
    pairs += [("on-accent", "accent"), ("wrong", "wrong-back"), ("wrong", "paper"), ("quiet", "field")]
    assert {pair: ratio for pair in pairs if (ratio := _contrast(*(colours[name] for name in pair))) < 4.5} == {}
    assert _contrast(colours["edge"], colours["card"]) >= 3  # what shows where a field is


def _contrast(one: str, other: str) -> float:
    dark, light = sorted(map(_luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * letter for letter in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
