"""``triptych eval`` of a model behind an address, in parts, put together; and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.conftest import ROOT, Triptych
from tests.infer.endpoint import Said, completion, serving, trouble
from tests.samples.golden import SAMPLES
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.formats.messages import FORMAT

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """Twelve questions on the colour of one of two pictures, in the layout of storyboard."""
    colours = ("red", "green", "blue")
    for colour in colours:
        Image.new("RGB", (16, 16), colour).save(tmp_path / f"{colour}.png")
    rows = []
    for number in range(12):
        right, other = (ImageRef(str(tmp_path / f"{colours[(number + at) % 3]}.png")) for at in (0, 1))
        asked = Turn("user", (right, Text(f" or {number} "), other, Text(" first?")))
        reply = Turn("assistant", (Text(colours[number % 3]),))
        rows.append(Example(f"q{number}", (asked, reply), facts={"chance": 0.25, "scenario": "images"}))
    assert FORMAT.write is not None
    FORMAT.write(rows, tmp_path / "board" / "held_in.jsonl")
    FORMAT.write([], tmp_path / "board" / "held_out.jsonl")
    return tmp_path


def says_red(request: dict[str, Any], before: int) -> Said:
    return completion("red")


def test_an_endpoint_is_measured_like_a_model(board: Path, triptych_here: Triptych) -> None:
    with serving(says_red) as endpoint:
        measured = triptych_here(
            board, "eval", str(endpoint.address), "storyboard", "concurrency=4", "--data", "board/held_in.jsonl"
        )
        assert measured.returncode == 0, measured.stderr
        assert measured.stdout.splitlines()[1].split()[-2] == "12"
        again = triptych_here(
            board, "eval", str(endpoint.address), "storyboard", "--data", "board/held_in.jsonl", "--out", "other"
        )
    assert "12 of 12 questions were answered in other runs" in again.stderr
    assert len(endpoint.requests) == 12
    result = json.loads((board / "evals" / "storyboard" / "result.json").read_text())
    assert (result["score"], result["responder"]) == (pytest.approx(1 / 3), "m")
    kinds = [part["type"] for part in endpoint.requests[0]["messages"][0]["content"]]
    assert kinds == ["image_url", "text", "image_url", "text"]


def test_the_result_of_another_model_is_not_replaced_without_a_word(board: Path, triptych_here: Triptych) -> None:
    with serving(says_red) as endpoint:
        url, _, _ = str(endpoint.address).partition("#")
        asked = ["storyboard", "--data", "board/held_in.jsonl", "--limit", "4"]
        first, again, other = (triptych_here(board, "eval", f"{url}#{name}", *asked) for name in ("m", "m", "n"))
    place = Path("evals") / "storyboard"
    assert "its result" not in first.stderr + again.stderr
    assert f"{place}: its result, of m, becomes that of n; --out DIR keeps both." in other.stderr
    assert "min diff: the smallest difference between two models" in other.stdout


def test_a_total_of_pairs_of_which_none_was_asked_whole_is_no_number(board: Path, triptych_here: Triptych) -> None:
    with serving(says_red) as endpoint:
        asked = ["genai_bench", "--data", str(SAMPLES / "genai_bench"), "--limit", "1"]
        measured = triptych_here(board, "eval", str(endpoint.address), *asked)
    assert measured.returncode == 1
    assert "nothing was scored" in measured.stdout
    assert "not known: no pair was asked whole" in measured.stdout
    assert "--limit 1: the beginning of a group" in measured.stderr


def test_parts_are_merged_on_the_command_line(board: Path, triptych_here: Triptych) -> None:
    with serving(says_red) as endpoint:
        for part in ("1/2", "2/2"):
            address = str(endpoint.address)
            ran = triptych_here(
                board, "eval", address, "storyboard", "--shard", part, "--data", "board/held_in.jsonl", "--out", "e"
            )
            assert ran.returncode == 0, ran.stderr
            if part == "1/2":
                assert triptych_here(board, "merge-answers", "e").returncode == 1
    merged = triptych_here(board, "merge-answers", "e")
    assert merged.returncode == 0, merged.stderr
    assert merged.stdout.splitlines()[1].split()[-2] == "12"
    assert len(endpoint.requests) == 12
    nothing = triptych_here(board, "merge-answers", "nowhere")
    assert nothing.returncode == 2
    assert nothing.stderr.startswith("error: nowhere: no asked.json")


def test_control_c_leaves_at_once_and_keeps_what_was_said(board: Path) -> None:
    stalled, over = {f" or {number} " for number in range(3, 12)}, threading.Event()

    def slow(request: dict[str, Any], before: int) -> Said:
        if request["messages"][0]["content"][1]["text"] in stalled:
            over.wait(120)
        return Said(completion("red").body)

    with serving(slow) as endpoint:
        command = [sys.executable, "-m", "triptych", "eval", str(endpoint.address), "storyboard"]
        running = subprocess.Popen(
            [*command, "--data", "board/held_in.jsonl"],
            cwd=board,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TRIPTYCH_CACHE": str(board / "cache")},
            stderr=subprocess.PIPE,
            text=True,
            # A shell lets what it starts with "&" ignore interrupts, and the tests may run so.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        answers = board / "evals" / "storyboard" / "answers.jsonl"
        while running.poll() is None and not (answers.is_file() and len(answers.read_text().splitlines()) == 3):
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)  # while nobody gets the replies it has asked for
        over.set()
    assert running.returncode == 130
    assert "Traceback" not in said
    assert len(answers.read_text().splitlines()) == 3


def test_a_run_that_gets_no_reply_says_why_and_scores_nothing(board: Path, triptych_here: Triptych) -> None:
    with serving(lambda request, before: trouble(401)) as endpoint:
        address = str(endpoint.address)
        ran = triptych_here(board, "eval", address, "storyboard", "--data", "board/held_in.jsonl", "--out", "e")
    assert ran.returncode == 1
    assert "nothing was scored" in ran.stdout
    assert "12 failed. The first:" in ran.stderr
    assert "status 401" in ran.stderr
    assert json.loads((board / "e" / "result.json").read_text())["n"] == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["http://localhost:1/v1"], "needs the model's name"),
        (["http://localhost:1/v1#m", "storyboard", "concurency=3"], "Did you mean 'concurrency'"),
        (["http://localhost:1/v1#m", "storyboard", "--shard", "3/2"], "k/n"),
        (["nowhere/model", "storyboard", "batch_tokens=0"], "batch_tokens"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_asked(
    board: Path, triptych_here: Triptych, arguments: list[str], why: str
) -> None:
    said = arguments if len(arguments) > 1 else [*arguments, "storyboard"]
    refused = triptych_here(board, "eval", *said, "--data", "board/held_in.jsonl")
    assert refused.returncode == 2
    assert why in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_address_where_nobody_answers_is_named_with_what_was_tried_and_what_to_do(
    board: Path, triptych_here: Triptych
) -> None:
    with serving(says_red) as endpoint:
        address = endpoint.address
    wanted = (
        f"{address}: Connection error: POST {address.url}/chat/completions (All connection attempts failed)",
        "; see that the server is up, and that scheme, host and port of the address are right",
    )
    asked = ("storyboard", "--data", "board/held_in.jsonl", "--limit", "1", "attempts=2")
    measured = triptych_here(board, "eval", str(address), *asked)
    assert measured.returncode == 1
    assert f"1 failed. The first: {wanted[0]} (2 attempts){wanted[1]}" in measured.stderr
    diagnosed = triptych_here(board, "diagnose", str(address), *asked)
    assert diagnosed.returncode == 2
    assert f"The first: {wanted[0]} (2 attempts){wanted[1]}." in diagnosed.stderr


def test_a_chat_with_an_address_where_nobody_answers_says_what_to_do(triptych: Triptych) -> None:
    with serving(says_red) as endpoint:
        address = endpoint.address
    said = triptych("chat", str(address), typed="Hello?\n")
    assert said.returncode == 1
    assert f"Connection error: POST {address.url}/chat/completions" in said.stdout + said.stderr
    assert "see that the server is up, and that scheme, host and port of the address are right" in (
        said.stdout + said.stderr
    )


def test_a_result_that_is_replaced_by_a_blind_one_or_by_fewer_questions_is_told(
    board: Path, triptych_here: Triptych
) -> None:
    with serving(says_red) as endpoint:
        asked = ("eval", str(endpoint.address), "storyboard", "--data", "board/held_in.jsonl", "--out", "here")
        assert "here: its result" not in triptych_here(board, *asked).stderr
        assert "here: its result" not in triptych_here(board, *asked).stderr
        fewer = triptych_here(board, *asked, "--limit", "4")
        assert "here: its result was of 12 questions and is now of 4. Replies are kept" in fewer.stderr
        blind = triptych_here(board, *asked, "--blind")
        assert "here: its result, of m, becomes that of m, blind; --out DIR keeps both." in blind.stderr


def test_the_most_tokens_of_a_verdict_are_the_users(tmp_path: Path, triptych_here: Triptych) -> None:
    """A judge that thinks first needs more than the benchmark gives; with as few it is not asked again."""

    def judges(request: dict[str, Any], before: int) -> Said:
        return completion("7" if request["max_tokens"] < 77 else "0.5")

    with serving(says_red) as endpoint, serving(judges) as judge:
        asked = ["mm_vet", "--data", str(ROOT / "tests" / "samples" / "mm_vet"), "--judge", str(judge.address)]
        short = triptych_here(tmp_path, "eval", str(endpoint.address), *asked)
        more = triptych_here(tmp_path, "eval", str(endpoint.address), *asked, "judge.max_tokens=77")
        again = triptych_here(tmp_path, "eval", str(endpoint.address), *asked, "judge.max_tokens=77")
    assert (short.returncode, more.returncode, again.returncode) == (1, 0, 0)
    assert "2 of 2 questions have no score: 2 no verdict of the judge; items.jsonl says why." in short.stderr
    assert [request["max_tokens"] for request in judge.requests[-2:]] == [77, 77]
    assert len(judge.requests) == 4
    assert more.stdout == again.stdout


def test_a_setting_of_a_judge_that_was_not_named_is_refused(tmp_path: Path, triptych_here: Triptych) -> None:
    asked = ["mm_vet", "--data", str(ROOT / "tests" / "samples" / "mm_vet"), "judge.max_tokens=77"]
    refused = triptych_here(tmp_path, "eval", "http://127.0.0.1:9/v1#m", *asked)
    assert refused.returncode == 2
    assert refused.stderr == ("error: judge.max_tokens=77: no judge was named. Add --judge MODEL, or leave it out.\n")
