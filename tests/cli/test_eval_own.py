"""``triptych eval MODEL own``: one's own held-out rows, from the command line to a comparison; replies are canned."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.conftest import ROOT, Triptych
from tests.infer.endpoint import Said, completion, serving, words_of

LONG = "A red car is parked beside the tall green tree."
ROWS = (
    ("Which?\n(A) a cat\n(B) a dog\n(C) a cow", "B"),
    ("Which now?\nA. a cat\nB. a dog", "a dog"),
    ("Is it?", "No"),
    ("How many?", "3"),
    ("What is it?", "the red car"),
    ("Describe.", LONG),
)
CANNED = {
    "Which?": "The answer is B.",
    "Which now?": "It shows a cat",
    "Is it?": "No, it is not.",
    "How many?": "There are three.",
    "What is it?": "a blue car",
    "Describe.": "A red car beside a green tree",
}


pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A folder with held.jsonl as ms-swift writes rows: six good ones, one without a reply and one of an id again."""
    rows: list[dict[str, Any]] = []
    for number, (asked, reply) in enumerate(ROWS):
        Image.new("RGB", (16, 16 + number), "red").save(tmp_path / f"{number}.png")
        said = [{"role": "user", "content": f"<image>{asked}"}, {"role": "assistant", "content": reply}]
        rows.append({"id": f"q{number}", "messages": said, "images": [f"{number}.png"]})
    rows += [{**rows[0], "id": "silent", "messages": rows[0]["messages"][:1]}, {**rows[1], "id": "q0"}]
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def says_canned(request: dict[str, Any], before: int) -> Said:
    return completion(next(reply for words, reply in CANNED.items() if words in words_of(request)))


def judges(request: dict[str, Any], before: int) -> Said:
    return completion(f"score: {0.4 if LONG in words_of(request) else 1.0}")


def scores_in(folder: Path) -> dict[str, float]:
    rows = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    return {row["id"]: row["score"] for row in rows if row["key"]}


def test_each_row_is_marked_by_its_own_rule_and_the_table_tells_them_apart(held: Path, triptych_here: Triptych) -> None:
    with serving(says_canned) as endpoint:
        measured = triptych_here(held, "eval", str(endpoint.address), "own", "--data", "swift:held.jsonl#rows=0-5")
    assert measured.returncode == 0, measured.stderr
    table = {line.split()[0]: line.split()[1:] for line in measured.stdout.splitlines()[1:5]}
    assert list(table) == ["all", "choice", "rouge_l", "short"]
    assert [table[name][0] for name in ("choice", "short")] == ["0.500", "0.667"]
    assert [table[name][-2] for name in table] == ["6", "2", "1", "3"]
    assert float(table["choice"][4]) == pytest.approx((1 / 3 + 1 / 2) / 2, abs=0.001)
    assert 0.6 < float(table["rouge_l"][0]) < 0.9
    scores = scores_in(held / "evals" / "own")
    assert [scores[f"q{number}"] for number in range(5)] == [1, 0, 1, 1, 0]


def test_rows_that_are_no_questions_are_counted_and_told_one_by_one(held: Path, triptych_here: Triptych) -> None:
    with serving(says_canned) as endpoint:
        measured = triptych_here(held, "eval", str(endpoint.address), "own", "--data", "swift:held.jsonl")
    assert measured.returncode == 1
    assert "2 of 8 questions have no score: 2 are no questions; items.jsonl says why." in measured.stderr
    refused = [json.loads(line) for line in (held / "evals" / "own" / "items.jsonl").read_text().splitlines()][6:]
    assert [(row["id"][:18], row["score"]) for row in refused] == [
        ("held.jsonl: row 6 ", None),
        ("held.jsonl: row 7 ", None),
    ]
    assert "an earlier row has that id" in refused[1]["failed"]


def test_other_rules_have_folders_of_their_own_and_ask_the_model_nothing(held: Path, triptych_here: Triptych) -> None:
    asked = ("--data", "swift:held.jsonl#rows=0-5")
    with serving(says_canned) as endpoint, serving(judges) as judge:
        for name in ("own", "own_exact", "own_rouge_l"):
            assert triptych_here(held, "eval", str(endpoint.address), name, *asked).returncode == 0
        by = ("--judge", str(judge.address))
        assert triptych_here(held, "eval", str(endpoint.address), "own_judge", *asked, *by).returncode == 0
    assert (len(endpoint.requests), len(judge.requests)) == (6, 6)
    marks = {name: scores_in(held / "evals" / name) for name in ("own", "own_exact", "own_rouge_l", "own_judge")}
    assert [marks[name]["q5"] for name in ("own_exact", "own_judge")] == [0, 0.4]
    assert marks["own"]["q5"] == marks["own_rouge_l"]["q5"] > 0.6
    assert marks["own"]["q2"] == 1 > marks["own_rouge_l"]["q2"] > 0
    again = triptych_here(held, "rescore", "evals")
    assert again.returncode == 0
    assert again.stdout.count("; as it was") == 4
    refused = triptych_here(held, "compare", "evals/own_judge", "evals/own_rouge_l")
    assert refused.returncode == 2
    assert "was not marked alike" in refused.stderr
    for others, rules in (
        ("own_rouge_l", "'q0' was marked by choice and by rouge_l"),
        ("own_exact", "'q5' was marked"),
    ):
        refused = triptych_here(held, "compare", "evals/own", f"evals/{others}")
        assert refused.returncode == 2
        assert rules in refused.stderr


