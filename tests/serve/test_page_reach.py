"""The page for everybody: on a phone, without a mouse, for those who listen; over the real server and toy weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.serve.api_server import Running, serving
from tests.serve.browser import add, opened, playwright, send, write
from triptych.models.families.tiny import tiny

expect = playwright.expect


pytestmark = pytest.mark.flaky(reruns=2)
"""See ``browser.py``."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TRIPTYCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        with serving(tmp_path_factory.mktemp("serve"), [tiny(3), tiny(5)]) as running:
            yield running


@pytest.fixture
def page(browser: Any, server: Running) -> Iterator[Any]:
    with opened(browser, server.url) as found:
        found.locator("#max_tokens").fill("6")
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(browser: Any, server: Running, scheme: str) -> None:
    with opened(browser, server.url, width=360, color_scheme=scheme) as page:
        page.locator("#menu").click()
        page.locator("#max_tokens").fill("6")
        assert sideways(page) == 0
        page.locator("#other").select_option("other")
        page.locator("#menu").click()
        write(page, "Compare", "[red]", "[blue]", "[gold]", "[green]", "w" * 90)
        page.locator("#sees summary").click()
        page.locator("#sees-strip .picture").nth(3).wait_for()
        assert sideways(page) == 0
        send(page)
        page.locator(".vote").wait_for()
        assert sideways(page) == 0
        page.locator("[data-verdict=tie]").click()
        expect(page.locator("#turns .assistant")).to_have_count(1)
        assert sideways(page) == 0


def test_everything_is_done_without_a_mouse(page: Any) -> None:
    page.locator("#editor").focus()
    page.keyboard.type("Is ")
    add(page, "red", "blue")
    page.keyboard.type(" one?")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.what || ''"))
    moves = ["handle", "earlier", "later", "out"]
    assert reached[:10] == [*moves, *moves, "add", "frames"]
    assert reached[10] == "send"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#turns .assistant")).to_have_count(1)
    expect(page.locator("#editor")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.className").startswith("plain edit")


def test_every_control_has_a_name_and_the_page_its_landmarks(page: Any) -> None:
    write(page, "[red]")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, [tabindex='0'], [role=textbox]")]
        .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim() || node.labels?.length))
        .filter((node) => node.id !== "files").map((node) => node.outerHTML)"""
    )
    assert unnamed == []
    for role in ("banner", "main", "complementary"):
        assert page.get_by_role(role).count() == 1
    assert page.locator("[role=status]").count() >= 1
    assert page.locator("h1").count() == 1


def sideways(page: Any) -> int:
    """By how many pixels it is wider than its window."""
    root = "document.documentElement"
    found: int = page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    return found
