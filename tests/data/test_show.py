"""Showing: images in place with their cost, what the loss sees apart from the rest, and nothing in data trusted."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from transformers import PreTrainedTokenizerFast

from tests.pictures import draw
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.show import THUMBNAIL_PX, Words, pieces_of, show_html, show_terminal
from triptych.data.template import Encoded, render
from triptych.data.templates.chatml import TEMPLATE as CHATML

TOKENS_AN_IMAGE = 16


@pytest.fixture
def example(tmp_path: Path) -> Example:
    wide = ImageRef(draw(tmp_path / "wide.png", size=(700, 350)).source)
    left = ImageRef(wide.source, box=(0, 0, 100, 50))
    return Example(
        "ex-1",
        (
            Turn("user", (Text("Is "), wide, Text(" older than "), left, Text("?"))),
            Turn("assistant", (Text("The second one."),)),
            Turn("user", (Text("Sure?"),)),
            Turn("assistant", (Text("Yes."),)),
        ),
        origin="train.json: row 3",
        skills=("temporal",),
        facts={"scenario": "frames"},
    )


def encode(example: Example, tokenizer: PreTrainedTokenizerFast) -> Encoded:
    image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(image_token_id, int)
    return render(
        example,
        CHATML,
        tokenizer=tokenizer,
        image_token_id=image_token_id,
        image_ids=lambda image: [image_token_id] * TOKENS_AN_IMAGE,
    )


def printed(shown: RenderableType, *, colour: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=colour, color_system="standard" if colour else None)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_terminal_shows_images_in_place_with_their_cost(
    example: Example, tokenizer: PreTrainedTokenizerFast
) -> None:
    text = printed(show_terminal(example, encode(example, tokenizer), tokenizer=tokenizer))
    assert (
        "Is [image 1: wide.png 700x350, 16 tokens] older than [image 2: wide.png box 0,0,100,50 100x50, 16 tokens]?"
        in text
    )
    assert "ex-1 · temporal · frames" in text
    assert "32 image tokens" in text


def test_the_terminal_shows_roles_where_there_are_no_tokens(example: Example) -> None:
    text = printed(show_terminal(example))
    assert "Is [image 1: wide.png 700x350] older than [image 2: wide.png box 0,0,100,50 100x50]?" in text
    assert re.search(r"user.*assistant.*user.*assistant", text, re.DOTALL)
    assert "tokens" not in text


def test_a_frame_is_said_to_be_one(example: Example) -> None:
    part = example.turns[0].parts[1]
    assert isinstance(part, ImageRef)
    shown = Example("x", (Turn("user", (replace(part, video="/films/cat.mp4"), part, Text("?"))),))
    assert "[image 1, a frame: wide.png 700x350][image 2: wide.png 700x350]?" in printed(show_terminal(shown))
    assert (
        show_html([(shown, None)], tokenizer=None).count('<span class="box" title="/films/cat.mp4">frame</span>') == 1
    )


def test_what_the_loss_sees_is_green_and_the_rest_is_grey(example: Example, tokenizer: PreTrainedTokenizerFast) -> None:
    text = printed(show_terminal(example, encode(example, tokenizer), tokenizer=tokenizer), colour=True)
    green, grey = "\x1b[32m", "\x1b[90m"
    assert f"{green}The second one.\x1b[0m" in text
    assert f"{grey}Sure?\x1b[0m" in text


def test_the_pieces_are_all_that_the_model_reads(example: Example, tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(example, tokenizer)
    pieces = list(pieces_of(encoded, tokenizer))
    text = "".join(piece.text if isinstance(piece, Words) else "<image>" * TOKENS_AN_IMAGE for piece in pieces)
    assert text == tokenizer.decode(list(encoded.ids), clean_up_tokenization_spaces=False)
    learnt = [piece.text for piece in pieces if isinstance(piece, Words) and piece.learnt]
    assert learnt == ["The second one.", "<|im_end|>", "Yes.", "<|im_end|>"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    attack = "\x1b]0;owned\x07\x1b[2J\x9b31m [bold]not markup[/bold]"
    example = Example(f"x{attack}", (Turn("user", (Text(attack),)), Turn("assistant", (Text("No."),))))
    text = printed(show_terminal(example))
    assert not {"\x1b", "\x07", "\x9b"} & set(text)
    assert "[bold]not markup[/bold]" in text


def test_the_page_holds_images_costs_and_totals(example: Example, tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(example, tokenizer)
    page = show_html([(example, encoded), (example, None)], tokenizer=tokenizer)
    assert page.count('src="data:image/jpeg;base64,') == 4
    assert page.count('<span class="cost">16 tokens</span>') == 2
    text_tokens = len(encoded.ids) - 2 * TOKENS_AN_IMAGE
    trained = sum(encoded.trained)
    assert f"<b>{text_tokens}</b>text tokens" in page
    assert "<b>32</b>image tokens" in page
    assert f"<b>{trained}</b>trained tokens" in page
    assert '<span class="learnt">The second one.</span>' in page
    assert '<span class="read">Sure?</span>' in page
    assert "train.json: row 3" in page


def test_the_page_shows_each_image_small_and_in_its_place(example: Example) -> None:
    import base64

    from PIL import Image

    page = show_html([(example, None)], tokenizer=None)
    uris = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    sizes = [Image.open(io.BytesIO(base64.b64decode(uri))).size for uri in uris]
    assert sizes == [(THUMBNAIL_PX, THUMBNAIL_PX // 2), (100, 50)]
    said = re.sub(r"<figure.*?</figure>", "[image]", page, flags=re.DOTALL)
    assert "Is [image] older than [image]?" in re.sub(r"</?span[^>]*>", "", said)


def test_the_page_asks_nothing_of_the_network(example: Example, tokenizer: PreTrainedTokenizerFast) -> None:
    page = show_html([(example, encode(example, tokenizer))], tokenizer=tokenizer)
    without_pictures = re.sub(r'src="data:image/jpeg;base64,[^"]+"', "", page)
    assert not re.findall(r"https?:|//|<script|<link|@import|url\(|\ssrc=", without_pictures)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page


def test_data_cannot_write_the_page(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}"
    image = draw(tmp_path / "a'\"><b>.png")
    example = Example(
        attack,
        (Turn("user", (Text(attack), image)), Turn("assistant", (Text(attack),))),
        origin=attack,
        skills=(attack,),
        labels=((attack, 1.0),),
    )
    page = show_html([(example, None)], tokenizer=None)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "<b>.png" not in page
    assert "{{ 7 * 7 }}" in page, "what looks like a template is text"


def test_a_broken_image_is_shown_as_broken(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    broken, gone = ImageRef(str(tmp_path / "a.png")), ImageRef(str(tmp_path / "gone.png"))
    example = Example("x", (Turn("user", (broken, gone)), Turn("assistant", (Text("?"),))))
    page = show_html([(example, None)], tokenizer=None)
    assert "image unreadable" in page
    assert "no such image" in page
    assert "[image 1: a.png ?]" in printed(show_terminal(example))


def test_demonstrations_are_shown_first(example: Example, tmp_path: Path) -> None:
    shown = Example("d", (Turn("user", (Text("First this."),)), Turn("assistant", (Text("Ok."),))))
    whole = Example("x", example.turns, demonstrations=(shown,))
    text = printed(show_terminal(whole))
    assert text.index("demonstration, user") < text.index("First this.") < text.index("Is [image 1")
    assert "demonstration, assistant" in show_html([(whole, None)], tokenizer=None)


def test_a_page_of_nothing_is_a_page() -> None:
    assert "0 conversations" in show_html([], tokenizer=None)
