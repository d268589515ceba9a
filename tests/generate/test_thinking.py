"""A reasoning model's thinking: none of its drafts is read, in whatever stage; without an end there is no reply."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.generate.driving import asked, draw_all, run
from tests.generate.runs import refused, rows
from tests.generate.test_syphus import source_of
from triptych.core.config import parse_config
from triptych.core.records import Example
from triptych.core.thinking import spoken, unfinished
from triptych.generate import recipe
from triptych.generate.pipeline import Outcome, generate
from triptych.generate.recipe import Recipe

DRAFT = '{"pairs": [{"question": "How many horses are there?", "answer": "There are five horses."}]}'
FINAL = '{"pairs": [{"question": "How many horses are seen?", "answer": "There is one horse."}]}'


REPLIES = {
    "<think>one</think>two": "two",
    "<think>one</think>\n\n  two \n": "two \n",
    "one</think>two": "two",
    "<think>one</think>two<think>no</think>three": "three",
    "two\n<think>no</think>": "two\n",
    "two\n<think>no</think>\n<reflection>no</reflection>\n": "two\n",
    "two <reasoning>It is so, as": "two ",
    "<thinking>one<reflection>no</reflection>one</thinking>two": "two",
    "two <think>one<reflection>no</reflection>": "two ",
    "two <think>one<reflection>no</reflection>no": "two ",
    "one<think>one</think>one</think>two<think>no": "two",
    "one</think>one</think>two": "two",
    "<think>one</thinking>two": "two",
    "one<think>one</thinking>two": "two",
    "[THINK]one[/THINK]two": "two",
    "◁think▷one◁/think▷two": "two",
    "<Thinking>one</THINKING>two": "two",
    "<seed:think>one</seed:think>two": "two",
    "<|channel|>analysis<|message|>one<|end|><|start|>assistant<|channel|>final<|message|>two": "two",
    "<|channel|>commentary to=a<|message|>one<|end|><|start|>assistant<|channel|>final<|message|>two": "two",
    "two <|channel|>commentary to=a<|message|>one": "two ",
    "<|channel|>analysis<|message|>one<|channel|>final <|constrain|>json<|message|>two": "two",
    "<|channel|>final<|constrain|> json <|message|>two": "two",
    "<thinking>one</thinking><reflection>no</reflection>two": "two",
    "<|channel|>analysis<|message|>one<|channel|>final two": "two",
    "<unused94>thought\none<unused95>two": "two",
    # A begin that the draft only names, where the prompt opens the thinking.
    "They want it after <think>. It may be one, no.</think>\n\ntwo": "two",
    "Let me look again: one?\n<think>no</think>\nIt is two.": "It is two.",
    # An end too many.
    "<think>one</think>\n<answer>two</answer>\n</think>": "<answer>two</answer>\n",
    "<think>one</think>\nIt is two.</think>": "It is two.",
    "<think>one</think>two</think>\n</think> \n": "two",
    "<think>one</think>one</think>two</think>": "two",
    "<think>one</think>two</think><reflection>no</reflection>": "two",
    "<scratchpad>one": None,
    "<think>one": None,
    "<think>one <answer>two</answer>": None,
    "one</think>": None,
    "one</think>one</think>\n": None,
    "<think>one</think>two<think>no": "two",
    "<think>one</think> \n": None,
    "<think>one</think></think>": None,
    "one <think>one <reflection>no</reflection>one</thinking>": None,
    "I think that <b>one</b> is two ": "I think that <b>one</b> is two ",
    "": "",
}


@pytest.mark.parametrize(("reply", "said"), REPLIES.items())
def test_only_what_stands_beside_the_thinking_was_said(reply: str, said: str | None) -> None:
    assert spoken(reply) == said
    assert said is None or spoken(said) == said


def test_what_is_read_in_replies_changes_with_its_version_alone() -> None:
    """Raise ``recipe.READING`` where what is read of one changes; a further reply changes the digest alone."""
    read = json.dumps([(reply, spoken(reply), unfinished(reply)) for reply in REPLIES])
    assert (recipe.READING, hashlib.sha256(read.encode()).hexdigest()[:8]) == (3, "c9144d82")


@pytest.mark.parametrize(
    "marks",
    ["<think>\n", "</think>\n", "<think>a</thinking>", "<think>a</think>", "<|channel|>analysis ", "<|channel|>final "],
)
def test_a_long_loop_of_marks_is_read_at_once(marks: str) -> None:
    """Two hundred thousand letters: by the square of them it would take minutes."""
    assert (spoken(marks * (200_000 // len(marks))) or "a").strip() == "a"


def thinking(question: Example) -> str:
    """Think of a draft, behind an endpoint that leaves it in the reply."""
    return f"<think>A draft: {DRAFT} No, that is wrong.</think>\n{FINAL}"


def endless(question: Example) -> str:
    return f"<think>A draft: {DRAFT} No, that is"


def in_doubt(question: Example) -> str:
    return f"{DRAFT}\n{endless(question)}"


def in_lines(question: Example) -> str:
    return "Q: Where is the barn?\nA: On the moon. Hmm, no.\n</think>\nQ: What does he ride?\nA: He rides a horse."


def judging(question: Example) -> str:
    return '<think>Perhaps "score": 1, or not.</think>{"score": 5, "reason": "good"}'


def translating(question: Example) -> str:
    count = len(json.loads(asked(question).splitlines()[-1])["texts"])
    draft, final = (json.dumps({"texts": [words] * count}) for words in ("第一稿", "最后一稿"))
    return f"<think>{draft} would be poor.</think>{final}"


def _generate(folder: Path, teacher: str, *steps: dict[str, Any]) -> Outcome:
    tree = {"name": "t", "teachers": {"writer": {"model": f"canned:{__name__}.{teacher}"}}, "stages": [*steps]}
    return generate(parse_config(json.dumps(tree), model=Recipe, file="test"), folder=folder / "run")


def _asked(folder: Path) -> list[dict[str, Any]]:
    source = source_of("la", folder) + "&limit=1"
    draw_all(run([{"kind": "annotate", "source": source}], folder).items)
    return [{"kind": "annotate", "source": source}, {"kind": "ask", "prompt": "la_conversation"}, {"kind": "parse"}]


def _words(outcome: Outcome) -> list[str]:
    items = rows(outcome.folder / "stages" / f"{outcome.stages[-1].label}.jsonl")
    return [part for item in items for turn in item["example"]["turns"] for part in turn[1:] if isinstance(part, str)]


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        ("thinking", ["How many horses are seen?", "There is one horse."]),
        ("in_lines", ["What does he ride?", "He rides a horse."]),
    ],
)
def test_no_draft_becomes_a_pair_and_the_reply_on_disk_is_whole(teacher: str, words: list[str], tmp_path: Path) -> None:
    assert _words(_generate(tmp_path, teacher, *_asked(tmp_path))) == words
    kept = [row for row in rows(tmp_path / "run" / "replies" / "writer.jsonl") if "key" in row]
    assert all("</think>" in row["reply"] for row in kept)
    again = _generate(tmp_path, teacher, *_asked(tmp_path)[:2], {"kind": "parse", "images": "numbered"})
    assert _words(again)[1:] == [f"\n{words[0]}", words[1]]  # from the kept reply


def test_what_an_earlier_version_made_of_kept_replies_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(recipe, "READING", 1)
        _generate(tmp_path, "thinking", *_asked(tmp_path))
    for _ in range(2):
        _generate(tmp_path, "thinking", *_asked(tmp_path))
    log = (tmp_path / "run" / "log.txt").read_text()
    assert (log.count("02-ask: its settings changed"), log.count("02-ask: kept")) == (1, 1)
    assert log.count("new replies") == 1


@pytest.mark.parametrize("teacher", ["endless", "in_doubt"])
def test_thinking_without_an_end_is_no_reply_and_is_counted(teacher: str, tmp_path: Path) -> None:
    outcome = _generate(tmp_path, teacher, *_asked(tmp_path))
    assert outcome.stages[1].refused == {"no reply": 1}
    assert outcome.stages[1].failed == 0  # asking again would end the same
    assert "raise max_tokens" in refused(outcome)[0]["message"]


def test_a_judge_is_heard_behind_its_thinking(tmp_path: Path) -> None:
    steps = ({"kind": "from_truth", "per_item": 1}, {"kind": "judged", "teacher": "writer", "sees": False})
    outcome = _generate(tmp_path, "judging", {"kind": "annotate", "source": f"albums:{tmp_path}/a#count=1"}, *steps)
    assert (outcome.stages[-1].items_out, dict(outcome.stages[-1].refused)) == (1, {})


def test_a_draft_of_a_translation_is_none(tmp_path: Path) -> None:
    row = {"id": "a", "messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "This."}]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    source = {"kind": "annotate", "source": f"examples:messages:{tmp_path}/rows.jsonl"}
    outcome = _generate(tmp_path, "translating", source, {"kind": "translate", "into": ["zh"], "original": False})
    assert _words(outcome) == ["最后一稿"] * 2
