"""What a person types goes where they type it, whatever the page gets ready meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.serve.browser import add, heard, opened, playwright, png, send, write, written
from tests.serve.page_server import Script, scripted

expect = playwright.expect
SLOW_PICTURES = """() => {
  const real = window.createImageBitmap;
  const waited = new Promise((resolve) => { window.letGo = resolve; });
  window.createImageBitmap = async (file) => { await waited; return real(file); };
}"""


pytestmark = pytest.mark.flaky(reruns=2)
"""See ``browser.py``."""


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted(Script()) as running:
        yield running


def test_models_that_are_told_late_take_nobody_from_a_field(browser: Any, script: Script) -> None:
    script.silent = True
    with opened(browser, script.url, ready=False) as page:
        page.locator("#system").focus()
        page.keyboard.type("Be ")
        script.silent = False
        expect(page.locator("#model")).to_be_enabled()
        page.evaluate("() => new Promise((resolve) => setTimeout(resolve))")
        page.keyboard.type("short.")
        assert page.locator("#system").input_value() == "Be short."
        assert written(page) == ""


def test_models_that_are_told_put_the_caret_in_the_box_where_nobody_is_at_work(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        expect(page.locator("#editor")).to_be_focused()


def test_the_caret_is_where_the_last_letter_went_though_the_browser_tells_it_late(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        page.evaluate(
            """() => {
              document.getElementById("editor").focus();
              document.execCommand("insertText", false, "C");
              document.getElementById("problem-away").click();  // gives the focus back to the box
            }"""
        )
        page.keyboard.type("ompare")
        assert written(page) == "Compare"


@pytest.mark.parametrize("away", [False, True])
def test_images_that_come_late_leave_the_caret_with_its_writer(browser: Any, script: Script, away: bool) -> None:
    with opened(browser, script.url) as page:
        write(page, "Here ")
        page.evaluate(SLOW_PICTURES)
        page.set_input_files("#files", [{"name": "red.png", "mimeType": "image/png", "buffer": png("red")}])
        page.keyboard.type("is")
        if away:
            page.locator("#system").focus()
        page.evaluate("() => letGo()")
        expect(page.locator("#editor .chip")).to_have_count(1)
        page.keyboard.type(" it")
        assert written(page) == "Here [image 1: red.png]is" + ("" if away else " it")
        assert page.locator("#system").input_value() == (" it" if away else "")


def test_a_message_is_not_sent_without_an_image_that_is_being_read(browser: Any, script: Script) -> None:
    script.go.set()
    with opened(browser, script.url) as page:
        write(page, "What is in ")
        page.evaluate(SLOW_PICTURES)
        page.set_input_files("#files", [{"name": "red.png", "mimeType": "image/png", "buffer": png("red")}])
        page.keyboard.type("?")
        page.keyboard.press("Enter")
        heard(page, "An image is still being read.")
        expect(page.locator("#reading")).to_contain_text("Reading red.png.")
        assert page.locator("#send").is_disabled()
        page.evaluate("() => letGo()")
        expect(page.locator("#send")).to_be_enabled()
        expect(page.locator("#reading")).to_be_hidden()
        page.keyboard.press("Enter")
        expect(page.locator("#turns .assistant")).to_have_count(1)
        (asked,) = script.asked
        assert [part["type"] for part in asked["messages"][0]["content"]] == ["text", "image_url", "text"]


@pytest.mark.parametrize("button", ["#unread", "#new"])
def test_an_image_that_comes_after_nobody_waits_for_it_is_left_out(browser: Any, script: Script, button: str) -> None:
    with opened(browser, script.url) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.evaluate(SLOW_PICTURES)
        page.set_input_files("#files", [{"name": "red.png", "mimeType": "image/png", "buffer": png("red")}])
        page.locator(button).click()
        assert page.locator("#send").is_enabled()
        page.evaluate("() => letGo()")
        add(page, "blue")
        assert written(page) == "[image 1: blue.png]"


def test_an_image_being_read_goes_behind_a_message_that_comes_back(browser: Any, script: Script) -> None:
    script.refuse = (400, "no")
    with opened(browser, script.url) as page:
        write(page, "What?")
        page.evaluate(SLOW_PICTURES)
        held: list[Any] = []
        page.route("**/v1/chat/completions", lambda route: held.append(route))
        send(page)
        expect(page.locator("#stop")).to_be_visible()
        page.set_input_files("#files", [{"name": "red.png", "mimeType": "image/png", "buffer": png("red")}])
        held[0].continue_()
        expect(page.locator("#problem")).to_be_visible()
        page.evaluate("() => letGo()")
        expect(page.locator("#editor .chip")).to_have_count(1)
        assert written(page) == "What?[image 1: red.png]"


def test_a_message_that_was_taken_back_is_not_undone_into_nothing(browser: Any, script: Script) -> None:
    script.go.set()
    with opened(browser, script.url) as page:
        write(page, "What?")
        send(page)
        expect(page.locator("#turns .assistant")).to_have_count(1)
        write(page, "half")
        page.locator("#back").click()
        page.keyboard.press("Control+z")
        assert written(page) == "What?\nhalf"


@pytest.mark.parametrize(
    ("words", "expected"),
    [("cell text", "cell text"), ("", "[image 1: red.png]"), ("/home/me/red.png", "[image 1: red.png]")],
)
def test_words_beside_a_pasted_picture_are_taken(browser: Any, script: Script, words: str, expected: str) -> None:
    with opened(browser, script.url) as page:
        page.locator("#editor").focus()
        page.evaluate(
            """({ words, bytes }) => { const data = new DataTransfer(); if (words) data.setData("text/plain", words);
            data.items.add(new File([new Uint8Array(bytes)], "red.png", { type: "image/png" }));
            document.getElementById("editor").dispatchEvent(
              new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })); }""",
            {"words": words, "bytes": list(png("red"))},
        )
        expect(page.locator("#send")).to_be_enabled()
        assert written(page) == expected


def test_a_past_question_is_copied_with_its_images(browser: Any, script: Script) -> None:
    script.go.set()
    with opened(browser, script.url) as page:
        write(page, "see ", "[red]", " and ", "[blue]", " end")
        send(page)
        expect(page.locator("#turns .assistant")).to_have_count(1)
        page.evaluate(
            """() => { document.activeElement.blur();
            document.getSelection().selectAllChildren(document.querySelector("#turns .user .said")); }"""
        )
        page.keyboard.press("Control+c")
        assert page.evaluate("navigator.clipboard.readText()") == "see [image 1] and [image 2] end"
        page.locator("#editor").focus()
        page.keyboard.press("Control+v")
        assert written(page) == "see [image 3: red.png] and [image 4: blue.png] end"


def test_an_image_that_comes_before_the_caret_moves_it_along(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        write(page, "one two")
        page.evaluate(SLOW_PICTURES)
        page.keyboard.press("Home")
        page.set_input_files("#files", [{"name": "red.png", "mimeType": "image/png", "buffer": png("red")}])
        page.keyboard.press("End")
        page.evaluate("() => letGo()")
        expect(page.locator("#editor .chip")).to_have_count(1)
        page.keyboard.type("!")
        assert written(page) == "[image 1: red.png]one two!"


def test_writing_goes_on_behind_an_image_that_was_waited_for(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        write(page, "Here ")
        add(page, "red", "blue")
        page.keyboard.type("!")
        assert written(page) == "Here [image 1: red.png][image 2: blue.png]!"


def test_a_reply_and_a_refusal_take_nobody_from_a_field(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        for refuse in (None, (400, "no")):
            script.refuse = refuse
            script.go.clear()
            write(page, "What?")
            send(page)
            page.locator("#system").focus()
            script.go.set()
            expect(page.locator("#stop")).to_be_hidden()
            page.keyboard.type("x")
        assert page.locator("#system").input_value() == "xx"
        assert written(page) == "What?"
        page.locator("#editor").focus()
        page.keyboard.type(" Now?")
        assert written(page) == "What? Now?"
