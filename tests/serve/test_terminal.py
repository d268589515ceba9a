"""A chat in the terminal: commands, streaming, what goes wrong in one line, Ctrl-C, history."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select

import pytest

from tests.serve.talkers import Known, draw, shape, talk
from triptych.core.errors import ModelError, RunError
from triptych.core.records import Example, ImageRef, text_of
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.ticket import Delta, Listener, Ticket, Usage
from triptych.serve.commands import COMMANDS, HELP, obey, sampling_with
from triptych.serve.conversation import Conversation

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ImageRef]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return draw(tmp_path, "cat.png", "dog.png", "two words.png")


def test_images_are_listed_with_their_numbers_when_they_come(pictures: list[ImageRef]) -> None:
    shown = talk(Known(), Conversation(pictures[:1]), "Is it {dog.png}?", '/add "two words.png"', "/images")
    assert shown.splitlines() == [
        "image 1: cat.png, 10x10 (with the next message)",
        "image 2: dog.png, 20x10",
        "reply 1 ",
        "image 3: two words.png, 30x10 (with the next message)",
        "image 1: cat.png, 10x10",
        "image 2: dog.png, 20x10",
        "image 3: two words.png, 30x10 (with the next message)",
    ]


def test_waiting_images_are_moved_and_dropped_by_number(pictures: list[ImageRef]) -> None:
    known = Known()
    shown = talk(known, Conversation(pictures), "/move 3 1", "/drop 2", "Which?", "/drop 1", "/move 1 2", "/drop x")
    assert shape(known.questions[0]) == ["Image 1: ", "[two words]", "\nImage 2: ", "[dog]", "\nWhich?"]
    errors = [line for line in shown.splitlines() if line.startswith("error")]
    assert [line.partition(":")[2].split()[:2] for line in errors] == [["image", "1"], ["image", "1"], ["x:", "no"]]


@pytest.mark.parametrize(
    "line",
    [
        "What is {gone.png}?",
        "/add gone.png",
        "/add",
        '/add "cat.png',
        "/drop",
        "/drop 9",
        "/move 1",
        "/move 1 9",
        "/save",
        "/save a.jsonl",
        "/load gone.jsonl",
        "/params x=1",
        "/params top_p=7",
        "/params top_p",
        "/nonsense",
        "/cat.png",
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_and_changes_nothing(pictures: list[ImageRef], line: str) -> None:
    chat = Conversation(pictures[:1])
    before = chat.now
    shown = talk(Known(), chat, line).splitlines()
    assert len(shown) == 2, "the list of images and the error"
    assert shown[1].startswith("error: ")
    assert chat.now == before


def test_a_question_that_is_refused_leaves_the_conversation_as_it_was(pictures: list[ImageRef]) -> None:
    class Full(Known):
        def submit(self, question: Example, sampling: Sampling, *, listener: Listener | None = None) -> Ticket:
            if len(question.turns) > 1:
                raise ModelError("too long.\nAsk less.")
            return super().submit(question, sampling, listener=listener)

    chat = Conversation(pictures[:1])
    shown = talk(Full(), chat, "One?", "Two?")
    assert shown.endswith("reply 1 \nerror: too long. Ask less.\n")
    assert len(chat.now.said.turns) == 2


def test_a_reply_that_fails_on_its_way_is_not_remembered() -> None:
    chat = Conversation()
    failing = Known(lambda number: "fine" if number == 1 else RunError("the endpoint hung up."))
    assert talk(failing, chat, "One?", "Two?") == "fine \nerror: the endpoint hung up.\n"
    assert [text_of(turn) for turn in chat.now.said.turns] == ["One?", "fine "]


def test_params_are_shown_changed_and_used() -> None:
    known = Known()
    shown = talk(
        known, Conversation(), "/params temperature=0.7 stop=END seed=3", "Hm?", "/params stop= seed=null", "So?"
    )
    assert "temperature=0.7\n" in shown
    assert "max_tokens=512\n" in shown
    assert known.samplings[0] == Sampling(temperature=0.7, stop=("END",), seed=3)
    assert known.samplings[1] == Sampling(temperature=0.7)


@pytest.mark.parametrize("stop", ["a\\b", "it's", 'say "so"', "\N{GRINNING FACE}"])
def test_a_stop_text_is_taken_as_it_is_typed(stop: str) -> None:
    assert sampling_with(Sampling(), [f"stop={stop}"]).stop == (stop,)


def test_the_system_message_is_said_first() -> None:
    known = Known()
    shown = talk(known, Conversation(), "/system Be  terse.", "Hm?", "/system", "/system -", "/system")
    assert known.questions[0].turns[0].role == "system"
    assert "Be  terse.\n" in shown
    assert shown.endswith("the model is told nothing before the conversation\n")


def test_a_conversation_is_saved_and_loaded(pictures: list[ImageRef]) -> None:
    talk(Known(), Conversation(pictures[:2]), "Which?", "/save my talk.jsonl")
    known = Known()
    shown = talk(known, Conversation(), '/load "my talk.jsonl"', "And {1}?")
    assert "user: Image 1: {1} Image 2: {2} Which?\nassistant: reply 1\nimage 1: " in shown
    assert len(known.questions[0].turns) == 3


def test_a_word_that_names_a_picture_is_told_of(pictures: list[ImageRef]) -> None:
    shown = talk(Known(), Conversation(), "What is on 'cat.png', not {dog.png}?")
    assert shown.startswith("note: cat.png is read as words; {cat.png} shows it\nimage 1: dog.png")


def test_orders_to_the_terminal_are_not_passed_on() -> None:
    assert talk(Known(lambda _: "\x1b]0;owned\x07red\x1b[2J\x9b1m\ttab\nline"), Conversation(), "Hm?") == (
        "]0;ownedred[2J1m\ttab\nline \n"
    )


def test_what_files_say_gives_no_orders_to_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path, "a\x1b[31m.png")
    turns = [{"role": role, "content": "\x1b]52;c;ZXZpbA==\x07?"} for role in ("user", "assistant")]
    row = {"id": "x\x1b", "messages": turns}
    Path("talk.jsonl").write_text(json.dumps(row))
    lines = ("/add a*.png", "What is {1}?", "/images", "/load talk.jsonl", "/load gone\x1b[2J", "is it a\x1b[31m.png?")
    shown = talk(Known(), Conversation(), *lines)
    assert "image 1: a[31m.png" in shown
    assert "user: ]52;c;ZXZpbA==?\nassistant: ]52" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


class Cut(Known):
    """Ends its second reply where it is as long as allowed."""

    def submit(self, question: Example, sampling: Sampling, *, listener: Listener | None = None) -> Ticket:
        if len(question.turns) != 3:
            return super().submit(question, sampling, listener=listener)
        ticket = Ticket(question.id, Usage(1, 7, 0, 0))
        ticket.tell(Delta("and then", finish="length"))
        return ticket


def test_a_reply_that_was_cut_says_so_there_and_in_what_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = talk(Cut(), Conversation(), "Hm?", "/save a.jsonl", "And?", "So?", "/save b.jsonl", "/undo", "/undo", "Or?")
    assert "and then [cut at 7 tokens; /params max_tokens=N allows more]\n" in shown
    assert "saved; triptych data check messages:a.jsonl looks at it as training data\n" in shown
    assert "messages:b.jsonl looks at it as training data. 1 reply is cut: facts.cut says which\n" in shown
    first, second = (json.loads(Path(f"{name}.jsonl").read_text())["facts"] for name in "ab")
    assert first["cut"] == [False]
    assert second["cut"] == [False, True, False]
    again = Conversation()
    talk(Cut(), again, "/load b.jsonl", "Then?", "/save c.jsonl")
    assert again.cut == (False, True, False, False)


def test_help_names_every_command() -> None:
    assert talk(Known(), Conversation(), "/help") == HELP
    for command in (*COMMANDS, "/quit"):
        assert command in HELP
    for name in ("max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "repetition_penalty"):
        assert name in HELP


def test_quit_and_the_end_of_input_leave() -> None:
    known = Known()
    assert talk(known, Conversation(), "/quit", "One?") == ""
    assert talk(known, Conversation(), "", "   ") == ""
    assert not known.questions
    assert callable(obey)


# A real terminal: what is typed there, Ctrl-C included.

PROGRAM = textwrap.dedent("""
    import signal, sys, threading, time
    from pathlib import Path
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    from triptych.infer.engine.ticket import Delta, Ticket, Usage
    from triptych.serve.commands import Session
    from triptych.serve.conversation import Conversation
    from triptych.serve.terminal import converse, typed_lines
    class Slow:
        name, numbers_images, longest = "slow", False, None
        def submit(self, question, sampling, *, listener=None):
            ticket = Ticket("slow", Usage(0, 0, 0, 0))
            if len(question.turns) > 1:
                ticket.tell(Delta(f"after {len(question.turns)} turns", finish="stop"))
            else:
                ticket.tell(Delta("once upon"))  # and never anything more
            return ticket
        def layout(self, question): return None
    def out(text):
        sys.stdout.write(text)
        sys.stdout.flush()
    session = Session(Slow(), Conversation(), out, None)  # nobody draws, and torch need not be loaded
    converse(session, typed_lines(out, history=Path(sys.argv[1])))
    out(f"cut: {session.chat.cut} the end")
