"""A conversation about any number of images as values: it grows, goes back, is saved, and knows its images' numbers.

Not the talking: who answers is asked elsewhere. Invariants: what could not be asked leaves it as it was; an image that
an answered message shows keeps its place and its number, as the model was told them; so only images that still wait for
a message are dropped and moved. A number is a picture's, in the order of first showing; where the model's template
numbers images by itself, a number is a showing's, as that is what it counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, images_of, text_of
from triptych.data.format import Refused, measured, read_source
from triptych.data.formats.messages import write
from triptych.serve.media import is_url, open_shown
from triptych.serve.message import joined, numbers_in, pieces_of, runs_of
from triptych.serve.speaking import VIDEO_FRAMES, with_frames

_SOURCE = re.compile(r"[a-z_]+:.+", re.DOTALL)
ORIGIN = "this conversation"

Find = Callable[[str], Sequence[ImageRef]]
"""Opens what a person named. Raises DataError."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A conversation at one time."""

    said: Example
    """Every turn so far; it ends with a reply, or has none yet."""
    waiting: tuple[ImageRef, ...] = ()
    """Images that the next message will show, in order."""


class Conversation:
    """An Example that grows. Its state: the conversation now, the moments to go back to, and names of its images."""

    def __init__(
        self,
        images: Sequence[ImageRef] = (),
        *,
        numbered_by_model: bool = False,
        find: Find = open_shown,
        name: str = "chat",
        system: str = "",
    ) -> None:
        """Begin with images that wait for the first message.

        Args:
            images: in order.
            numbered_by_model: the model's template tells a number before each image; else ``Image 1:`` is written
                before those that stand in front of a message.
            find: opens what stands in braces.
            name: the id that it is saved under.
            system: what the model is told before everything; empty: nothing.
        """
        self.numbered_by_model = numbered_by_model
        self._find = find
        self._called: dict[str, str] = {}
        self._first = Moment(Example(name, _system_turns(system), origin=ORIGIN), tuple(dict.fromkeys(images)))
        self.now = self._first
        self._before: list[Moment] = []

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """All images, shown and waiting; the first is image 1."""
        return self.numbered(self.now.said, self.now.waiting)

    @property
    def waiting(self) -> tuple[int, ...]:
        """The numbers of images that the next message will show."""
        shown = len(images_of(self.now.said)) if self.numbered_by_model else 0
        waiting = self.now.waiting
        return tuple(n for n, image in enumerate(self.images, start=1) if n > shown and image in waiting)

    @property
    def system(self) -> str:
        """What the model is told before everything; empty: nothing."""
        turns = self.now.said.turns
        return text_of(turns[0]) if turns and turns[0].role == "system" else ""

    def open(self, name: str) -> tuple[ImageRef, ...]:
        """Return what a person named. Raises DataError."""
        found = tuple(self._find(name))
        self.call(name, found)
        return found

    def call(self, name: str, images: Sequence[ImageRef]) -> None:
        """Call images as a person named them, where they were fetched: where they are kept says nothing to anybody."""
        if is_url(name):
            self._called |= {image.video or image.source: name.strip() for image in images}

    def name_of(self, image: ImageRef) -> str:
        """Return what people call an image: the URL that it was fetched from, else where it is."""
        place = image.video or image.source
        return self._called.get(place, place)

    def ask(self, message: str) -> Example:
        """Return the conversation with a message at its end, to be answered; it does not change yet.

        Args:
            message: ``{photo.png}`` in it shows a picture there, ``{2}`` image 2, ``{{`` is a plain brace.

        Raises:
            DataError: the message names an image that is not there or cannot be read.
        """
        parts: list[Part] = []
        for piece in pieces_of(message):
            parts += [piece] if isinstance(piece, Text) else self._named(piece)
        return self.ask_parts(parts)

    def ask_parts(self, parts: Sequence[Part]) -> Example:
        """Return the conversation with a message of these parts at its end; see ``ask``.

        Waiting images that the message itself shows stand where it shows them; the others stand in front. Where that
        would change a number, all of them stand in front, and are shown again at their places.
        """
        named = {part for part in parts if isinstance(part, ImageRef)}
        before, said = self.images, self.now.said
        for front in ([image for image in self.now.waiting if image not in named], self.now.waiting):
            turn = Turn("user", tuple(joined((*self._front(front), *parts))))
            question = replace(said, turns=(*said.turns, turn))
            if self.numbered(question)[: len(before)] == before:
                break
        return question

    def spelled(self) -> Iterator[tuple[str, str]]:
        """Yield who speaks, and what is said as it may be typed: an image as its number in braces."""
        shown = 0
        for turn in self.now.said.turns:
            said = ""
            for part in turn.parts:
                if isinstance(part, ImageRef):
                    shown += 1
                    number = shown if self.numbered_by_model else self.images.index(part) + 1
                    said += f"{{{number}}}"
                elif isinstance(part, Text):
                    said += part.text
            yield turn.role, said

    @property
    def cut(self) -> tuple[bool, ...]:
        """Of each reply, whether it ends where it was stopped or was as long as allowed; saved as the fact ``cut``."""
        return _cut(self.now.said)

    def keep(self, question: Example, reply: str, *, cut: bool = False) -> None:
        """Go on from ``question`` and its reply, which may be cut."""
        turn = Turn("assistant", (Text(reply),))
        facts: dict[str, Json] = {**question.facts, "cut": [*_cut(question), cut]}
        self._go(Moment(replace(question, turns=(*question.turns, turn), facts=facts)))

    def add(self, images: Sequence[ImageRef]) -> None:
        """Let images wait for the next message."""
        self._go(replace(self.now, waiting=tuple(dict.fromkeys((*self.now.waiting, *images)))))

    def drop(self, numbers: Sequence[int]) -> None:
        """Let these images wait no longer; the numbers of those behind them go down.

        Raises:
            DataError: there is no such image, or an answered message shows it.
        """
        gone = {self._place(number) for number in numbers}
        self._go(replace(self.now, waiting=tuple(each for at, each in enumerate(self.now.waiting) if at not in gone)))

    def move(self, number: int, to: int) -> None:
        """Give a waiting image another waiting image's number; those between go up or down by one.

        Raises:
            DataError: there is no such image, or an answered message shows one of the two.
        """
        waiting = list(self.now.waiting)
        here, there = self._place(number, new=True), self._place(to, new=True)
        waiting.insert(there, waiting.pop(here))
        self._go(replace(self.now, waiting=tuple(waiting)))

    def instruct(self, system: str) -> None:
        """Tell the model this before everything, from the next message on; empty: nothing."""
        said = self.now.said
        rest = said.turns[1:] if self.system else said.turns
        self._go(replace(self.now, said=replace(said, turns=(*_system_turns(system), *rest))))

    def undo(self) -> bool:
        """Go back to before the last change; False when there was none."""
        if self._before:
            self.now = self._before.pop()
            return True
        return False

    def reset(self) -> None:
        """Begin again with what was there at the start; ``undo`` brings back what was said."""
        self._go(self._first)

    def save(self, path: Path) -> None:
        """Write the conversation as a row of ``messages:``, pictures beside it, over an earlier state of it only.

        Raises:
            DataError: nothing was said yet; or the file holds something else; or it cannot be written.
        """
        said = self.now.said
        if not any(turn.role == "assistant" for turn in said.turns):
            raise DataError("nothing to save: there is no reply yet.")
        if path.exists() and _ids_in(path) != [said.id]:
            raise DataError(f"{path}: there is something else in this file. Save under another name.")
        try:
            write([said], path)
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror or error}). Choose another place.") from None

    def load(self, source: str, *, frames: int = VIDEO_FRAMES) -> str:
        """Go on from a conversation of a file, its first row; ``undo`` comes back.

        Args:
            source: a file that ``save`` wrote, with ``#rows=3-3`` another row; or any data, as ``FORMAT:PATH``.
            frames: of each video.

        Returns:
            the last message, left off as it had no reply; mostly empty.

        Raises:
            DataError: the row, or one of its pictures, cannot be read.
            ConfigError, NotFoundError: the source is none.
        """
        path = Path(source.partition("#")[0]).expanduser()
        known = path.exists() or not _SOURCE.fullmatch(source)
        where = f"messages:{Path(source).expanduser()}" if known else source
        row = next(iter(read_source(where)), None)
        if row is None:
            raise DataError(f"{source}: no conversation in it.")
        seen = row if isinstance(row, Refused) else measured(with_frames(row, frames), {})
        if isinstance(seen, Refused):
            raise DataError(seen.message)
        left = ""
        if seen.turns and seen.turns[-1].role == "user":
            left = text_of(seen.turns[-1])
            seen = replace(seen, turns=seen.turns[:-1])
        self._go(Moment(replace(seen, origin=ORIGIN)))
        return left

    def numbered(self, said: Example, waiting: Sequence[ImageRef] = ()) -> tuple[ImageRef, ...]:
        """Return the images of a conversation, and others behind them, in the order of their numbers."""
        every = (*images_of(said), *waiting)
        return every if self.numbered_by_model else tuple(dict.fromkeys(every))

    def _place(self, number: int, *, new: bool = False) -> int:
        """Return the place among the waiting images of image ``number``.

        Args:
            number: from 1.
            new: it must be one that no answered message shows.

        Raises:
            DataError: there is no such image, or it does not wait.
        """
        image = self._image(number)
        if number not in self.waiting or (new and number <= len(self.numbered(self.now.said))):
            raise DataError(
                f"image {number} stands in a message that was answered: it keeps its place and its number. /undo takes"
                " messages back, /reset begins again."
            )
        return self.now.waiting.index(image)

    def _go(self, moment: Moment) -> None:
        self._before.append(self.now)
        self.now = moment

    def _image(self, number: int) -> ImageRef:
        if not 1 <= number <= len(self.images):
            raise DataError(f"there is no image {number}; there are {len(self.images)}. See /images.")
        return self.images[number - 1]

    def _named(self, name: str) -> Sequence[ImageRef]:
        """Return image N for ``N``, several for ``N-M``, else what is at a path or a URL."""
        if numbers := numbers_in(name):
            return [self._image(number) for number in numbers]
        try:
            return self.open(name)
        except DataError as error:
            if is_url(name):
                raise
            raise DataError(f"{error} Plain braces are written {{{{ and }}}}.") from None

    def _front(self, images: Sequence[ImageRef]) -> Iterator[Part]:
        """Yield images that stand in front of a message, with their numbers where the model's template has none."""
        if self.numbered_by_model:
            yield from images
            return
        for run in runs_of(images):
            numbers = [self.images.index(image) + 1 for image in run]
            if len(run) > 1 and numbers == list(range(numbers[0], numbers[0] + len(run))):
                yield Text(f"Images {numbers[0]} to {numbers[-1]}, frames of a video: ")
                yield from run
                yield Text("\n")
                continue
            for number, image in zip(numbers, run, strict=True):
                yield Text(f"Image {number}: ")
                yield image
                yield Text("\n")


def _system_turns(system: str) -> tuple[Turn, ...]:
    return (Turn("system", (Text(system),)),) if system else ()


def _cut(said: Example) -> tuple[bool, ...]:
    """Return which replies are cut; those of which nobody wrote it down are whole."""
    replies = sum(turn.role == "assistant" for turn in said.turns)
    known = said.facts.get("cut")
    if isinstance(known, list) and len(known) == replies:
        return tuple(each is True for each in known)
    return (False,) * replies


def _ids_in(path: Path) -> list[str]:
    """Return the ids of a file's rows, of at most two; none where it cannot be read."""
    try:
        rows = read_source(f"messages:{path}#limit=2")
        return [row.id if isinstance(row, Example) else "" for row in rows]
    except DataError:
        return []
