"""``triptych eval MODEL a,b,c``, and its processes under ``torchrun``: what each benchmark gives alone."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT, Triptych
from tests.infer.endpoint import Said, completion, serving
from tests.samples.golden import SAMPLES
from triptych.cli.groups.evaluation import names_in, paths_of_each
from triptych.core.errors import ConfigError

NAMES = ("own", "nlvr2", "mantis_eval")
FILES = ("answers.jsonl", "asked.json", "items.jsonl", "result.json")


@pytest.fixture(autouse=True)
def _alone(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder that has three benchmarks under their names."""
    for name in NAMES:
        shutil.copytree(SAMPLES / name, tmp_path / "data" / name)
    return tmp_path


def says_b(request: dict[str, Any], before: int) -> Said:
    return completion("B")


def files_in(folder: Path) -> dict[str, bytes]:
    return {f"{name}/{file}": (folder / name / file).read_bytes() for name in NAMES for file in FILES}


def test_several_write_to_the_byte_what_each_writes_alone(data: Path, triptych_here: Triptych) -> None:
    with serving(says_b) as endpoint:
        model = (str(endpoint.address), "cache=false", "concurrency=1")
        alone = []
        for name in NAMES:
            ran = triptych_here(
                data, "eval", model[0], name, *model[1:], "--data", f"data/{name}", "--out", f"alone/{name}"
            )
            assert ran.returncode == 0, ran.stderr
            alone.append(f"{name}\n{ran.stdout}")
        several = triptych_here(data, "eval", model[0], ",".join(NAMES), *model[1:], "--out", "several")
    assert several.returncode == 0, several.stderr
    assert files_in(data / "several") == files_in(data / "alone")
    assert several.stdout.startswith("".join(alone))
    last = several.stdout.removeprefix("".join(alone)).splitlines()
    assert last[:2] == ["", "benchmark    score   95% interval   chance      n"]
    assert [line.split()[0] for line in last[2:]] == list(NAMES)
    total = json.loads((data / "alone" / "own" / "result.json").read_text())
    score, low, high, chance = (f"{total[key]:.3f}" for key in ("score", "low", "high", "chance"))
    assert last[2].split() == ["own", score, low, "-", high, chance, "5"]


def test_one_whose_data_fails_does_not_end_the_others(data: Path, triptych_here: Triptych) -> None:
    (data / "torn.json").write_text("{")
    with serving(says_b) as endpoint:
        ran = triptych_here(
            data, "eval", str(endpoint.address), "own,mmbench,nlvr2", "--data", "data", "--data", "mmbench=torn.json"
        )
    assert ran.returncode == 1
    assert "error: mmbench: torn.json: " in ran.stderr
    failed, last = ran.stdout.splitlines()[-2:]
    assert failed.startswith("mmbench    failed: torn.json: ")
    assert last.startswith("nlvr2 ")
    assert not (data / "evals" / "mmbench" / "result.json").exists()
    assert all((data / "evals" / name / "result.json").is_file() for name in ("own", "nlvr2"))


def test_one_that_fails_leaves_no_older_result_that_reads_as_of_this_run(data: Path, triptych_here: Triptych) -> None:
    places = ("--data", "data", "--data", "nlvr2=nlvr2")
    shutil.copytree(data / "data" / "nlvr2", data / "nlvr2")
    with serving(says_b) as endpoint:
        asked = ("eval", str(endpoint.address), "own,nlvr2", *places)
        assert triptych_here(data, *asked).returncode == 0
        folder = data / "evals" / "nlvr2"
        before = (folder / "result.json").read_bytes()
        (data / "nlvr2").rename(data / "good")
        (data / "nlvr2").mkdir()
        for again in (False, True):
            ran = triptych_here(data, *asked)
            assert ran.returncode == 1
            assert "error: nlvr2: " in ran.stderr
            assert ("evals/nlvr2: its result, of an earlier evaluation, is called" in ran.stderr) == (not again)
            assert (folder / "result-earlier.json").read_bytes() == before
            assert "nlvr2" not in triptych_here(data, "report", ".", "--format", "md").stdout
        alone = triptych_here(data, "eval", str(endpoint.address), "own", "--data", "nlvr2")
        assert alone.returncode == 2, "one alone that is refused changes nothing"
        assert (data / "evals" / "own" / "result.json").is_file()
        (data / "nlvr2").rmdir()
        (data / "good").rename(data / "nlvr2")
        assert triptych_here(data, *asked).returncode == 0
    assert (folder / "result.json").read_bytes() == before
    assert not (folder / "result-earlier.json").exists()


def test_a_judge_marks_those_that_ask_one(data: Path, triptych_here: Triptych) -> None:
    with serving(says_b) as endpoint, serving(lambda request, before: completion("score: 0.5")) as judge:
        asked = ("eval", str(endpoint.address), "nlvr2,own_judge", "--data", "data", "--data", "own_judge=data/own")
        ran = triptych_here(data, *asked, "--judge", str(judge.address))
        nobody = triptych_here(data, "eval", str(endpoint.address), "nlvr2,own", "--judge", str(judge.address))
        without = triptych_here(data, "eval", "nowhere/model", *asked[2:])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].split()[:2] == ["own_judge", "0.500"]
    assert (nobody.returncode, nobody.stderr) == (2, "error: none of nlvr2, own asks a judge. Leave --judge out.\n")
    assert (without.returncode, "Name a judge" in without.stderr) == (2, True)