""")


@dataclass
class Terminal:
    """A program at a terminal, as a person sees it."""

    process: subprocess.Popen[bytes]
    keys: int
    seen: str = ""
    read: int = field(default=0)

    def type(self, text: str) -> None:
        os.write(self.keys, text.encode())

    def wait_for(self, text: str, *, seconds: float = 60) -> None:
        """Wait until this is shown, behind what was waited for before."""
        end = time.monotonic() + seconds
        while text not in self.seen[self.read :]:
            assert time.monotonic() < end, f"{text!r} is not shown: {self.seen!r}"
            if not select([self.keys], [], [], 0.2)[0]:
                continue
            with suppress(OSError):
                self.seen += os.read(self.keys, 4096).decode(errors="replace")
        self.read = self.seen.index(text, self.read) + len(text)

    def interrupt(self, shown: str) -> None:
        """Press Ctrl-C until this is shown: at the very moment in which a key is read, Python does not hear it."""
        for _ in range(20):
            self.type("\x03")
            with suppress(AssertionError):
                self.wait_for(shown, seconds=3)
                return
        raise AssertionError(f"{shown!r} is not shown: {self.seen!r}")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[list[Terminal]]:
    """Terminals that run the program; the first begins at once, others with ``start``."""
    started: list[Terminal] = []
    yield started
    for each in started:
        each.process.kill()
        each.process.wait()
        os.close(each.keys)


def start(started: list[Terminal], history: Path) -> Terminal:
    keys, screen = pty.openpty()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TERM": "dumb",
        "INPUTRC": "/dev/null",
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(history)],
        stdin=screen,
        stdout=screen,
        stderr=screen,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(screen)
    started.append(Terminal(process, keys))
    return started[-1]


def test_control_c_stops_an_answer_or_a_line_and_not_the_program_and_lines_are_remembered(
    terminal: list[Terminal], tmp_path: Path
) -> None:
    history = tmp_path / "history"
    first = start(terminal, history)
    first.wait_for("> ")
    first.type("half a li")
    first.wait_for("half a li")
    first.interrupt("(/quit or Ctrl-D leaves)")
    first.wait_for("> ")
    first.type("tell me a story\n")
    first.wait_for("once upon")
    first.interrupt(" [stopped]")
    first.wait_for("> ")
    first.type("go on\n")
    first.wait_for("after 3 turns")
    first.wait_for("> ")  # before, the end of input is lost
    first.type("\x04")
    first.wait_for("cut: (True, False) the end")
    assert "Traceback" not in first.seen
    assert history.read_text().splitlines()[-2:] == ["tell me a story", "go on"]
    assert history.stat().st_mode & 0o077 == 0
    second = start(terminal, history)
    second.wait_for("> ")
    second.type("\x10\x10\n")  # two lines back, as the arrow key goes
    second.wait_for("tell me a story")
    second.wait_for("once upon")
