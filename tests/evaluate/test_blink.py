"""BLINK: its tasks and folders, and the published numbers found again from the published replies."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from tests.pictures import real_data
from tests.samples.golden import SAMPLES
from triptych.core.errors import DataError
from triptych.core.plugins import find
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.benchmarks.blink import TASKS, question_of, task_of
from triptych.evaluate.reading.choices import choose
from triptych.evaluate.saved.marking import mark

BLINK = find("benchmark", "blink", expected=Benchmark)
PUBLISHED = {
    "GPT4V": 51.1,
    "QwenVLMax": 40.3,
    "llava_v1.5_7b": 37.1,
    "flamingov2": 39.2,
    "instructblip_7b": 39.7,
    "cogvlm-chat": 41.5,
    "Yi_VL_6B": 38.7,
}


def test_every_task_of_blink_has_a_question_without_words() -> None:
    assert len(TASKS) == 14
    for task, facts in TASKS.items():
        question = question_of(f"val_{task}_1", "(B)")
        assert BLINK.chance(question) == 1 / len(facts.options)
        assert BLINK.score(question, "B") == BLINK.score(question, "(B)") == 1.0
        assert BLINK.score(question, "A") == 0.0


def test_blink_refuses_a_folder_that_lacks_tasks_but_reads_one_task(tmp_path: Path) -> None:
    (tmp_path / "blink").mkdir()
    (tmp_path / "blink" / "Jigsaw").symlink_to(SAMPLES / "blink" / "Jigsaw")
    with pytest.raises(DataError, match=r"Art_Style.*14 tasks"):
        list(BLINK.questions(tmp_path / "blink"))
    assert len(list(BLINK.questions(tmp_path / "blink" / "Jigsaw"))) == 1


def test_the_published_total_of_a_model_is_found_again() -> None:
    folder = real_data("blink")
    found = mark(BLINK, folder / "outputs" / "cogvlm-chat.jsonl", key=folder / "val_answers.json")
    assert found.result.total.score == pytest.approx(0.4154, abs=0.0005)
    assert found.result.total.low < 0.4154 < found.result.total.high
    assert found.result.total.chance == pytest.approx(0.3809, abs=0.0002)
    assert (found.result.total.n, len(found.result.by_task)) == (1901, 14)


@pytest.mark.parametrize(("model", "published"), PUBLISHED.items())
def test_choices_agree_with_what_the_authors_of_blink_extracted(model: str, published: float) -> None:
    right: defaultdict[str, list[bool]] = defaultdict(list)
    same: list[bool] = []
    for line in (real_data("blink") / "outputs" / f"{model}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        task = task_of(row["idx"])
        option = choose(TASKS[task].options, row["full_prediction"]).option
        ours = "(Z)" if option is None else f"({'ABCD'[option]})"
        same.append(ours == row["prediction"][:3])
        right[task].append(ours == row["answer"])
    assert sum(same) / len(same) > 0.975
    total = 100 * sum(sum(each) / len(each) for each in right.values()) / len(right)
    assert total == pytest.approx(published, abs=0.5)
