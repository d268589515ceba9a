"""Conversations shown to people, in the terminal and as one HTML page: images in place, their cost, what is learnt.

Not a report on training or scores. Two views: of an Example (roles, words, images), and of what the model reads, token
for token, where its Encoded is given. Text from data is never trusted: the page escapes it and asks nothing of the
network, and the terminal sees no control characters.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from PIL import Image
from rich import box
from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text as Line

from triptych.core.records import Example, ImageRef, Part, Text, Turn
from triptych.data.media.images import ImageError, load_image, measure
from triptych.data.media.locate import name_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from triptych.data.template import Encoded

THUMBNAIL_PX = 320
"""Longest side of an image on the page."""
_QUALITY = 80

LEARNT, READ, SHOWN = "green", "bright_black", "cyan"
"""Terminal colours of trained words, of words that are only read, and of images."""


@dataclass(frozen=True, slots=True)
class Words:
    """A run of words of one kind."""

    text: str
    learnt: bool
    special: bool = False
    """One special token, such as the end of a turn."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image at its place."""

    number: int
    """Its place among the conversation's images, from 1."""
    name: str
    size: str
    """``336x224``, or ``?`` where nobody has looked and nobody can."""
    tokens: int | None
    """What it costs; None where no tokens are given."""
    image: ImageRef
    data: str = ""
    """The thumbnail as a data URI; empty in the terminal, or where the file is broken."""
    problem: str = ""
    """Why there is no thumbnail."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Tokens of a conversation, or of all on a page."""

    text: int
    image: int
    trained: int


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """One turn, or where tokens are known the whole conversation, as runs and images."""

    role: str
    shown: bool
    """Belongs to a demonstration."""
    pieces: tuple[Words | Picture, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One conversation on the page."""

    id: str
    origin: str
    chips: tuple[str, ...]
    """Skills, scenario and labels."""
    said: tuple[ShownTurn, ...]
    tally: Tally | None
    images: int


def show_terminal(
    example: Example, encoded: Encoded | None = None, *, tokenizer: PreTrainedTokenizerBase | None = None
) -> RenderableType:
    """Return a conversation for ``rich`` to print; images stand as ``[image 1: name.jpg 336x224, 16 tokens]``.

    Args:
        example: what to show.
        encoded: its tokens; then the text is what the model reads, with what the loss sees in green.
        tokenizer: that made them; needed with ``encoded``.
    """
    card = _card(example, encoded, tokenizer, pixels=False)
    body = Line()
    for said in card.said:
        if said.role:
            body.append(f"{'demonstration, ' if said.shown else ''}{said.role}\n", style="bold")
        for piece in said.pieces:
            body.append_text(_line(piece))
        body.append("\n\n" if said.role else "\n")
    body.rstrip()
    title = Line(_printable(" · ".join(filter(None, (card.id, *card.chips)))), style="bold")
    return Panel(body, title=title, subtitle=_legend(card), box=box.ROUNDED, title_align="left", subtitle_align="left")


def show_html(examples: Sequence[tuple[Example, Encoded | None]], *, tokenizer: PreTrainedTokenizerBase | None) -> str:
    """Return one self-contained HTML page of conversations, their images inside it.

    Args:
        examples: conversations, each with its tokens or None.
        tokenizer: that made the tokens; None where there are none.
    """
    cards = [_card(example, encoded, tokenizer, pixels=True) for example, encoded in examples]
    tallies = [card.tally for card in cards if card.tally is not None]
    total = Tally(*(sum(getattr(tally, name) for tally in tallies) for name in ("text", "image", "trained")))
    return _page().render(
        cards=cards, total=total if tallies else None, images=sum(card.images for card in cards), width=THUMBNAIL_PX
    )


def pieces_of(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> Iterator[Words | ImageRef]:
    """Yield what the model reads, in order: runs of words, trained or not, special tokens, and images."""
    special = set(tokenizer.get_added_vocab().values())
    places = {place.start: place for place in encoded.places}
    at = 0
    while at < len(encoded.ids):
        if at in places:
            yield from places[at].images
            at = places[at].stop
            continue
        stop = at + 1
        learnt, is_special = encoded.trained[at], encoded.ids[at] in special
        while (
            not is_special
            and stop < len(encoded.ids)
            and stop not in places
            and encoded.trained[stop] == learnt
            and encoded.ids[stop] not in special
        ):
            stop += 1
        run = list(encoded.ids[at:stop])
        text = tokenizer.decode(run, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        yield Words(text, learnt, is_special)
        at = stop


def _card(
    example: Example, encoded: Encoded | None, tokenizer: PreTrainedTokenizerBase | None, *, pixels: bool
) -> Card:
    shelf = _Pictures(pixels)
    if encoded is None:
        said = tuple(_turns(example, shelf, shown=False))
        tally = None
    else:
        assert tokenizer is not None, "tokens are shown with the tokenizer that made them"
        costs = iter([slot.stop - slot.start for slot in encoded.slots])
        pieces = tuple(
            shelf.picture(piece, next(costs)) if isinstance(piece, ImageRef) else piece
            for piece in pieces_of(encoded, tokenizer)
        )
        said = (ShownTurn("", False, pieces),)
        in_images = sum(slot.stop - slot.start for slot in encoded.slots)
        tally = Tally(len(encoded.ids) - in_images, in_images, sum(encoded.trained))
    return Card(example.id, example.origin, _chips(example), said, tally, shelf.count)


def _turns(example: Example, shelf: _Pictures, *, shown: bool) -> Iterator[ShownTurn]:
    for demonstration in example.demonstrations:
        yield from _turns(demonstration, shelf, shown=True)
    for turn in example.turns:
        role = turn.role if turn.learnt or turn.role != "assistant" else f"{turn.role}, not learnt"
        yield ShownTurn(role, shown, tuple(_piece(part, turn, shelf) for part in turn.parts))


def _piece(part: Part, turn: Turn, shelf: _Pictures) -> Words | Picture:
    if isinstance(part, ImageRef):
        return shelf.picture(part, None)
    text = part.text if isinstance(part, Text) else f"[video: {Path(part.source).name}]"
    return Words(text, learnt=turn.role == "assistant" and turn.learnt)


class _Pictures:
    """Numbers a conversation's images. State: how many there were, and the thumbnails made."""

    def __init__(self, pixels: bool) -> None:
        self.count = 0
        self._pixels = pixels
        self._made: dict[ImageRef, tuple[str, str]] = {}

    def picture(self, image: ImageRef, tokens: int | None) -> Picture:
        """Return the next image."""
        self.count += 1
        try:
            known = image if image.size else measure(image)
        except ImageError:
            known = image
        size = f"{known.size[0]}x{known.size[1]}" if known.size else "?"
        data, problem = self._thumbnail(image) if self._pixels else ("", "")
        return Picture(self.count, name_of(image.source), size, tokens, image, data, problem)

    def _thumbnail(self, image: ImageRef) -> tuple[str, str]:
        if image not in self._made:
            try:
                self._made[image] = (_data_uri(load_image(image)), "")
            except ImageError as error:
                self._made[image] = ("", str(error))
        return self._made[image]


def _data_uri(pixels: Image.Image) -> str:
    pixels.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = io.BytesIO()
    pixels.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _chips(example: Example) -> tuple[str, ...]:
    scenario = example.facts.get("scenario")
    labels = (f"{name} {value:g}" for name, value in example.labels)
    return (*example.skills, *([str(scenario)] if scenario is not None else []), *labels)


def _line(piece: Words | Picture) -> Line:
    if isinstance(piece, Words):
        style = LEARNT if piece.learnt else READ
        return Line(_printable(piece.text), style=f"{style} italic" if piece.special else style)
    cost = "" if piece.tokens is None else f", {piece.tokens} token{'' if piece.tokens == 1 else 's'}"
    box_of = "" if piece.image.box is None else f" box {','.join(map(str, piece.image.box))}"
    kind = ", a frame" if piece.image.video else ""
    return Line(f"[image {piece.number}{kind}: {_printable(piece.name)}{box_of} {piece.size}{cost}]", style=SHOWN)


def _legend(card: Card) -> Line:
    legend = Line.assemble(("learnt", LEARNT), " · ", ("read", READ), " · ", ("image", SHOWN))
    if card.tally is not None:
        tally = card.tally
        legend.append(f" · {tally.text} text + {tally.image} image tokens, {tally.trained} trained")
    return legend


def _printable(text: str) -> str:
    """Return the text with control characters made visible, so that data cannot drive the terminal."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or not (code < 0x20 or 0x7F <= code < 0xA0):
        return character
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"


@cache
def _page() -> Template:
    here = FileSystemLoader(Path(__file__).parent)
    loader = Environment(loader=here, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return loader.get_template("show.html.jinja")
