"""A chat in the terminal: lines in, answers out as they come, until the lines end.

Not what a conversation is (``conversation``) nor what commands do (``commands``). Lines come from an iterable and text
goes to a callable, so a pipe and a test are terminals too. Invariant: what could not be asked or answered leaves the
conversation as it was, and is told in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.infer.engine.ticket import Finish, Ticket
from triptych.serve.commands import COMMANDS, Session, list_all, list_images, obey
from triptych.serve.media import is_media
from triptych.serve.message import words_of
from triptych.serve.speaking import submit_within

PROMPT = "> "
HISTORY = "chat_history"
"""File of typed lines, in the cache folder."""
HISTORY_LINES = 2000


def converse(session: Session, lines: Iterable[str]) -> int:
    """Answer line after line until they end or one says ``/quit``; the session holds the conversation afterwards.

    Returns:
        How many lines could not be answered or obeyed; each was told.
    """
    list_all(session)
    failed = 0
    for line in lines:
        message = line.strip()
        if message == "/quit":
            break
        try:
            if message.startswith("/"):
                obey(message, session)
            elif message:
                _answer(session, message)
        except KeyboardInterrupt:
            session.tell("\n[stopped] Nothing was changed.\n")
        except TriptychError as error:
            failed += 1
            session.tell(f"error: {' '.join(str(error).split())}\n")
    return failed


def typed_lines(out: Callable[[str], None], *, history: Path | None = None) -> Iterator[str]:
    """Yield what a person types; Ctrl-C drops a half-typed line, the end of input ends it.

    Args:
        out: takes text to show.
        history: a file that keeps lines for the next time, for its owner's eyes only; None: nothing is kept.
    """
    keep = _history(history)
    while True:
        try:
            line = input(PROMPT)
        except KeyboardInterrupt:
            out("\n(/quit or Ctrl-D leaves)\n")
            continue
        except EOFError:
            out("\n")
            return
        keep(line)
        yield line


def _answer(session: Session, message: str) -> None:
    chat = session.chat
    _note_files(message, session.tell)
    known = len(chat.images)
    question = chat.ask(message)
    ticket = submit_within(session.talker, question, sampling=session.sampling)
    try:
        new = chat.numbered(question)[known:]
        list_images(session, list(enumerate(new, start=known + 1)), waiting=False)
        heard = _hear(session, ticket)
    finally:
        ticket.cancel()
    if heard is not None:
        said, cut = heard
        chat.keep(question, said, cut=cut)


def _hear(session: Session, ticket: Ticket) -> tuple[str, bool] | None:
    """Show a reply as it comes; return it, and whether it is cut. None: it was stopped before its first word."""
    said, out = "", session.tell
    finish: Finish | None = None
    try:
        for piece in ticket:
            said += piece.text  # before it is shown: what a person has seen is kept
            finish = piece.finish
            out(piece.text)
    except KeyboardInterrupt:
        kept = bool(said.strip())
        out(" [stopped]\n" if kept else " [stopped] The message is taken back.\n")
        return (said, finish != "stop") if kept else None
    except TriptychError:
        if said:
            out("\n")
        raise
    if finish == "length":
        out(f" [cut at {ticket.usage.tokens_out} tokens; /params max_tokens=N allows more]")
    out("\n")
    return said, finish != "stop"


def _note_files(message: str, out: Callable[[str], None]) -> None:
    """Tell of words that name a picture: who types them may want it shown."""
    for word in words_of(message):
        name = word.strip("'\",;:?!()").rstrip(".")
        if is_media(name):
            out(f"note: {name} is read as words; {{{name}}} shows it\n")


def _history(path: Path | None) -> Callable[[str], None]:
    """Prepare editing, completion and history of lines, where the system has them; return what keeps a line."""
    try:
        import readline
    except ImportError:
        return lambda line: None
    readline.set_completer(_complete)
    readline.set_completer_delims(" \t\n{}")
    readline.parse_and_bind("tab: complete")
    if path is None:
        return lambda line: None
    readline.clear_history()
    with suppress(OSError):  # there is none yet
        readline.read_history_file(path)
    readline.set_history_length(HISTORY_LINES)

    def keep(line: str) -> None:
        if not line.strip():
            return
        with suppress(OSError):  # a full disk takes no line, and is no reason not to talk
            path.touch(mode=0o600)
            readline.write_history_file(path)

    return keep


def _complete(begun: str, state: int) -> str | None:
    """Return what a half-typed word may be, one after the other: a command, or a path."""
    if begun.startswith("/") and (found := [name for name in (*COMMANDS, "/quit") if name.startswith(begun)]):
        return found[state] if state < len(found) else None
    path = Path(begun).expanduser()
    folder, start = (path, "") if begun.endswith("/") else (path.parent, path.name)
    try:
        names = sorted(each for each in folder.iterdir() if each.name.startswith(start))
    except OSError:
        return None
    if state >= len(names):
        return None
    typed = begun[: len(begun) - len(start)] if start else begun
    return f"{typed}{names[state].name}{'/' if names[state].is_dir() else ''}"