@pytest.mark.parametrize(
    ("asked", "places", "why"),
    [
        ("own,blink,pope", (), "data has no folder and no one file called blink nor pope: say where"),
        ("own,blink", ("nowhere",), "nowhere is not there"),
        ("own,blink", ("blink=nowhere",), "nowhere is not there"),
        ("own,blink", ("blink=data/own", "blink=data/nlvr2"), "one path for each benchmark"),
        ("own,blink", ("data", "data/own"), "whose are they"),
        ("own", ("messages:nowhere.jsonl#rows=0-9",), "messages:nowhere.jsonl#rows=0-9 is not there"),
        ("own,own", (), "each once"),
        ("own,", (), "each once"),
    ],
)
def test_what_is_missing_is_said_before_the_model_is_opened(
    data: Path, triptych_here: Triptych, asked: str, places: Sequence[str], why: str
) -> None:
    said = [word for place in places for word in ("--data", place)]
    refused = triptych_here(data, "eval", "http://localhost:1/v1#m", asked, "nonsense=1", *said)
    assert refused.returncode == 2
    assert why in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_questions_lie_under_their_names_or_where_they_are_said_to(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    (data / "data" / "blink.json").write_text("[]")
    places = ("own=messages:data/own/held.jsonl#rows=0-1", "data")
    found = paths_of_each("http://localhost:1/v1#m", places, benchmarks=names_in("own, nlvr2,blink"))
    assert {name: str(paths.questions) for name, paths in found.items()} == {
        "own": "messages:data/own/held.jsonl#rows=0-1",
        "nlvr2": "data/nlvr2",
        "blink": "data/blink.json",
    }
    (data / "data" / "blink.jsonl").write_text("")
    with pytest.raises(ConfigError, match="no one file called blink"):
        paths_of_each("http://localhost:1/v1#m", places, benchmarks=("own", "blink"))


def start(folder: Path, *arguments: str, ranks: int) -> list[subprocess.Popen[str]]:
    """Start the command in so many processes, as ``torchrun`` does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "CUDA_VISIBLE_DEVICES": ""}
    told |= {"PYTHONPATH": str(ROOT), "TRIPTYCH_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "triptych", *arguments],
            cwd=folder,
            env={**os.environ, **told, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]


def test_processes_share_the_questions_and_the_first_prints_the_result_of_one(
    data: Path, triptych_here: Triptych
) -> None:
    (data / "torn.json").write_text("{")
    shutil.copytree(data / "data" / "own", data / "data" / "own_judge")
    with serving(says_b) as endpoint, serving(lambda request, before: completion("score: 0.5")) as judge:
        asked = ("eval", str(endpoint.address), "own,mmbench,nlvr2,own_judge", "cache=false")
        asked += ("--data", "data", "--data", "mmbench=torn.json", "--judge", str(judge.address))
        alone = triptych_here(data, *asked, "--out", "alone")
        before, judged = len(endpoint.requests), len(judge.requests)
        for name in ("own", "mmbench"):
            shutil.copytree(data / "alone" / "nlvr2", data / "shared" / name)  # of another evaluation: it is replaced
        ran = start(data, *asked, "--out", "shared", ranks=2)
        said = [process.communicate(timeout=120) for process in ran]
        assert (len(endpoint.requests), len(judge.requests)) == (2 * before, 2 * judged)
    assert [process.returncode for process in ran] == [1, 0], said
    assert said[0][0] == alone.stdout
    assert said[1] == ("", "")
    assert not (data / "shared" / "mmbench" / "result.json").exists()
    for name in ("own", "nlvr2", "own_judge"):
        for file in ("items.jsonl", "result.json"):
            assert (data / "shared" / name / file).read_bytes() == (data / "alone" / name / file).read_bytes()


def test_a_process_that_dies_ends_the_others_and_what_was_said_is_kept(data: Path, triptych_here: Triptych) -> None:
    def slow(request: dict[str, Any], before: int) -> Said:
        return Said(completion("B").body, after_s=0.5)

    with serving(slow) as endpoint:
        asked = ("eval", str(endpoint.address), "own", "concurrency=1", "--data", "data/own", "--out", "e")
        first, second = start(data, *asked, ranks=2)
        while first.poll() is None and not endpoint.requests:
            time.sleep(0.02)
        second.kill()
        second.communicate()
        _, said = first.communicate(timeout=60)
    assert first.returncode == 2
    assert said.splitlines()[-1] == (
        "error: another process of this evaluation ended; its own message says why. Replies are kept: give the same"
        " command again to ask what is left."
    )
    assert (data / "e" / "shard-1-of-2" / "answers.jsonl").is_file()
    assert not (data / "e" / "result.json").exists()
