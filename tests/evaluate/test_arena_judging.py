"""What a judge of the arena says is read as it was meant, kept for whoever is named first, and its failures told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from triptych.core.errors import DataError
from triptych.core.records import Answer, Example, Text, Turn, text_of
from triptych.evaluate.reading.answers import Keys
from triptych.evaluate.reading.judge import read_preference, reading_of
from triptych.evaluate.saved.arena import VERDICT_TOKENS, arena_to_json, hold_arena, judge_pairs, lines_of
from triptych.evaluate.saved.meetings import Contestant, meetings_of
from triptych.infer.canned import CannedResponder
from triptych.infer.responder import Failed


def question(name: str, words: str = "Which colour?") -> Example:
    return Example(name, (Turn("user", (Text(words),)), Turn("assistant", (Text("red"),))), facts={"story": name})


def contestant(name: str, reply: str, *, words: str = "Which colour?") -> Contestant:
    asked = {str(number): question(str(number), words) for number in range(6)}
    return Contestant(name, dict.fromkeys(asked, reply), asked)


GOOD, BAD = contestant("good", "a good one"), contestant("bad", "a bad one")


def fair(prompt: Example) -> str:
    return "A" if "Reply A:\na good" in text_of(prompt.turns[-1]) else "B"


@pytest.mark.parametrize(
    ("said", "won"),
    [
        *(
            (said, 0.5)
            for said in (
                "Neither A nor B is better.",
                "Neither A nor B is better: both name the dog.",
                "Neither reply A nor reply B is better.",
                "Neither is better than the other.",
                "Neither of the two replies is better.",
                "I think that neither reply wins",
                "Tie. Neither is better.",
                "Neither is better. Both are fine.",
            )
        ),
        *(
            (said, None)
            for said in (
                "Neither A nor B is better, but B is more detailed.",
                "I cannot determine whether A is better than B without seeing the image.",
                "I can't say that A is better.",
                "I can’t tell if reply B is better.",
                "I don't think A is better.",
                "It is hard to say that B is better.",
                "It is not true that A is better.",
                "I doubt that B wins",
                "I am not sure A is better or B is better",
                "B is better? No, A is.",
                "A is better than B? I have no idea.",
                'A is better? "Dog" is what both say.',
                "I don't know if I think A is better.",
                "I'm not sure I believe that A is better.",
                "While it is hard to read I'd say A is better.",
                "As B cannot count birds we find A is better",
                "Though not long enough I think A is better",
                "A is better because why should the tail count?",
                "I can't deny that A is better.",
                "It is not hard to see that A is better.",
                "I cannot find a reason to believe that A is better.",
            )
        ),
        *(
            (said, 1.0)
            for said in (
                "There is no doubt that A is better.",
                "B does not name the dog, and A is better.",
                "I cannot see the tail, but A is better.",
                "At first I was not sure whether A is better. Yet A is better.",
                "A. I cannot say more.",
                'Reply A is better as to "Who is left of the tree?", and short.',
                "Neither is better in spelling, but A is better at colours.",
                "While neither is better on tone, A is clearly better, as it counts the birds.",
                "Neither reply wins on length, so content decides: Reply A wins.",
                "[[A]] I cannot tell whether B is better at colours.",
            )
        ),
    ],
)
def test_who_refuses_or_prefers_neither_prefers_nobody(said: str, won: float | None) -> None:
    assert read_preference(said) == won


PLAIN = {
    1.0: (
        "I went through both.\n\n**A**",
        "B has no tail. Final answer: A",
        "Both name the dog.\nMy verdict is A.",
        "The better reply is A, as it counts.",
        "I'd choose reply A.",
        "All in all I pick A because it is right.",
        "I prefer A over B",
        "Reply **A** is much better.",
        "In my view reply A is the clearly better one, and so A wins.",
        "Both are equally good at colours. Yet A is better at counting.",
        "Neither response is better in spelling; A wins",
        "Some say B is better. A is better.",
        "B is better in style. However, A is better.",
        "B is better in style. But A is better at colours, so A wins.",
        "Reply A is better. However, B is longer.",
        "Reply A is better in every way. However, B is shorter.",
        "Reply A is better than reply B in general. However, it is longer.",
        "I think A is better for these reasons. But B is not bad.",
        "Reply A is better at counting. However, both could be shorter.",
        "A wins on style. Still, the difference is small.",
        "Reply A is better at colours. It counts right, however.",
        "Reply A is better in all things. Both name the dog.",
        "Reply A is better in style. However, reply B is wrong. All in all A wins.",
    ),
    0.5: (
        "Both name the dog.\nTie",
        "B is short. Final verdict: a tie",
        "It's a tie.",
        "It’s a tie, as they say the same.",
        "Both are equally good.",
        "They're tied",
        "Neither of them is better.",
        "Neither of the two answers is better.",
        "Still, neither is better.",
        "Tie. Neither is better, though B is longer.",
    ),
    None: (
        "Both are equally good, but A is shorter.",
        "Neither is better, although B is longer.",
        "Neither wins; however, I prefer the words of B.",
        "Neither is better.\nStill, B names the dog.",
        "Neither is better. Yet B names the dog. It is short.",
        "A is better in style. Neither is better at colours.",
        "Reply A is better in style, but B counts right.",
        "Reply A is better than reply B in style, though B counts right.",
        "Reply A is better in style. However, B is correct.",
        "Reply A is better in style. Nevertheless, B is correct.",
        "Reply A is better in style. That said, B is correct.",
        "B is better in style. However, A is better at colours.",
        "Reply A is better in style; but B is correct.",
        "Reply A is better than reply B in style.\n\nYet reply B counts right.",
        "A is better written.",
        "A?",
        "The better reply is A?",
        "I look at both.\nReply A:",
        "A is better or B is.",
        "I prefer A's style.",
        "I would choose A if it were shorter.",
        "If it were red, A is better.",
        "At first A is better, but it counts wrong.",
        "At first A is better, and B wins?",
        "The answer to both is in A.\nB: no.",
        "He wears a hat, tie, and coat.",
        "I chose.\nA\nB",
        "A is better.\nB",
    ),
}


@pytest.mark.parametrize(("said", "won"), [(said, won) for won, some in PLAIN.items() for said in some])
def test_a_preference_is_read_where_a_clause_or_the_last_line_says_it_plainly(said: str, won: float | None) -> None:
    assert read_preference(said) == won


@pytest.mark.parametrize("words", ["\n", "*\n", "-\n", "[[A ", "Neither is better. ", "A is better? ", "so ", ". "])
def test_a_verdict_that_is_a_loop_is_read_at_once(words: str) -> None:
    """By the square of its length it would take minutes."""
    for begin in ("", "A"):
        reading_of(read_preference, f"{begin}{words * (50_000 // len(words))}x", cut=True)


@pytest.mark.parametrize(
    ("said", "won"),
    [
        ("Reply A is better, since it names the", 1.0),
        ("A. It names the dog and", 1.0),
        ("B\n\n\n", 0.0),
        ("A \n", 1.0),
        ("After some thought I say B", None),
        ("Reply B is better", None),
        ("A", None),
        ("<think>Reply A is better, as", None),
        ("I look at both.\nReply A:\n", None),
    ],
)
def test_a_verdict_at_the_very_end_of_words_that_were_cut_is_none(said: str, won: float | None) -> None:
    assert reading_of(read_preference, said, cut=True) == won


def test_the_arena_reads_no_verdict_that_was_cut_at_its_end(tmp_path: Path) -> None:
    lengthy = CannedResponder(lambda prompt: f"The better one is the {fair(prompt)} that I name: [[{fair(prompt)}]]")
    path = tmp_path / "arena.jsonl"
    with pytest.raises(DataError, match="none has verdicts"):
        judge_pairs([GOOD, BAD], lengthy, path=path, max_tokens=9)
    lengthy = CannedResponder(lambda prompt: f"{fair(prompt)}")
    assert judge_pairs([GOOD, BAD], lengthy, path=path, max_tokens=2).unread == 0
    with pytest.raises(DataError, match="none has verdicts"):
        judge_pairs([GOOD, BAD], lengthy, path=path, max_tokens=1)


def test_replies_to_different_questions_of_one_id_are_not_compared(tmp_path: Path) -> None:
    other = contestant("other", "a bad one", words="How many?")
    with pytest.raises(DataError, match="good and other: '0' is not the same question on both sides"):
        judge_pairs([GOOD, other], CannedResponder(fair), path=tmp_path / "arena.jsonl")
    assert not (tmp_path / "arena.jsonl").exists()


class Dying(CannedResponder):
    """Answers nine prompts, and fails on the others."""

    def answer(self, questions: Iterable[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        for number, prompt in enumerate(questions):
            yield Answer(prompt.id, fair(prompt)) if number < 9 else Failed(prompt.id, "HTTP 400: no more.")


def test_pairs_that_the_judge_gave_no_verdict_on_are_told_apart_and_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "arena.jsonl"
    judging = judge_pairs([GOOD, BAD], Dying(fair, "j"), path=path)
    assert (len(judging.votes), judging.unread, judging.failed) == (4, 0, 2)
    assert judging.failure == "HTTP 400: no more."
    arena = hold_arena(judging.votes, judging=judging)
    assert "2 pairs got no verdict: HTTP 400: no more. The same command asks again." in lines_of(arena)
    told = json.loads(json.dumps(arena_to_json(arena)))["judge"]
    assert (told["failed"], told["unread"]) == (2, 0)
    again = judge_pairs([GOOD, BAD], CannedResponder(fair, "j"), path=path)
    assert (len(again.votes), again.failed, again.failure) == (6, 0, "")
    assert not any("got no verdict" in line for line in lines_of(hold_arena(again.votes, judging=again)))


def test_it_does_not_matter_for_what_is_kept_who_is_named_first(tmp_path: Path) -> None:
    asked: list[str] = []

    def count(prompt: Example) -> str:
        asked.append(prompt.id)
        return fair(prompt)

    path = tmp_path / "arena.jsonl"
    one = judge_pairs([GOOD, BAD], CannedResponder(count, "j"), path=path)
    other = judge_pairs([BAD, GOOD], CannedResponder(count, "j"), path=path)
    assert len(asked) == 12
    assert [vote.won for vote in one.votes] == [1 - vote.won for vote in other.votes]


@pytest.mark.parametrize("named", [(GOOD, BAD), (BAD, GOOD)])
def test_what_an_older_version_kept_is_found_whoever_it_named_first(
    named: tuple[Contestant, Contestant], tmp_path: Path
) -> None:
    path = tmp_path / "arena.jsonl"
    judge = CannedResponder(fair, "j")
    keys = Keys(judge.name, judge.fingerprint, VERDICT_TOKENS)
    with path.open("w") as file:
        for meeting in meetings_of(named):
            for prompt, order in zip(meeting.prompts, ("forwards", "backwards"), strict=True):
                name = f"{meeting.question.id} | {named[0].name} | {named[1].name} | {order}"
                key = keys.of(replace(prompt, id=name))
                file.write(json.dumps({"key": key, "id": name, "judge": "j", "said": fair(prompt)}) + "\n")
    before = path.read_bytes()
    for pair in ([GOOD, BAD], [BAD, GOOD]):
        assert len(judge_pairs(pair, CannedResponder(fair, "j"), path=path).votes) == 6
    assert path.read_bytes() == before
