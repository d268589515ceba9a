"""The arena: a judge that sees both orders, people's votes, and ratings that know what they do not know."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.core.errors import DataError, NotFoundError, RunError
from triptych.core.records import Answer, Example, Text, Turn, images_of, text_of
from triptych.evaluate.benchmarks.storyboard import BENCHMARK
from triptych.evaluate.certainty.ratings import Vote, duels, rate
from triptych.evaluate.reading.judge import read_preference
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.saved.arena import arena_to_json, hold_arena, judge_pairs, lines_of, read_contestants
from triptych.evaluate.saved.meetings import Contestant
from triptych.infer.canned import CannedResponder
from triptych.infer.responder import Failed


@pytest.fixture
def answers(board: Path, tmp_path: Path) -> list[Path]:
    """Two evaluations of the same questions: one says a good thing, one a bad one."""
    folders = []
    for name in ("good", "bad"):
        folder = tmp_path / name
        said = f"a {name} reply"
        evaluate(
            BENCHMARK,
            board / "held_in.jsonl",
            responder=CannedResponder(lambda _, said=said: said, name),
            folder=folder,
        )  # type: ignore[misc]
        folders.append(folder)
    return folders


def which(prompt: Example) -> tuple[str, str]:
    """Return the replies that stand as A and as B in what a judge is asked."""
    said = text_of(prompt.turns[-1]).split("Reply A:\n")[1]
    first, rest = said.split("\n\nReply B:\n")
    return first, rest.split("\n\nWhich reply")[0]


def fair(prompt: Example) -> str:
    return "A" if "good" in which(prompt)[0] else "B"


def test_a_judge_that_knows_is_believed(answers: list[Path], tmp_path: Path) -> None:
    judging = judge_pairs(read_contestants(answers), CannedResponder(fair), path=tmp_path / "arena.jsonl")
    arena = hold_arena(judging.votes, judging=judging)
    assert [(rating.name, rating.games) for rating in arena.ratings] == [("good", 16), ("bad", 16)]
    assert (judging.consistent, judging.unread, judging.first_preferred.score) == (1.0, 0, 0.5)
    (duel,) = arena.duels
    assert (duel.first, duel.wins, duel.losses) == ("bad", 0, 16)
    assert any("good is better than bad" in line for line in lines_of(arena))


def test_a_judge_that_always_takes_the_first_gives_ties_and_is_found_out(answers: list[Path], tmp_path: Path) -> None:
    judging = judge_pairs(read_contestants(answers), CannedResponder(lambda _: "A"), path=tmp_path / "arena.jsonl")
    arena = hold_arena(judging.votes, judging=judging)
    assert {vote.won for vote in judging.votes} == {0.5}
    assert (judging.consistent, judging.first_preferred.score) == (0.0, 1.0)
    assert arena.ratings[0].elo == pytest.approx(arena.ratings[1].elo)
    said = " ".join(lines_of(arena))
    assert "no evidence of a difference" in said
    assert "preferred what came first 100% of the time" in said


def test_the_judge_sees_the_question_with_its_images_and_not_the_reference(
    answers: list[Path], board: Path, tmp_path: Path
) -> None:
    seen: list[Example] = []

    def look(prompt: Example) -> str:
        seen.append(prompt)
        return "tie"

    blind = tmp_path / "blind"
    evaluate(BENCHMARK, board / "held_in.jsonl", responder=CannedResponder(lambda _: "x"), folder=blind, blind=True)
    judge_pairs(read_contestants([blind, answers[0]]), CannedResponder(look), path=tmp_path / "arena.jsonl", limit=4)
    assert len(seen) == 8
    for prompt in seen:
        assert len(images_of(prompt)) == 2
        said = text_of(prompt.turns[-1])
        assert said.startswith("User: Image 1:  Image 2:  Image 1?")
        assert not any(colour in said for colour in ("red", "green", "blue", "yellow"))
    assert which(seen[0]) == which(seen[1])[::-1]


def test_braces_in_replies_and_questions_reach_the_judge_as_they_are(tmp_path: Path) -> None:
    asked = r"Write {b} over {a} as \frac{a}{b}."
    question = Example("q", (Turn("user", (Text(asked),)), Turn("assistant", (Text("x"),))))
    said = r"It is \frac{a}{b}.", "{b}, {a} or {0}"
    seen: list[Example] = []

    def look(prompt: Example) -> str:
        seen.append(prompt)
        return "tie"

    pair = [Contestant(name, {"q": reply}, {"q": question}) for name, reply in zip("xy", said, strict=True)]
    judge_pairs(pair, CannedResponder(look), path=tmp_path / "arena.jsonl")
    assert [which(prompt) for prompt in seen] == [said, said[::-1]]
    assert all(text_of(prompt.turns[-1]).startswith(f"User: {asked}\n") for prompt in seen)


def test_judgements_are_kept_and_not_asked_for_again(answers: list[Path], tmp_path: Path) -> None:
    asked: list[str] = []

    def count(prompt: Example) -> str:
        asked.append(prompt.id)
        if len(asked) == 10:
            raise KeyboardInterrupt
        return fair(prompt)

    path = tmp_path / "arena.jsonl"
    contestants = read_contestants(answers)
    with pytest.raises(KeyboardInterrupt):
        judge_pairs(contestants, CannedResponder(count), path=path)
    judging = judge_pairs(contestants, CannedResponder(count), path=path)
    assert len(judging.votes) == 16
    assert len(set(asked)) == 32
    assert len(asked) == 33
    judge_pairs(contestants, CannedResponder(count, name="another"), path=path)
    assert len(asked) == 33 + 32


def test_a_verdict_that_cannot_be_read_is_no_vote(answers: list[Path], tmp_path: Path) -> None:
    def mumble(prompt: Example) -> str:
        if prompt.id.startswith("held_in-3 "):
            raise DataError("too long")
        return "hard to say" if prompt.id.startswith("held_in-5 ") else fair(prompt)

    judging = judge_pairs(read_contestants(answers), CannedResponder(mumble), path=tmp_path / "arena.jsonl")
    assert (len(judging.votes), judging.unread, judging.failed, judging.failure) == (14, 1, 1, "too long")


def test_a_judge_that_answers_what_was_not_asked_stops_the_arena(answers: list[Path], tmp_path: Path) -> None:
    class Confused(CannedResponder):
        def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
            yield Answer("nobody", "A")

    with pytest.raises(RunError, match="nobody"):
        judge_pairs(read_contestants(answers), Confused({}), path=tmp_path / "arena.jsonl")


@pytest.mark.parametrize(
    ("said", "won"),
    [
        ("A", 1.0),
        ("B.", 0.0),
        ("**B**", 0.0),
        ("tie", 0.5),
        ("Tie.", 0.5),
        ("Reply A", 1.0),
        ("A is better because it names both images.", 1.0),
        ("Reply B is better than reply A.", 0.0),
        ("The answer is: B", 0.0),
        ("I looked at both replies. [[A]]", 1.0),
        ("Both name it. [[C]] is not asked; [[tie]]", 0.5),
        ("B\nIt is shorter.", 0.0),
        ("", None),
        ("A or B, who knows", None),
        ("A good question.", None),
        ("Reply A is better; no, reply B is better.", None),
        ("[[A]] and [[B]]", None),
        *((f"My verdict is [[{said}]].", 1.0) for said in ("A>B", "A>>B", "B<A", "B << A", "Reply A", "A is better")),
        *((f"My verdict is [[{said}]].", 0.0) for said in ("A<B", "B>>A", "b")),
        *((f"My verdict is [[{said}]].", 0.5) for said in ("A=B", "B = A", "both")),
        *((f"I will write [[{said}]] below.", None) for said in ("A or B", "A/B", "A is worse", "A>A")),
        ("A: wrong colour. B: right colour. B is better.", 0.0),
        ("A. The first one is worse; B wins", None),
        *((said, None) for said in ("A, whereas the second reply is vague", "A: more of it than in reply B")),
        *((said, None) for said in ("B. A is better.", "A\nB is better.", "a. b.", "A, B", "A\nB")),
        ("A. Reply A is better than reply B.", 1.0),
        ("B. A good reply.", 0.0),
        ("**A**\n\nReply A names both images, reply B only one.", 1.0),
        ("Tie. A is better in one thing, B is better in another.", 0.5),
        ("Tie. B is better.", None),
    ],
)
def test_a_verdict_is_read_or_it_is_not(said: str, won: float | None) -> None:
    assert read_preference(said) == won


def test_replies_without_questions_are_contestants_too(answers: list[Path], tmp_path: Path) -> None:
    plain = tmp_path / "plain.jsonl"
    plain.write_text("".join(json.dumps({"id": f"held_in-{at}", "reply": "good"}) + "\n" for at in range(3)))
    other = tmp_path / "other.jsonl"
    other.write_text(plain.read_text())
    path = tmp_path / "arena.jsonl"
    assert len(judge_pairs(read_contestants([plain, answers[1]]), CannedResponder(fair), path=path).votes) == 3
    with pytest.raises(DataError, match="no file of answers holds the question"):
        judge_pairs(read_contestants([plain, other]), CannedResponder(fair), path=path)


def test_an_arena_needs_two(answers: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two responders or more"):
        read_contestants(answers[:1])
    with pytest.raises(DataError, match="two responders or more"):
        read_contestants([answers[0], answers[0]])
    with pytest.raises(NotFoundError, match="no such file of answers"):
        read_contestants([answers[0], tmp_path / "nowhere"])


def test_two_ratings_are_apart_as_their_wins_say() -> None:
    votes = [Vote("a", "b", float(number < 150), number) for number in range(200)]
    one, other = rate(votes)
    assert (one.name, one.elo + other.elo) == ("a", pytest.approx(2000))
    # One drawn game more: 150.5 won, 50.5 lost.
    assert one.elo - other.elo == pytest.approx(400 * math.log10(150.5 / 50.5), abs=0.1)


def test_ratings_hold_the_true_strengths() -> None:
    rng = np.random.default_rng(8)
    true = {"a": 1150.0, "b": 1000.0, "c": 850.0}
    held = 0
    for seed in range(60):
        votes = []
        for question in range(60):
            for first, second in (("a", "b"), ("b", "c"), ("a", "c")):
                wins = 1 / (1 + 10 ** ((true[second] - true[first]) / 400))
                votes.append(Vote(first, second, float(rng.random() < wins), question))
        for rating in rate(votes, seed=seed):
            assert rating.low is not None
            assert rating.high is not None
            held += rating.low <= true[rating.name] <= rating.high
    assert 160 <= held <= 180


def test_who_never_lost_has_a_finite_rating() -> None:
    best, worst = rate([Vote("a", "b", 1.0, number) for number in range(10)])
    assert math.isfinite(best.elo)
    assert best.elo - worst.elo == pytest.approx(400 * math.log10(10.5 / 0.5), abs=0.1)
    assert best.low is not None
    assert worst.high is not None
    # Ten of ten is no less than 72 of 100 by Wilson's interval: 166 points apart.
    assert 100 < best.low - worst.high < 250


def test_nothing_but_ties_is_not_certain() -> None:
    for rating in rate([Vote("a", "b", 0.5, number) for number in range(6)]):
        assert rating.low is not None
        assert rating.high is not None
        assert rating.low < 970 < rating.elo < 1030 < rating.high


def test_a_contestant_that_nobody_voted_on_is_told() -> None:
    arena = hold_arena([Vote("a", "b", 1.0, 1), Vote("a", "b", 0.0, 2)], names=["a", "b", "c"])
    assert "c: no votes, so no rating" in lines_of(arena)


def test_votes_on_one_question_are_no_interval() -> None:
    assert {(rating.low, rating.high) for rating in rate([Vote("a", "b", 1.0, "q")] * 9)} == {(None, None)}


def test_contestants_that_never_met_are_not_rated_together() -> None:
    with pytest.raises(DataError, match="nobody of a, b met anybody of c, d"):
        rate([Vote("a", "b", 1.0, 1), Vote("c", "d", 1.0, 2)])
    with pytest.raises(DataError, match="no votes"):
        rate([])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 4)), min_size=1))
def test_it_does_not_matter_who_is_named_first_or_voted_on_first(games: list[tuple[str, float, int]]) -> None:
    votes = [Vote(first, "b" if first == "a" else "a", won, question) for first, won, question in games]
    turned = [Vote(vote.second, vote.first, 1 - vote.won, vote.question) for vote in reversed(votes)]
    before, after = ({rating.name: rating.elo for rating in rate(some)} for some in (votes, turned))
    assert before == pytest.approx(after)
    assert [duel.rate for duel in duels(votes)] == pytest.approx([duel.rate for duel in duels(turned)])


def test_json_holds_ratings_duels_and_the_judge(answers: list[Path], tmp_path: Path) -> None:
    judging = judge_pairs(read_contestants(answers), CannedResponder(fair), path=tmp_path / "arena.jsonl")
    said = json.loads(json.dumps(arena_to_json(hold_arena(judging.votes, judging=judging))))
    assert [rating["name"] for rating in said["ratings"]] == ["good", "bad"]
    assert said["duels"][0].keys() >= {"wins", "ties", "losses", "rate", "low", "high", "p", "p_holm"}
    assert said["judge"]["consistent"] == 1.0


def test_an_id_with_two_replies_is_refused(tmp_path: Path) -> None:
    rows = [{"id": 1, "reply": "red"}, {"id": 1, "reply": "red"}, {"id": 2, "reply": "blue"}]
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    assert [len(found.replies) for found in read_contestants(files)] == [2, 2]
    files[1].write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"id": "1", "reply": "green"}]))
    with pytest.raises(DataError, match=r"two\.jsonl: line 4: the id '1' has another reply above\. Give each"):
        read_contestants(files)


def test_a_judge_whose_verdicts_cannot_be_read_is_told_with_what_it_said(answers: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"of 16 pairs none has verdicts .* 'score: 0\.3'\. Ask a judge"):
        judge_pairs(read_contestants(answers), CannedResponder(lambda _: "score: 0.3"), path=tmp_path / "arena.jsonl")


def test_a_judge_that_fails_is_told_with_its_reason(answers: list[Path], tmp_path: Path) -> None:
    class Broken(CannedResponder):
        def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
            yield from (Failed(question.id, "no network") for question in questions)

    with pytest.raises(DataError, match=r"none has verdicts .*; the judge gave none \(no network\)\. The same command"):
        judge_pairs(read_contestants(answers), Broken({}), path=tmp_path / "arena.jsonl")


def test_judgements_that_contradict_each_other_are_told(
    answers: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "arena.jsonl"
    contestants = read_contestants(answers)
    judge_pairs(contestants, CannedResponder(fair), path=path, limit=1)
    first = json.loads(path.read_text().splitlines()[0])
    with path.open("a") as file:
        file.write(json.dumps({**first, "said": "tie"}) + "\n")
    judge_pairs(contestants, CannedResponder(fair), path=path, limit=1)
    assert "arena.jsonl: 1 judgements differ from an earlier one on the same" in capsys.readouterr().err
