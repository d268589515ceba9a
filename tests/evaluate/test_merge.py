"""Parts asked apart and put together are the evaluation asked in one go."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from triptych.core.errors import DataError, NotFoundError
from triptych.core.records import Example, Text, Turn
from triptych.core.shard import Shard
from triptych.evaluate.benchmarks.storyboard import BENCHMARK, questions
from triptych.evaluate.reading.answers import ANSWERS
from triptych.evaluate.reading.judge import Judge, needs_judge
from triptych.evaluate.running.merge import merge
from triptych.evaluate.running.result import Result
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.saved.compare import compare_folders
from triptych.infer.canned import CannedResponder


def colours(question: Example) -> str:
    """Right for some of the questions, wrong for others, nothing for a few."""
    number = int(question.id.rpartition("-")[2])
    return ("the red", "the green", "the blue", "")[number % 4]


def ask_part(
    board: Path,
    folder: Path,
    number: int,
    count: int,
    *,
    blind: bool = False,
    name: str = "r",
    responder: CannedResponder | None = None,
    max_tokens: int | None = None,
    limit: int | None = None,
) -> None:
    shard = Shard(number, count)
    evaluate(
        BENCHMARK,
        board,
        responder=responder or CannedResponder(colours, name),
        folder=folder / shard.folder,
        shard=shard,
        name="storyboard",
        blind=blind,
        max_tokens=max_tokens,
        limit=limit,
    )


def forget_stories(board: Path) -> None:
    for part in board.glob("*.jsonl"):  # then its questions are on four sets of images
        rows = [json.loads(line) for line in part.read_text().splitlines()]
        for row in rows:
            del row["facts"]["story"]
        part.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("blind", [False, True])
def test_questions_on_the_same_images_are_one_story_in_parts_and_in_the_whole(
    board: Path, tmp_path: Path, blind: bool
) -> None:
    forget_stories(board)
    for number in (1, 2, 3):
        ask_part(board, tmp_path / "e", number, 3, blind=blind)
    whole = evaluate(BENCHMARK, board, responder=CannedResponder(colours, "r"), folder=tmp_path / "w", blind=blind)
    found = merge([tmp_path / "e"], out=tmp_path / "out")
    assert found is not None
    assert (found.total.low, found.total.high) == (whole.total.low, whole.total.high)


def test_which_side_was_asked_blind_does_not_change_what_is_independent(board: Path, tmp_path: Path) -> None:
    forget_stories(board)
    runs = [tmp_path / name for name in ("seen", "blind")]
    for run, say in zip(runs, (colours, lambda _: "the purple"), strict=True):
        folder = run / "evals" / "storyboard"
        evaluate(BENCHMARK, board, responder=CannedResponder(say), folder=folder, blind=run.name == "blind")
    first, second = (compare_folders(*pair, common=True).rows[0].paired for pair in (runs, runs[::-1]))
    assert first.p == second.p
    assert first.p > 0.05, "four sets of images are not much"


@pytest.mark.parametrize("blind", [False, True])
def test_parts_together_are_the_whole(board: Path, tmp_path: Path, blind: bool) -> None:
    rows = (board / "held_in.jsonl").read_text().splitlines()
    row = json.loads(rows[2])
    row["images"][0] = "gone.png"
    (board / "held_in.jsonl").write_text("\n".join([*rows[:2], json.dumps(row), *rows[3:], ""]))
    for number in (1, 2, 3):
        ask_part(board, tmp_path / "e", number, 3, blind=blind)
    merged = merge([tmp_path / "e"], out=tmp_path / "e")
    whole = CannedResponder(colours, "r")
    expected = evaluate(BENCHMARK, board, responder=whole, folder=tmp_path / "whole", name="storyboard", blind=blind)
    assert merged == expected
    assert 0 < expected.total.score < 1
    assert expected.failed == 1
    for name in ("result.json", "items.jsonl", "asked.json"):
        assert (tmp_path / "e" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_parts_of_several_machines_are_merged_and_nothing_is_asked_again(board: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        ask_part(board, tmp_path / f"machine-{number}", number, 2)
    asked: list[str] = []

    def reply(question: Example) -> str:
        asked.append(question.id)
        return "never"

    out = tmp_path / "together"
    assert merge([tmp_path / "machine-1"], out=out) is None
    found = merge([tmp_path / "machine-1", tmp_path / "machine-2"], out=out)
    assert found is not None
    assert found.total.n == 32
    again = evaluate(BENCHMARK, board, responder=CannedResponder(reply, "r"), folder=out, name="storyboard")
    assert (again, asked) == (found, [])


def test_what_is_missing_is_told_and_asked_by_the_whole(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask_part(board, tmp_path / "e", 1, 2)
    assert merge([tmp_path / "e"], out=tmp_path / "e") is None
    told = capsys.readouterr().err
    assert "16 of 32 questions" in told
    assert "parts here: 1/2" in told
    rest: list[str] = []

    def reply(question: Example) -> str:
        rest.append(question.id)
        return colours(question)

    evaluate(BENCHMARK, board, responder=CannedResponder(reply, "r"), folder=tmp_path / "e", name="storyboard")
    parted = {json.loads(line)["id"] for line in (tmp_path / "e" / "shard-1-of-2" / ANSWERS).read_text().splitlines()}
    ids = {question.id for question in questions(board) if isinstance(question, Example)}
    assert set(rest) == ids - parted


def test_parts_that_do_not_belong_together_are_refused(board: Path, tmp_path: Path) -> None:
    ask_part(board, tmp_path / "a", 1, 2)
    ask_part(board, tmp_path / "b", 2, 2, blind=True)
    ask_part(board, tmp_path / "c", 2, 2, name="another")
    with pytest.raises(DataError, match="blind is True, not False"):
        merge([tmp_path / "a", tmp_path / "b"], out=tmp_path / "out")
    with pytest.raises(DataError, match="responder is 'another', not 'r'"):
        merge([tmp_path / "a", tmp_path / "c"], out=tmp_path / "out")
    ask_part(board, tmp_path / "d", 1, 2, responder=CannedResponder({"one": "reply"}, "r"))
    ask_part(board, tmp_path / "e", 2, 2, max_tokens=5)
    ask_part(board, tmp_path / "f", 2, 2, limit=8)
    with pytest.raises(DataError, match="r had other weights or settings"):
        merge([tmp_path / "a", tmp_path / "d"], out=tmp_path / "out")
    with pytest.raises(DataError, match="max_tokens is 5, not 32"):
        merge([tmp_path / "a", tmp_path / "e"], out=tmp_path / "out")
    with pytest.raises(DataError, match="24 questions are in one of them only, as 'held_in-0'"):
        merge([tmp_path / "a", tmp_path / "f"], out=tmp_path / "out")
    with pytest.raises(NotFoundError, match="shard-K-of-N"):
        merge([tmp_path / "nowhere"], out=tmp_path / "out")


@pytest.mark.parametrize(
    ("place", "said", "why"),
    [
        (0, "Which is first?", "1 questions have other words or pictures, as 'held_in-3'"),
        (-1, "the red", "what is right"),
    ],
)
def test_parts_of_two_versions_of_the_data_are_refused(
    board: Path, tmp_path: Path, place: int, said: str, why: str
) -> None:
    ask_part(board, tmp_path / "old", 1, 2)
    path = board / "held_in.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    content = rows[3]["messages"][place]["content"]
    rows[3]["messages"][place]["content"] = said if place else [*content[:-1], {"type": "text", "text": said}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ask_part(board, tmp_path / "new", 2, 2)
    with pytest.raises(DataError, match=why):
        merge([tmp_path / "old", tmp_path / "new"], out=tmp_path / "out")


def test_parts_that_overlap_and_parts_of_other_counts_make_one_whole(board: Path, tmp_path: Path) -> None:
    for number, count in ((1, 2), (1, 3), (2, 3), (3, 3)):
        ask_part(board, tmp_path / f"{number}-{count}", number, count)
    parts = [tmp_path / name for name in ("1-2", "1-3", "2-3", "3-3")]
    found = merge(parts, out=tmp_path / "out")
    whole = evaluate(
        BENCHMARK, board, responder=CannedResponder(colours, "r"), folder=tmp_path / "w", name="storyboard"
    )
    assert found == whole
    assert len((tmp_path / "out" / ANSWERS).read_text().splitlines()) == 32


def test_what_a_judge_said_of_the_parts_is_kept_and_not_asked_for_again(board: Path, tmp_path: Path) -> None:
    def ask(question: Example, reply: str) -> Example:
        return Example("", (Turn("user", (Text(f"mark {reply}"),)),))

    judge = Judge(ask=ask, read=lambda question, verdict: {"score": int(verdict) / 5}, published="somebody")
    judged = replace(BENCHMARK, score=needs_judge, judge=judge)
    asked: list[str] = []

    def mark(prompt: Example) -> str:
        asked.append(prompt.id)
        return "4"

    def measure(folder: Path, shard: Shard | None) -> Result:
        strict = CannedResponder(mark, "strict")
        return evaluate(
            judged, board, responder=CannedResponder(colours, "r"), folder=folder, shard=shard, judge=strict
        )

    for number in (1, 2):
        measure(tmp_path / "e" / Shard(number, 2).folder, Shard(number, 2))
    before = len(asked)
    assert merge([tmp_path / "e"], out=tmp_path / "e") is None
    found = measure(tmp_path / "e", None)
    assert (found.total.n, found.total.score, len(asked)) == (32, pytest.approx(0.8 * 24 / 32), before)


def test_a_part_that_no_question_fell_to_belongs_to_the_whole(board: Path, tmp_path: Path) -> None:
    forget_stories(board)
    for number in range(1, 7):
        ask_part(board, tmp_path / str(number), number, 6)
    assert not (tmp_path / "6" / "shard-6-of-6" / ANSWERS).exists()
    found = merge([tmp_path / str(number) for number in range(1, 7)], out=tmp_path / "out")
    assert found is not None
    assert found.total.n == 32


def test_a_folder_of_another_version_of_the_data_is_not_merged_into(board: Path, tmp_path: Path) -> None:
    out, path = tmp_path / "out", board / "held_in.jsonl"
    for number in (1, 2):
        ask_part(board, tmp_path / "e", number, 2)
    before = merge([tmp_path / "e"], out=out)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[2]["messages"][-1]["content"] = "the purple"  # the data were wrong, and are put right
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for number in (1, 2):
        ask_part(board, tmp_path / "e", number, 2)
    held = (out / "result.json").read_bytes()
    with pytest.raises(DataError, match=r"out holds another evaluation: .* what is right.* --out\."):
        merge([tmp_path / "e"], out=out)
    assert (out / "result.json").read_bytes() == held
    new = merge([tmp_path / "e"], out=tmp_path / "new")
    whole = evaluate(
        BENCHMARK, board, responder=CannedResponder(colours, "r"), folder=tmp_path / "w", name="storyboard"
    )
    assert before is not None
    assert new == whole != before


def test_a_merged_folder_takes_mended_facts_from_the_parts(board: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        ask_part(board, tmp_path / "e", number, 2)
    merge([tmp_path / "e"], out=tmp_path / "out")
    path = board / "held_in.jsonl"
    path.write_text(path.read_text().replace('"kind": "name"', '"kind": "colour"'))
    for number in (1, 2):
        ask_part(board, tmp_path / "e", number, 2)
    found = merge([tmp_path / "e"], out=tmp_path / "out")
    assert found is not None
    assert {name: score.n for name, score in found.by_kind.items()} == {"colour": 16, "name": 16}


def test_a_merged_folder_of_an_older_version_is_merged_into(board: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        ask_part(board, tmp_path / "e", number, 2)
    found = merge([tmp_path / "e"], out=tmp_path / "out")
    asked = json.loads((tmp_path / "out" / "asked.json").read_text())
    for key in ("max_tokens", "references", "groups", "distinct"):
        del asked[key]
    (tmp_path / "out" / "asked.json").write_text(json.dumps(asked))
    assert merge([tmp_path / "e"], out=tmp_path / "out") == found
