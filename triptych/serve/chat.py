"""A chat in the terminal about any number of images, in order, over several turns.

Not a model and not a server: anything that speaks (`infer.responder.Speaker`) will do. Lines come from an iterable and
text goes to a callable, so a pipe and a test are terminals too. Invariant: what could not be asked, because a picture
is broken or the conversation too long, leaves the conversation as it was.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import DataError, TriptychError
from triptych.core.records import Example, ImageRef, Part, Text, Turn
from triptych.data.media.images import load_image, measure
from triptych.infer.responder import Speaker

HELP = """\
Type a message and press Enter. New images stand in front of your next message, numbered in order.
  {photo.png}     puts an image in the middle of a sentence; {2} shows image 2 again; {{ and }} are plain braces
  /add PATH ...   adds images in front of the next message
  /images         lists the images so far
  /undo           takes back the last message with its answer, or the last /add
  /reset          starts again with the images given at the start
  /help  /quit    Ctrl-C stops an answer, Ctrl-D leaves
"""
PROMPT = "> "
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Moment:
    """A conversation at one time."""

    turns: tuple[Turn, ...] = ()
    waiting: tuple[ImageRef, ...] = ()
    """Images that the next message will show, in order."""

    @property
    def shown(self) -> tuple[ImageRef, ...]:
        """Every image that a turn shows, in the order of its first showing; the first is image 1."""
        parts = (part for turn in self.turns for part in turn.parts)
        return tuple(dict.fromkeys(part for part in parts if isinstance(part, ImageRef)))


class Chat:
    """An Example that grows. Its state is the conversation and the moments to go back to."""

    def __init__(self, images: Sequence[ImageRef] = (), *, number_images: bool = True) -> None:
        """Begin with images that wait for the first message.

        Args:
            images: in order; see `open_image`.
            number_images: write ``Image 1:`` before an image that stands in front of a message. False where the
                model's template numbers images by itself.
        """
        self._first = Moment(waiting=tuple(dict.fromkeys(images)))
        self._number_images = number_images
        self.now = self._first
        self._before: list[Moment] = []

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """All images, shown and waiting, in the order of their numbers."""
        return tuple(dict.fromkeys((*self.now.shown, *self.now.waiting)))

    def ask(self, message: str) -> Example:
        """Return the conversation with a message at its end, to be answered; the chat itself does not change yet.

        Raises:
            DataError: the message names an image that is not there or cannot be read.
        """
        return Example("chat", (*self.now.turns, Turn("user", self._parts(message))), origin="this conversation")

    def keep(self, question: Example, reply: str) -> None:
        """Go on from ``question`` and its reply."""
        self._go(Moment((*question.turns, Turn("assistant", (Text(reply),)))))

    def add(self, images: Sequence[ImageRef]) -> None:
        """Let images wait for the next message; one that is there already keeps its number and is shown again."""
        self._go(Moment(self.now.turns, tuple(dict.fromkeys((*self.now.waiting, *images)))))

    def undo(self) -> bool:
        """Go back to before the last `keep` or `add`; False when there is none."""
        if self._before:
            self.now = self._before.pop()
            return True
        return False

    def reset(self) -> None:
        """Begin again, with the first images waiting."""
        self.now = self._first
        self._before.clear()

    def _go(self, moment: Moment) -> None:
        self._before.append(self.now)
        self.now = moment

    def _parts(self, message: str) -> tuple[Part, ...]:
        parts: list[Part] = []
        for image in self.now.waiting:
            if self._number_images:
                parts += [Text(f"Image {self.images.index(image) + 1}: "), image, Text("\n")]
            else:
                parts.append(image)
        for piece in _pieces(message):
            parts.append(piece if isinstance(piece, Text) else self._named(piece.source))
        return tuple(_joined(parts))

    def _named(self, name: str) -> ImageRef:
        """Return image number N for ``N``, else the picture at a path."""
        if not name.strip().isdecimal():
            return open_image(name)
        number = int(name)
        if not 1 <= number <= len(self.images):
            raise DataError(f"there is no image {number}; there are {len(self.images)}. See /images.")
        return self.images[number - 1]


def open_image(path: str) -> ImageRef:
    """Return a picture for a chat, looked at whole, so that a torn one is told at once.

    Raises:
        DataError: no picture is there, or it cannot be read.
    """
    image = measure(ImageRef(str(Path(path.strip()).expanduser().absolute())))
    load_image(image)
    return image


def converse(
    speaker: Speaker, lines: Iterable[str], *, out: Callable[[str], None], chat: Chat, max_tokens: int = 256
) -> None:
    """Answer line after line until they end or one says ``/quit``.

    Args:
        speaker: who answers.
        lines: what is typed, or piped in.
        out: takes text to show at once, with its own line ends.
        chat: where the conversation begins; it holds the conversation afterwards.
        max_tokens: most tokens of one reply.
    """
    _list_images(chat, out)
    for line in lines:
        message = line.strip()
        if message == "/quit":
            return
        try:
            if message.startswith("/"):
                _obey(message, chat, out)
            elif message:
                _answer(speaker, chat, message, out=out, max_tokens=max_tokens)
        except TriptychError as error:
            out(f"error: {' '.join(str(error).split())}\n")


def typed_lines(out: Callable[[str], None]) -> Iterator[str]:
    """Yield what a person types; Ctrl-C drops a half-typed line, the end of input ends it."""
    with suppress(ImportError):
        import readline  # noqa: F401  line editing and history, where the system has it
    while True:
        try:
            yield input(PROMPT)
        except KeyboardInterrupt:
            out("\n(/quit or Ctrl-D leaves)\n")
        except EOFError:
            out("\n")
            return


def _obey(message: str, chat: Chat, out: Callable[[str], None]) -> None:
    command, _, rest = message.partition(" ")
    match command:
        case "/add":
            chat.add([open_image(path) for path in _paths(rest)])
            _list_images(chat, out)
        case "/images":
            _list_images(chat, out) if chat.images else out("no images yet; /add PATH adds one\n")
        case "/undo":
            out("undone\n" if chat.undo() else "nothing to undo\n")
        case "/reset":
            chat.reset()
            out("the conversation begins again\n")
            _list_images(chat, out)
        case "/help":
            out(HELP)
        case _:
            out(f"error: there is no command {command}; /help lists them.\n")


def _answer(speaker: Speaker, chat: Chat, message: str, *, out: Callable[[str], None], max_tokens: int) -> None:
    question = chat.ask(message)
    said = ""
    try:
        for piece in speaker.stream(question, max_tokens=max_tokens):
            said += piece  # before it is shown: what a person has seen is kept
            out(piece)
    except KeyboardInterrupt:
        out(" [stopped]")
        if not said.strip():
            out(" The message is taken back.\n")
            return
    out("\n")
    chat.keep(question, said)


def _list_images(chat: Chat, out: Callable[[str], None]) -> None:
    for number, image in enumerate(chat.images, start=1):
        width, height = image.size or (0, 0)
        waits = " (with the next message)" if image in chat.now.waiting else ""
        near = os.path.relpath(image.source)
        out(f"image {number}: {image.source if near.startswith('..') else near}, {width}x{height}{waits}\n")


def _paths(rest: str) -> list[str]:
    """Return the paths of an ``/add``: one with spaces may stand alone or in quotes."""
    if Path(rest.strip()).expanduser().is_file():
        return [rest]
    try:
        paths = shlex.split(rest)
    except ValueError:
        raise DataError(f"/add {rest}: a quote is not closed.") from None
    if not paths:
        raise DataError("/add: which image? Give its path.")
    return paths


def _pieces(message: str) -> Iterator[Text | ImageRef]:
    """Yield words, and for ``{...}`` a reference to what stands inside, not yet looked at."""
    end = 0
    for found in _BRACES.finditer(message):
        yield Text(message[end : found.start()])
        yield ImageRef(found[1]) if found[1] else Text(found[0][0])
        end = found.end()
    yield Text(message[end:])


def _joined(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts with neighbouring words in one piece, and without empty ones."""
    words = ""
    for part in parts:
        if isinstance(part, Text):
            words += part.text
            continue
        if words:
            yield Text(words)
        words = ""
        yield part
    if words:
        yield Text(words)
