"""The page in a browser, over the real server and toy weights: images among words, their order, votes, export, keys."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from openai import OpenAI
from typer.testing import CliRunner

from tests.serve.api_server import Running, serving
from tests.serve.browser import add, heard, opened, playwright, png, send, write, written
from triptych.cli.main import build_app
from triptych.core.records import Example, Text, images_of
from triptych.data.format import read_source
from triptych.data.media.images import load_image
from triptych.evaluate.saved.arena import read_contestants
from triptych.evaluate.saved.votes import read_votes
from triptych.models.families.tiny import tiny

expect = playwright.expect
STRIP = "#strip li:nth-child({}) [data-what={}]"


pytestmark = pytest.mark.flaky(reruns=2)
"""See ``browser.py``."""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TRIPTYCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("serve"), [tiny(3), tiny(5)]) as running:
        yield running


@pytest.fixture
def page(browser: Any, server: Running) -> Iterator[Any]:
    with opened(browser, server.url) as found:
        found.locator("#max_tokens").fill("6")
        yield found


def ask(page: Any, *parts: str) -> None:
    before = page.locator("#turns .assistant").count()
    write(page, *parts)
    send(page)
    expect(page.locator("#turns .assistant")).to_have_count(before + 1)


def drop(page: Any, colour: str, *, x: float, y: float) -> None:
    """Drop a file at a point of the window."""
    page.evaluate(
        """({ bytes, name, x, y }) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
          for (const kind of ["dragover", "drop"]) document.elementFromPoint(x, y).dispatchEvent(
            new DragEvent(kind, { dataTransfer: data, clientX: x, clientY: y, bubbles: true, cancelable: true }));
        }""",
        {"bytes": list(png(colour)), "name": f"{colour}.png", "x": x, "y": y},
    )


def box(locator: Any) -> tuple[float, float, float, float]:
    found = locator.bounding_box()
    return found["x"], found["y"], found["width"], found["height"]


def test_images_stand_in_the_text_by_choosing_pasting_and_dropping(page: Any) -> None:
    write(page, "Compare ", "[red]", " with ", "[blue]", ".")
    page.evaluate(
        """(bytes) => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "green.png", { type: "image/png" }));
        document.getElementById("editor").dispatchEvent(
          new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })); }""",
        list(png("green")),
    )
    expect(page.locator("#editor .chip")).to_have_count(3)
    left, top, _, height = box(page.locator("#editor .chip").nth(1))
    drop(page, "gold", x=left + 2, y=top + height / 2)
    expect(page.locator("#editor .chip")).to_have_count(4)
    expected = "Compare [image 1: red.png] with [image 2: gold.png][image 3: blue.png].[image 4: green.png]"
    assert written(page) == expected


def test_the_numbers_are_those_of_the_servers_layout_over_several_turns(page: Any) -> None:
    ask(page, "Is ", "[red]", " like ", "[blue]", "?")
    write(page, "And ", "[gold]", "?")
    page.locator("#sees summary").click()
    expect(page.locator("#sees-strip .picture")).to_have_count(3)
    shown = page.locator("#sees-strip .picture b").all_text_contents()
    labels = [chip.get_attribute("aria-label") for chip in page.locator("#turns .chip, #editor .chip").all()]
    assert [f"{number}: {colour}.png" for number, colour in zip(shown, ("red", "blue", "gold"), strict=True)] == labels
    words = "".join(page.locator("#sees-strip .words").all_text_contents())
    assert "Is " in words
    assert " like " in words
    total = int(page.locator("#sees-sum").inner_text().split()[1])
    costs = [int(cost.split()[0]) for cost in page.locator("#sees-strip .cost").all_text_contents()]
    tokens = [int(each.split()[0]) for each in page.locator("#sees-strip .about span").all_text_contents()]
    assert sum(costs) + sum(tokens) == total


def test_images_are_moved_by_keys_and_it_is_said(page: Any) -> None:
    write(page, "Compare ", "[red]", " with ", "[blue]", " now")
    page.locator(STRIP.format(2, "handle")).focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert written(page) == "Compare [image 1: blue.png] with [image 2: red.png] now"
    heard(page, "Now image 1, after “Compare”, before “with [image 2]")
    page.keyboard.press("ArrowRight")
    assert written(page) == "Compare  with[image 1: blue.png] [image 2: red.png] now"
    page.keyboard.press("End")
    assert written(page) == "Compare  with [image 1: red.png] now[image 2: blue.png]"
    assert page.evaluate("document.activeElement.closest('li').getAttribute('data-uid')")
    page.keyboard.press("Delete")
    assert written(page) == "Compare  with [image 1: red.png] now"
    heard(page, "blue.png is out. 1 image left.")
    page.locator("#editor").focus()
    page.keyboard.press("Control+z")
    assert written(page) == "Compare  with [image 1: red.png] now[image 2: blue.png]"


def test_images_are_moved_with_buttons_and_taken_out(page: Any) -> None:
    write(page, "Compare ", "[red]", " with ", "[blue]")
    page.locator(STRIP.format(1, "earlier")).click()
    assert written(page) == "[image 1: red.png]Compare  with [image 2: blue.png]"
    page.locator(STRIP.format(1, "out")).click()
    assert written(page) == "Compare  with [image 1: blue.png]"


def test_images_are_moved_by_dragging(page: Any) -> None:
    write(page, "Compare ", "[red]", " with ", "[blue]", " now")
    left, top, width, height = box(page.locator("#editor .chip").nth(0))
    to_left, to_top, to_width, to_height = box(page.locator("#editor .chip").nth(1))
    page.mouse.move(left + width / 2, top + height / 2)
    page.mouse.down()
    page.mouse.move(to_left, to_top + 5, steps=3)
    expect(page.locator(".caret-mark")).to_be_visible()
    page.mouse.move(to_left + to_width - 3, to_top + to_height / 2, steps=3)
    page.mouse.up()
    assert written(page) == "Compare  with [image 1: blue.png][image 2: red.png] now"
    heard(page, "Now image 2")


def test_typing_around_images_keeps_every_letter(page: Any) -> None:
    write(page, "ab", "[red]", "[blue]")
    keys = ["ArrowLeft", "x", "ArrowRight", "y", "Shift+Enter", "z", "Backspace", "Backspace", "Backspace", "Backspace"]
    seen = []
    for key in keys:
        page.keyboard.press(key)
        seen.append(written(page).replace("[image 1: red.png]", "R").replace("[image 2: blue.png]", "B"))
    assert seen == ["abRB", "abRxB", "abRxB", "abRxBy", "abRxBy\n", "abRxBy\nz", "abRxBy\n", "abRxBy", "abRxB", "abRx"]
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert written(page).startswith("ab[image 1: red.png]x[image 2: blue.png]")


def test_a_copied_image_is_another_one_with_a_number_of_its_own(page: Any) -> None:
    write(page, "a ", "[red]")
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Control+v")
    assert written(page) == "a [image 1: red.png]a [image 2: red.png]"


def test_a_video_becomes_as_many_images_as_are_asked_for(page: Any, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.webm"), "w") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    page.locator("#frames").fill("3")
    page.set_input_files("#files", str(tmp_path / "clip.webm"))
    expect(page.locator("#editor .chip")).to_have_count(3)
    names = [chip.get_attribute("aria-label") for chip in page.locator("#editor .chip").all()]
    assert [name.partition(":")[0] for name in names] == ["image 1", "image 2", "image 3"]
    assert [name.split(" at ")[1] for name in names] == ["0.0 s", "1.0 s", "1.9 s"]
    thumbs = {img.get_attribute("src") for img in page.locator("#editor .chip img").all()}
    assert len(thumbs) == 3


def test_two_models_are_compared_unnamed_and_the_vote_can_be_read(page: Any, server: Running) -> None:
    page.locator("#other").select_option("other")
    write(page, "Which of ", "[red]", "[blue]", "?")
    send(page)
    page.locator(".vote").wait_for()
    shown = page.locator("#live").inner_text()
    assert "toy" not in shown
    assert "other" not in shown
    replies = page.locator("#live .said").all_text_contents()
    page.locator("[data-verdict=b]").click()
    expect(page.locator("#turns .assistant")).to_have_count(1)
    assert page.locator("#turns .assistant .said").text_content() == replies[1]
    note = page.locator("#turns .note").inner_text()
    a, b = (note.split(f"{side} was ")[1].split(",")[0] for side in "AB")
    contestants = read_contestants([server.folder / f"{name}.jsonl" for name in ("toy", "other")])
    vote = read_votes(server.folder / "votes.jsonl", contestants)[-1]
    assert (vote.first, vote.second, vote.won) == (a, b, 0.0)
    last = json.loads((server.folder / f"{b}.jsonl").read_text().splitlines()[-1])
    assert last["reply"] == replies[1]


def test_an_export_is_read_as_the_same_conversation(page: Any, tmp_path: Path) -> None:
    page.locator("#system").fill("You look closely.")
    ask(page, "Is ", "[red]", " like ", "[blue]", "?")
    page.locator("#turns .edit").click()
    page.locator(".editing").fill("No, one is red.")
    page.get_by_role("button", name="Keep the change").click()
    ask(page, "And again ", "[red]", "?")
    with page.expect_download() as download:
        page.locator("#export").click()
    path = tmp_path / "mine.jsonl"
    download.value.save_as(path)
    (example,) = read_source(f"messages:{path}")
    assert isinstance(example, Example), example
    assert [turn.role for turn in example.turns] == ["system", "user", "assistant", "user", "assistant"]
    said = [part.text if isinstance(part, Text) else "*" for part in example.turns[1].parts]
    assert said == ["Is ", "*", " like ", "*", "?"]
    assert example.turns[2].parts == (Text("No, one is red."),)
    red, blue = (255, 0, 0), (0, 0, 255)
    images = images_of(example)
    assert [load_image(image).getpixel((3, 3)) for image in images] == [red, blue, red]
    assert images[0].source == images[2].source
    checked = CliRunner().invoke(build_app(), ["data", "check", f"messages:{path}"])
    assert checked.exit_code == 0, checked.output


def test_a_copied_request_answers_as_the_page_did(page: Any, server: Running, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    write(page, 'Is "', "[red]", "\" like 'é'")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("$HOME \\ ?")
    copied = {}
    for name in ("curl", "python"):
        page.locator("#code").click()
        page.locator(f"#code-{name}").click()
        assert len(page.locator("#code-text").inner_text()) < 2500
        page.locator("#code-copy").click()
        expect(page.locator("#code-told")).to_have_text("Copied.")
        copied[name] = page.evaluate("navigator.clipboard.readText()")
        page.locator("#code-close").click()
    send(page)
    expect(page.locator("#turns .assistant")).to_have_count(1)
    reply = page.locator("#turns .assistant .said").text_content()
    done = subprocess.run(["sh", "-s"], input=copied["curl"], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == reply
    said: list[str] = []
    exec(compile(copied["python"], "copied", "exec"), {"print": said.append})
    assert said == [reply]
    assert OpenAI.__name__ in copied["python"]


def test_a_key_is_asked_for_and_kept_nowhere(browser: Any, tmp_path: Path) -> None:
    with (
        serving(tmp_path, keys=frozenset({"a-secret-key"})) as server,
        opened(browser, server.url, ready=False) as page,
    ):
        expect(page.locator("#key")).to_be_focused()
        page.keyboard.type("not-the-key")
        page.keyboard.press("Enter")
        expect(page.locator("#problem-words")).to_contain_text("wants an API key")
        page.locator("#key").fill("a-secret-key")
        page.keyboard.press("Enter")
        expect(page.locator("#model")).to_be_enabled()
        expect(page.locator("#key-form")).to_be_hidden()
        page.locator("#keep").check()
        page.locator("#max_tokens").fill("4")
        ask(page, "What?")
        page.locator("#code").click()
        assert "$TRIPTYCH_API_KEY" in page.locator("#code-text").inner_text()
        page.wait_for_timeout(800)  # what is kept is kept a moment later
        assert "a-secret-key" not in kept(page)
        assert "What?" in kept(page)
        assert "a-secret-key" not in page.content()


def test_a_conversation_is_kept_only_where_that_is_wanted(page: Any) -> None:
    ask(page, "Is ", "[red]", "?")
    assert kept(page) == "[]"
    page.locator("#keep").check()
    write(page, "then ", "[blue]")
    page.wait_for_timeout(800)
    page.reload()
    expect(page.locator("#turns li")).to_have_count(2)
    assert written(page) == "then [image 2: blue.png]"
    assert page.locator("#max_tokens").input_value() == "6"
    add(page, "gold")
    assert "[image 3: gold.png]" in written(page)
    page.locator("#keep").uncheck()
    heard(page, "Deleted from this browser.")
    assert kept(page) == "[]"


def test_a_message_is_taken_back_whole(page: Any) -> None:
    ask(page, "Is ", "[red]", "?")
    page.locator("#back").click()
    assert written(page) == "Is [image 1: red.png]?"
    assert page.locator("#turns li").count() == 0


def kept(page: Any) -> str:
    """All that the page has put into the browser."""
    found: str = page.evaluate(
        """() => new Promise((resolve) => { const request = indexedDB.open("triptych", 1);
          request.onupgradeneeded = () => request.result.createObjectStore("conversations");
          request.onsuccess = () => { const all = request.result.transaction("conversations")
            .objectStore("conversations").getAll();
            all.onsuccess = () => { request.result.close(); resolve(JSON.stringify(all.result)); }; }; })"""
    )
    stored: int = page.evaluate("localStorage.length + sessionStorage.length")
    assert stored == 0
    return found
