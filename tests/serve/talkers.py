"""A talker whose replies are known: "reply 1", "reply 2" and so on, piece by piece; and how turns look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from triptych.core.errors import TriptychError
from triptych.core.records import Example, ImageRef, Text
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Layout
from triptych.infer.engine.ticket import Delta, Listener, Ticket, Usage
from triptych.serve.commands import Session
from triptych.serve.conversation import Conversation
from triptych.serve.media import open_shown
from triptych.serve.terminal import converse


@dataclass
class Known:
    """Answers what ``reply`` makes of the number of the question, and keeps what it was asked."""

    reply: Callable[[int], str | TriptychError] = lambda number: f"reply {number}"
    name: str = "known"
    numbers_images: bool = False
    longest: int | None = None
    questions: list[Example] = field(default_factory=list)
    samplings: list[Sampling] = field(default_factory=list)

    def submit(self, question: Example, sampling: Sampling, *, listener: Listener | None = None) -> Ticket:
        self.questions.append(question)
        self.samplings.append(sampling)
        ticket = Ticket(question.id, Usage(0, 0, 0, 0), listener=listener)
        said = self.reply(len(self.questions))
        if isinstance(said, TriptychError):
            ticket.fail(said)
            return ticket
        for word in said.split(" "):
            ticket.tell(Delta(f"{word} "))
        ticket.tell(Delta("", finish="stop"))
        return ticket

    def layout(self, question: Example) -> Layout | None:
        return None

    def close(self) -> None:
        pass


def draw(folder: Path, *names: str) -> list[ImageRef]:
    """Pictures of different sizes, 10x10, 20x10 and so on, under these names."""
    for number, name in enumerate(names, start=1):
        Image.effect_noise((10 * number, 10), 50).save(folder / name)
    return [open_shown(str(folder / name))[0] for name in names]


def session_of(talker: Known, chat: Conversation, shown: list[str]) -> Session:
    return Session(talker, chat, shown.append, Sampling())


def talk(talker: Known, chat: Conversation, *lines: str) -> str:
    shown: list[str] = []
    converse(session_of(talker, chat, shown), lines)
    return "".join(shown)


def shape(example: Example, turn: int = -1) -> list[str]:
    """A turn's parts, an image as its file's name in brackets."""
    parts = example.turns[turn].parts
    return [part.text if isinstance(part, Text) else f"[{Path(part.source).stem}]" for part in parts]


def without_sizes(images: tuple[ImageRef, ...]) -> list[ImageRef]:
    return [replace(image, size=None) for image in images]
