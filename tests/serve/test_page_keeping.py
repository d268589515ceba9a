"""The page and what a browser keeps of it: each tab its own, over any reload, and nothing thrown away unasked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.serve.browser import opened, playwright, send, write, written
from tests.serve.page_server import Script, scripted

expect = playwright.expect
NO_LOCKS = "Object.defineProperty(navigator, 'locks', { value: undefined });"
"""As where a page comes without TLS."""
STORED = """(words) => new Promise((resolve) => { const request = indexedDB.open("triptych", 1);
  request.onsuccess = () => {
    const all = request.result.transaction("conversations").objectStore("conversations").getAll();
    all.onsuccess = () => { request.result.close(); resolve(JSON.stringify(all.result).includes(words)); }; }; })"""
OLD = """() => new Promise((resolve) => { const request = indexedDB.open("triptych", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("conversations");
  request.onsuccess = () => { const all = request.result.transaction("conversations", "readwrite");
    all.objectStore("conversations").put({ id: "page-old", duels: 0, settings: { system: "" },
      turns: [{ role: "user", parts: [{ kind: "text", text: "Look" }] }],
      draft: [{ kind: "text", text: "then" }] }, "last");
    all.oncomplete = () => { request.result.close(); resolve(); }; }; })"""


pytestmark = pytest.mark.flaky(reruns=2)
"""See ``browser.py``."""


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted(Script()) as running:
        running.go.set()
        yield running


def ask(page: Any, words: str) -> None:
    before = page.locator("#turns .assistant").count()
    write(page, words)
    send(page)
    expect(page.locator("#turns .assistant")).to_have_count(before + 1)


def reload(page: Any) -> None:
    page.reload()
    expect(page.locator("#model")).to_be_enabled()


def tab(page: Any, url: str) -> Any:
    """Another tab of the same browser."""
    other = page.context.new_page()
    other.goto(f"{url}/")
    expect(other.locator("#model")).to_be_enabled()
    return other


def stored(page: Any, words: str) -> None:
    """Wait until words stand in what is kept; ``wait_for_function`` takes a promise for a yes."""
    until = time.monotonic() + 10
    while not page.evaluate(STORED, words):
        assert time.monotonic() < until, f"{words!r} was never kept"
        page.wait_for_timeout(50)


def questions(page: Any) -> list[str]:
    found: list[str] = page.locator("#turns .user .said").all_text_contents()
    return found


def test_what_was_written_just_before_a_reload_is_kept(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        warned: list[str] = []
        page.on("dialog", lambda dialog: (warned.append(dialog.type), dialog.accept()))
        page.locator("#keep").check()
        stored(page, '"draft":[]')
        write(page, "A long text")
        reload(page)
        assert written(page) == "A long text"
        assert warned == ["beforeunload"]


def test_two_tabs_keep_a_conversation_each(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as one:
        one.locator("#keep").check()
        ask(one, "Mine?")
        reload(one)
        other = tab(one, script.url)
        expect(other.locator("#keep-told")).to_have_text("A conversation is kept by another tab. This one is not.")
        assert questions(other) == []
        other.locator("#keep").check()
        ask(other, "Another?")
        for _ in range(2):
            for page in (other, one):
                reload(page)
            assert (questions(one), questions(other)) == (["Mine?"], ["Another?"])
        other.locator("#keep").uncheck()
        expect(other.locator("#keep-told")).to_contain_text("What other tabs keep is theirs")
        reload(one)
        assert questions(one) == ["Mine?"]


def test_a_tab_that_comes_later_finds_what_no_other_holds(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as one:
        one.locator("#keep").check()
        ask(one, "Mine?")
        stored(one, "Mine?")
        other = tab(one, script.url)
        one.close()
        third = tab(other, script.url)
        assert questions(third) == ["Mine?"]
        third.locator("#keep").uncheck()
        expect(third.locator("#status")).to_contain_text("Deleted from this browser.")
        reload(third)
        assert questions(third) == []


def test_without_locks_what_another_tab_wrote_is_not_written_over(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as one:
        one.context.add_init_script(NO_LOCKS)
        reload(one)
        one.locator("#keep").check()
        ask(one, "First?")
        stored(one, "First?")
        other = tab(one, script.url)
        ask(other, "Another?")
        stored(other, "Another?")
        ask(one, "Mine?")
        expect(one.locator("#keep-told")).to_contain_text("From here on this tab keeps one of its own.")
        for page in (one, other):
            reload(page)
        assert (questions(one), questions(other)) == (["First?", "Mine?"], ["First?", "Another?"])


@pytest.mark.parametrize("locks", ["", NO_LOCKS], ids=["locks", "no locks"])
def test_two_tabs_never_vote_under_one_name(browser: Any, script: Script, locks: str) -> None:
    with opened(browser, script.url) as one:
        one.context.add_init_script(locks)
        reload(one)
        one.locator("#keep").check()
        reload(one)
        for page in (one, tab(one, script.url)):
            page.locator("#other").select_option("second")
            write(page, "Which?")
            send(page)
            page.locator("[data-verdict=a]").click()
            expect(page.locator("#turns .assistant")).to_have_count(1)
    names = [each["id"] for each in script.asked if each["path"] == "/v1/votes"]
    assert len(set(names)) == 2


def test_a_question_that_was_on_its_way_at_a_reload_is_a_message_again(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        page.evaluate(OLD)
        reload(page)
        assert questions(page) == []
        assert written(page) == "Look\nthen"
        send(page)
        expect(page.locator("#turns .assistant")).to_have_count(1)
        reload(page)
        assert questions(page) == ["Look\nthen"]


def test_a_conversation_is_thrown_away_only_where_a_person_says_so(browser: Any, script: Script) -> None:
    with opened(browser, script.url) as page:
        asked: list[str] = []
        page.locator("#keep").check()
        ask(page, "Mine?")
        page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
        page.locator("#new").click()
        assert questions(page) == ["Mine?"]
        assert asked == ["This conversation is thrown away with what is kept of it. Begin a new one?"]
        page.once("dialog", lambda dialog: dialog.accept())
        page.locator("#new").click()
        expect(page.locator("#turns li")).to_have_count(0)
        ask(page, "Next?")
        reload(page)
        assert questions(page) == ["Next?"]
        assert not page.evaluate(STORED, "Mine?")
