"""What a line that begins with a slash does in a chat: images, files, parameters, going back.

Not the conversation (``conversation``), nor reading lines and answering them (``terminal``). A command that fails has
changed nothing.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.config import KEY
from triptych.core.errors import ConfigError, DataError, did_you_mean
from triptych.core.log import printable
from triptych.core.records import ImageRef, in_one_video
from triptych.serve.conversation import Conversation
from triptych.serve.message import numbers_in
from triptych.serve.speaking import Params, Talker, sampling_of
from triptych.serve.thumbnails import Paint

if TYPE_CHECKING:  # which loads torch
    from triptych.infer.decoding.sampling import Sampling

HELP = """\
Type a message and press Enter. Images are shown where they stand in it, and are numbered in their order.
  {photo.png}        shows a picture there: a path, a URL, a pattern {shots/*.png}, a video {clip.mp4}
  {2} {2-4}          shows image 2, or images 2 to 4; {{ and }} are plain braces
  /add PATH ...      puts images in front of the next message; paths, URLs, patterns, videos
  /images            lists the images; those that wait for the next message can be moved and dropped
  /drop N ...        drops waiting images; /drop 3-5 drops three
  /move N M          makes waiting image N number M
  /undo              takes back the last message with its answer, or the last change
  /reset             begins again with the images given at the start
  /save FILE         writes the conversation as training data (messages); /load FILE goes on from one
  /system TEXT       tells the model this before everything; /system - takes it away, /system shows it
  /params KEY=VALUE  max_tokens temperature top_p top_k seed stop repetition_penalty; /params shows them
  /help  /quit       Ctrl-C stops an answer, Ctrl-D leaves
"""


LONGEST_LINE = 200
"""Letters of a message that is shown after `/load`."""


@dataclass
class Session:
    """One chat at a terminal. Its state: the conversation, and how replies are chosen."""

    talker: Talker
    chat: Conversation
    out: Callable[[str], None]
    """Takes text to show at once, with its own line ends, and orders to the terminal too: ``tell`` for all words."""
    sampling: Sampling
    paint: Paint | None = None
    """Draws images; None: they are only listed."""

    def tell(self, text: str) -> None:
        """Show words; whosever they are - a model's, a file's, its name - they give the terminal no orders."""
        self.out(printable(text))


def obey(message: str, session: Session) -> None:
    """Do what a command says.

    Raises:
        TriptychError: it cannot be done, and nothing has changed.
    """
    name, _, rest = message.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        hint = did_you_mean(name, COMMANDS)
        shown = f" {{{name}}} shows the file." if Path(name).is_file() else ""
        raise DataError(f"there is no command {name}.{hint}{shown} /help lists them.")
    command(session, rest.strip())


def list_all(session: Session, numbers: Sequence[int] | None = None) -> None:
    """Tell of all images, or of those with these numbers."""
    numbered = enumerate(session.chat.images, start=1)
    list_images(session, [each for each in numbered if numbers is None or each[0] in numbers])


def list_images(session: Session, numbered: Sequence[tuple[int, ImageRef]], *, waiting: bool = True) -> None:
    """Tell of numbered images, frames of one video in one line, and draw them where that is possible.

    Args:
        session: of whose conversation they are.
        numbered: in rising order.
        waiting: say which of them wait for the next message.
    """
    waits = session.chat.waiting if waiting else ()
    for run in _runs(numbered):
        note = " (with the next message)" if run[0][0] in waits else ""
        session.tell(f"{_line(session.chat, run)}{note}\n")
    if session.paint is not None and numbered:
        session.out(session.paint(numbered))


def _runs(numbered: Sequence[tuple[int, ImageRef]]) -> list[list[tuple[int, ImageRef]]]:
    """Return the images in their order, frames of one video that have consecutive numbers together."""
    runs: list[list[tuple[int, ImageRef]]] = []
    for number, image in numbered:
        last = runs[-1][-1] if runs else (0, None)
        if last[0] == number - 1 and in_one_video(last[1], image):
            runs[-1].append((number, image))
        else:
            runs.append([(number, image)])
    return runs


def _line(chat: Conversation, run: Sequence[tuple[int, ImageRef]]) -> str:
    (first, image), (last, _) = run[0], run[-1]
    width, height = image.size or (0, 0)
    name = _near(chat.name_of(image))
    if first < last:
        return f"images {first}-{last}: {name}, {len(run)} frames of {width}x{height}"
    frame = "frame of " if image.video else ""
    return f"image {first}: {frame}{name}, {width}x{height}"


def _near(name: str) -> str:
    """Return a path from here, where that is no longer than the whole."""
    if not name.startswith("/"):
        return name
    near = os.path.relpath(name)
    return name if near.startswith("..") else near


def _add(session: Session, rest: str) -> None:
    names = _names(rest)
    if not names:
        raise DataError("/add: which image? Give its path.")
    session.chat.add([image for name in names for image in session.chat.open(name)])
    list_all(session, session.chat.waiting)


def _images(session: Session, _rest: str) -> None:
    if not session.chat.images:
        session.tell("no images yet; /add PATH adds one\n")
        return
    list_all(session)
    layout = session.talker.layout(session.chat.ask(""))
    if layout is not None:
        most = f" of {session.talker.longest}" if session.talker.longest else ""
        session.tell(f"{layout.tokens} tokens{most} so far, {sum(layout.images)} of them of images\n")


def _drop(session: Session, rest: str) -> None:
    numbers = [number for word in rest.split() for number in _numbers(word, "/drop 2, or /drop 3-5")]
    if not numbers:
        raise DataError("/drop: which image? Give its number.")
    session.chat.drop(numbers)
    list_all(session)


def _move(session: Session, rest: str) -> None:
    words = rest.split()
    if len(words) != 2 or not all(map(str.isdecimal, words)):
        raise DataError("/move N M: two numbers, please: which image, and its new number.")
    session.chat.move(int(words[0]), int(words[1]))
    list_all(session)


def _undo(session: Session, _rest: str) -> None:
    session.tell("undone\n" if session.chat.undo() else "nothing to undo\n")


def _reset(session: Session, _rest: str) -> None:
    session.chat.reset()
    session.tell("the conversation begins again\n")
    list_all(session)


def _save(session: Session, rest: str) -> None:
    path = Path(_one_file(rest, "/save talk.jsonl")).expanduser()
    session.chat.save(path)
    cut = sum(session.chat.cut)
    note = f". {cut} {'reply is' if cut == 1 else 'replies are'} cut: facts.cut says which" if cut else ""
    session.tell(f"saved; triptych data check messages:{path} looks at it as training data{note}\n")


def _load(session: Session, rest: str) -> None:
    left = session.chat.load(_one_file(rest, "/load talk.jsonl"))
    for role, words in session.chat.spelled():
        said = " ".join(words.split())
        session.tell(f"{role}: {said if len(said) <= LONGEST_LINE else said[: LONGEST_LINE - 3] + '...'}\n")
    list_all(session)
    if left:
        session.tell(f"left off, as it has no reply: {left}\n")


def _system(session: Session, rest: str) -> None:
    if not rest:
        session.tell(f"{session.chat.system or 'the model is told nothing before the conversation'}\n")
        return
    session.chat.instruct("" if rest == "-" else rest)
    session.tell("from the next message on\n")


def _params(session: Session, rest: str) -> None:
    if rest:
        session.sampling = sampling_with(session.sampling, _split(rest))
    values = ((name, getattr(session.sampling, name)) for name in Params.model_fields)
    session.tell("".join(f"{name}={_said(value)}\n" for name, value in values))


def _help(session: Session, _rest: str) -> None:
    session.tell(HELP)


COMMANDS: Mapping[str, Callable[[Session, str], None]] = {
    "/add": _add,
    "/drop": _drop,
    "/help": _help,
    "/images": _images,
    "/load": _load,
    "/move": _move,
    "/params": _params,
    "/reset": _reset,
    "/save": _save,
    "/system": _system,
    "/undo": _undo,
}
"""All but ``/quit``."""


def sampling_with(sampling: Sampling, said: Sequence[str]) -> Sampling:
    """Return the sampling with ``KEY=VALUE`` changes; values are YAML, or a plain text for ``stop``.

    Raises:
        ConfigError: no such key, or no such value.
    """
    lines = []
    for each in said:
        key, equals, value = each.partition("=")
        if not equals or not KEY.fullmatch(key):
            raise ConfigError(f"/params {each}: expected KEY=VALUE, as in temperature=0.7. Keys: {_keys()}.")
        if key == "stop" and not value.startswith("["):
            quoted = value.replace("'", "''")
            value = f"['{quoted}']" if value and value != "null" else "[]"
        lines.append(f"{key}: {value}\n")
    return sampling_of("".join(lines), where="/params", before=sampling)


def _keys() -> str:
    return ", ".join(Params.model_fields)


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(repr, value))}]"
    return "null" if value is None else str(value)


def _names(rest: str) -> list[str]:
    """Return the paths of a command: one with spaces may stand alone or in quotes."""
    return [rest] if Path(rest).expanduser().is_file() else _split(rest)


def _one_file(rest: str, example: str) -> str:
    if not rest:
        raise DataError(f"which file? For example {example}")
    words = _split(rest)
    return words[0] if len(words) == 1 else rest


def _split(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError:
        raise DataError(f"{rest}: a quote is not closed.") from None


def _numbers(word: str, example: str) -> Sequence[int]:
    numbers = numbers_in(word)
    if numbers is None:
        raise DataError(f"{word}: no number of an image. For example {example}.")
    return numbers