def test_scores_that_are_lost_with_their_verdicts_are_told_and_the_exit_code_says_so(
    held: Path, triptych_here: Triptych
) -> None:
    with serving(says_canned) as endpoint, serving(judges) as judge:
        asked = ("own_judge", "--data", "swift:held.jsonl#rows=0-5", "--judge", str(judge.address))
        assert triptych_here(held, "eval", str(endpoint.address), *asked).returncode == 0
    folder = held / "evals" / "own_judge"
    before = (folder / "result.json").read_bytes()
    replies = folder / "answers.jsonl"
    replies.write_text(replies.read_text().replace('"reply": "There are three."', '"reply": ""'))
    (folder / "verdicts.jsonl").unlink()
    for told in ((), ("--json",)):
        again = triptych_here(held, "rescore", "evals", *told)
        assert again.returncode == 1
        assert ('"lost": true' if told else "none of its verdicts is found in verdicts.jsonl") in again.stdout
    assert (folder / "result.json").read_bytes() == before


def test_a_rule_without_a_judge_takes_none_and_the_judges_rule_wants_one_before_the_model_is_opened(
    held: Path, triptych_here: Triptych
) -> None:
    here = ("--data", "swift:held.jsonl#rows=0-5")
    wanted = triptych_here(held, "eval", "nowhere/model", "own_judge", *here)
    assert (wanted.returncode, "Name a judge" in wanted.stderr) == (2, True)
    with serving(judges) as judge:
        address = str(judge.address)
        refused = triptych_here(held, "eval", address, "own", *here, "--judge", address)
    assert refused.returncode == 2
    assert "own_judge has a judge) asks no judge. Leave the judge out." in refused.stderr


def test_blind_and_seen_are_compared_question_by_question(held: Path, triptych_here: Triptych) -> None:
    def sees(request: dict[str, Any], before: int) -> Said:
        shown = "image_url" in json.dumps(request["messages"])
        return says_canned(request, before) if shown else completion("I see nothing.")

    data = ("--data", "swift:held.jsonl#rows=0-5")
    with serving(sees) as endpoint:
        for blind in ((), ("--blind",)):
            assert triptych_here(held, "eval", str(endpoint.address), "own", *data, *blind).returncode == 0
    compared = triptych_here(held, "compare", ".")
    assert compared.returncode == 0, compared.stderr
    assert compared.stdout.startswith("own, all: 6 questions")
    assert "blind 0.0" in compared.stdout
    report = triptych_here(held, "report", ".", "--format", "md").stdout
    assert "own all: rouge l" in report


def test_results_of_other_rows_are_not_replaced_without_a_word(held: Path, triptych_here: Triptych) -> None:
    with serving(says_canned) as endpoint:
        asked = ("eval", str(endpoint.address), "own", "--data")
        first = triptych_here(held, *asked, "swift:held.jsonl#rows=0-2")
        other = triptych_here(held, *asked, "swift:held.jsonl#rows=3-5")
    assert "its result was" not in first.stderr
    assert "evals/own: its result was of 3 other questions. --out DIR keeps both." in other.stderr


def test_a_killed_evaluation_of_own_rows_goes_on_and_asks_nothing_twice(held: Path, triptych_here: Triptych) -> None:
    def slow(request: dict[str, Any], before: int) -> Said:
        return Said(says_canned(request, before).body, after_s=0.3)

    with serving(slow) as endpoint:
        command = ["eval", str(endpoint.address), "own", "concurrency=1", "cache=false"]
        command += ["--data", "swift:held.jsonl#rows=0-5"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        running = subprocess.Popen([sys.executable, "-m", "triptych", *command], cwd=held, env=environment)
        answers = held / "evals" / "own" / "answers.jsonl"
        while running.poll() is None and not (answers.is_file() and len(answers.read_text().splitlines()) >= 2):
            time.sleep(0.02)
        running.kill()
        running.wait()
        said = answers.read_text().splitlines()
        assert 2 <= len(said) < 6
        before = len(endpoint.requests)
        again = triptych_here(held, *command)
        assert again.returncode == 0, again.stderr
        assert len(endpoint.requests) - before == 6 - len(said)
    assert scores_in(held / "evals" / "own")["q0"] == 1
