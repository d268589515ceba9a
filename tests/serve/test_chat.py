"""A chat grows an Example, survives what goes wrong, and can go back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from triptych.core.errors import DataError, ModelError
from triptych.core.records import Example, ImageRef, Text, text_of
from triptych.infer.canned import CannedResponder
from triptych.infer.responder import Speaker
from triptych.serve.chat import HELP, Chat, converse, open_image


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ImageRef]:
    """Three pictures in the working folder: cat.png, dog.png and "two words.png"."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("cat", "dog", "two words"), start=1):
        Image.effect_noise((10 * number, 10), 50).save(tmp_path / f"{name}.png")
    return [open_image(f"{name}.png") for name in ("cat", "dog", "two words")]


@dataclass
class Listener:
    """Answers "reply 1", "reply 2" and so on, and keeps what it was asked."""

    questions: list[Example] = field(default_factory=list)
    name: str = "listener"

    def stream(self, question: Example, *, max_tokens: int) -> Iterator[str]:
        self.questions.append(question)
        yield "reply "
        yield str(len(self.questions))


def talk(speaker: Speaker, chat: Chat, *lines: str) -> str:
    shown: list[str] = []
    converse(speaker, lines, out=shown.append, chat=chat)
    return "".join(shown)


def shape(example: Example) -> list[str]:
    """The last turn, an image as its file's name in brackets."""
    parts = example.turns[-1].parts
    return [part.text if isinstance(part, Text) else f"[{Path(part.source).stem}]" for part in parts]


def test_first_images_are_numbered_and_stand_in_front_of_the_first_message(pictures: list[ImageRef]) -> None:
    listener = Listener()
    shown = talk(listener, Chat(pictures[:2]), "Which is a cat?", "And the other?")
    assert "image 1: cat.png, 10x10 (with the next message)\nimage 2: dog.png, 20x10" in shown
    first, second = listener.questions
    assert shape(first) == ["Image 1: ", "[cat]", "\nImage 2: ", "[dog]", "\nWhich is a cat?"]
    assert shape(second) == ["And the other?"]
    assert [turn.role for turn in second.turns] == ["user", "assistant", "user"]
    assert text_of(second.turns[1]) == "reply 1"


def test_a_template_that_numbers_images_gets_them_bare(pictures: list[ImageRef]) -> None:
    assert shape(Chat(pictures[:2], number_images=False).ask("Which?")) == ["[cat]", "[dog]", "Which?"]


def test_an_image_stands_in_the_middle_of_a_sentence(pictures: list[ImageRef]) -> None:
    asked = Chat().ask("Is {cat.png} older than {two words.png}?")
    assert shape(asked) == ["Is ", "[cat]", " older than ", "[two words]", "?"]


def test_a_number_in_braces_shows_an_image_again(pictures: list[ImageRef]) -> None:
    listener = Listener()
    chat = Chat(pictures[:1])
    talk(listener, chat, "What is {dog.png}?", "And {2}, next to {1}?")
    assert shape(listener.questions[1]) == ["And ", "[dog]", ", next to ", "[cat]", "?"]
    assert [Path(image.source).stem for image in chat.images] == ["cat", "dog"]


def test_doubled_braces_are_plain_ones() -> None:
    assert shape(Chat().ask("f(x) = {{x}}, {{}}")) == ["f(x) = {x}, {}"]


def test_added_images_go_on_counting_and_come_with_the_next_message(pictures: list[ImageRef]) -> None:
    listener = Listener()
    added = '/add dog.png "two words.png"', "/add two words.png"
    shown = talk(listener, Chat(pictures[:1]), "Look.", *added, "And now?")
    assert shape(listener.questions[1]) == ["Image 2: ", "[dog]", "\nImage 3: ", "[two words]", "\nAnd now?"]
    assert shown.count("image 1: cat.png, 10x10\n") == 2, "image 1 no longer waits"


@pytest.mark.parametrize(
    "line",
    [
        "/add nothing.png",
        "/add torn.png",
        "/add",
        '/add "dog.png',
        "/ad dog.png",
        "Is {nothing.png} old?",
        "Is {torn.png} old?",
        "Is {7} old?",
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line_and_changes_nothing(pictures: list[ImageRef], line: str) -> None:
    Path("torn.png").write_bytes(Path("dog.png").read_bytes()[:150])
    chat = Chat(pictures[:1])
    before = chat.now
    shown = talk(CannedResponder({}), chat, line).splitlines()
    assert len(shown) == 2, "the list of images and the error"
    assert shown[1].startswith("error: ")
    assert chat.now == before


def test_a_question_that_the_model_refuses_leaves_the_conversation_as_it_was(pictures: list[ImageRef]) -> None:
    class Full(Listener):
        def stream(self, question: Example, *, max_tokens: int) -> Iterator[str]:
            if len(question.turns) > 1:
                raise ModelError("too long.\nAsk less.")
            yield from super().stream(question, max_tokens=max_tokens)

    chat = Chat(pictures[:1])
    shown = talk(Full(), chat, "One?", "Two?")
    assert shown.endswith("reply 1\nerror: too long. Ask less.\n")
    assert len(chat.now.turns) == 2


def test_undo_goes_back_a_message_or_an_added_image(pictures: list[ImageRef]) -> None:
    listener = Listener()
    chat = Chat(pictures[:1])
    shown = talk(listener, chat, "/add dog.png", "One?", "Two?", "/undo", "/undo", "/undo", "/undo")
    assert shown.endswith("undone\nundone\nundone\nnothing to undo\n")
    assert chat.now == Chat(pictures[:1]).now
    talk(listener, chat, "Three?")
    assert shape(listener.questions[-1]) == ["Image 1: ", "[cat]", "\nThree?"]


def test_reset_begins_again_with_the_first_images(pictures: list[ImageRef]) -> None:
    chat = Chat(pictures[:1])
    talk(Listener(), chat, "/add dog.png", "One?", "/reset")
    assert (chat.now.turns, chat.images) == ((), (pictures[0],))


def test_images_are_listed_on_demand(pictures: list[ImageRef]) -> None:
    assert "no images yet" in talk(Listener(), Chat(), "/images")
    assert talk(Listener(), Chat(pictures[:2]), "/images").count("image 2: dog.png") == 2


def test_quit_and_the_end_of_input_leave(pictures: list[ImageRef]) -> None:
    listener = Listener()
    assert talk(listener, Chat(), "/quit", "One?") == ""
    assert talk(listener, Chat(), "", "   ") == ""
    assert not listener.questions


def test_help_names_every_command() -> None:
    assert talk(Listener(), Chat(), "/help") == HELP
    for command in ("/add", "/images", "/undo", "/reset", "/help", "/quit"):
        assert command in HELP


def test_an_interrupted_answer_is_kept_as_far_as_it_came() -> None:
    class Interrupted(Listener):
        def stream(self, question: Example, *, max_tokens: int) -> Iterator[str]:
            yield from super().stream(question, max_tokens=max_tokens)
            if len(self.questions) == 1:
                raise KeyboardInterrupt

    chat = Chat()
    assert talk(Interrupted(), chat, "One?", "Two?") == "reply 1 [stopped]\nreply 2\n"
    assert [text_of(turn) for turn in chat.now.turns] == ["One?", "reply 1", "Two?", "reply 2"]


def test_a_message_interrupted_before_any_answer_is_taken_back() -> None:
    class Thinking(Listener):
        def stream(self, question: Example, *, max_tokens: int) -> Iterator[str]:
            yield ""
            raise KeyboardInterrupt

    chat = Chat()
    assert "taken back" in talk(Thinking(), chat, "One?")
    assert chat.now.turns == ()


def test_control_c_stops_the_answer_and_not_the_program() -> None:
    program = textwrap.dedent("""
        import signal, sys, time
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
        from triptych.serve.chat import Chat, converse
        class Slow:
            name = "slow"
            def stream(self, question, *, max_tokens):
                if len(question.turns) > 1:
                    yield "second answer"
                    return
                yield "begun"
                for second in range(30):
                    time.sleep(1)
                raise SystemExit("nobody pressed Ctrl-C")
        def out(text):
            sys.stdout.write(text)
            sys.stdout.flush()
        converse(Slow(), sys.stdin, out=out, chat=Chat())
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("One?\n")
        process.stdin.flush()
        assert process.stdout.read(5) == "begun"
        process.send_signal(signal.SIGINT)
        process.stdin.write("Two?\n")
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(timeout=30) == 0
    assert rest.endswith("[stopped]\nsecond answer\n")


def test_a_torn_picture_is_refused_when_it_is_opened(pictures: list[ImageRef]) -> None:
    Path("torn.png").write_bytes(Path("dog.png").read_bytes()[:150])
    with pytest.raises(DataError, match=r"torn\.png"):
        open_image("torn.png")
