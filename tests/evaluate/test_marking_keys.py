"""A key beside the questions: its answers stand for all that the data accept, however it spells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluate.test_marking import write_key, write_lines
from tests.samples.golden import SAMPLES, questions_of
from triptych.core.errors import DataError
from triptych.core.plugins import find
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.reading.scorers import is_choice, options_of, reference_of, reference_position
from triptych.evaluate.saved.marking import mark


def test_a_key_stands_for_the_answers_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    question = questions_of("muirbench")[0]
    answers = write_lines(tmp_path / "replies.jsonl", [{"id": question.id, "reply": "B"}])
    benchmark = find("benchmark", "muirbench", expected=Benchmark)
    for answer, score in (("A", 0.0), ("B", 1.0)):
        key = write_key(tmp_path / "key.json", {question.id: answer})
        found = mark(benchmark, answers, data=SAMPLES / "muirbench", key=key)
        assert [item.score for item in found.items] == [score]
        assert found.without_answer == len(questions_of("muirbench")) - 1


@pytest.mark.parametrize("name", ["textvqa", "docvqa"])
def test_a_key_stands_for_all_answers_that_the_data_accept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    asked = next(each for each in questions_of(name) if each.facts.get("answers"))
    key = write_key(tmp_path / "key.json", {asked.id: "tesla"})
    for reply, score in (("tesla", 1.0), (reference_of(asked), 0.0)):
        answers = write_lines(tmp_path / "replies.jsonl", [{"id": asked.id, "reply": reply}])
        found = mark(find("benchmark", name, expected=Benchmark), answers, data=SAMPLES / name, key=key)
        assert [item.score for item in found.items] == [score]


@pytest.mark.parametrize("name", ["pope", "mme", "nlvr2", "scienceqa", "seed_bench", "mvbench", "muirbench"])
@pytest.mark.parametrize("spelled", ["words", "letter", "lower case"])
def test_however_a_key_spells_an_option_the_authors_reading_takes_it(
    name: str, spelled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    key, rows = {}, []
    for each in filter(is_choice, questions_of(name)):
        right = reference_position(each)
        assert right is not None
        words = options_of(each)[right] or reference_of(each)
        key[each.id] = {"words": words, "letter": "ABCDEFGH"[right], "lower case": reference_of(each).lower()}[spelled]
        rows.append({"id": each.id, "reply": reference_of(each)})
    answers = write_lines(tmp_path / "replies.jsonl", rows)
    path = write_key(tmp_path / "key.json", key)
    found = mark(find("benchmark", name, expected=Benchmark), answers, data=SAMPLES / name, key=path)
    assert found.result.published is not None
    assert (found.result.total.score, found.result.published.score) == (1.0, 1.0)


def test_an_answer_of_a_key_that_is_no_option_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    asked = questions_of("pope")[0]
    answers = write_lines(tmp_path / "replies.jsonl", [{"id": asked.id, "reply": "yes"}])
    key = write_key(tmp_path / "key.json", {asked.id: "maybe"})
    with pytest.raises(DataError, match=r"key\.json: '.*': the answer 'maybe' names none of the options"):
        mark(find("benchmark", "pope", expected=Benchmark), answers, data=SAMPLES / "pope", key=key)


@pytest.mark.parametrize(("name", "held"), [("remi", "label"), ("evalcrafter", "people")])
def test_a_key_is_refused_where_more_than_an_answer_says_what_is_right(
    name: str, held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    asked = next(each for each in questions_of(name) if each.facts.get(held))
    answers = write_lines(tmp_path / "replies.jsonl", [{"id": asked.id, "reply": "zebra"}])
    key = write_key(tmp_path / "key.json", {asked.id: "zebra"})
    with pytest.raises(DataError, match=rf"no key says what is right here \('{held}' of the data does\)"):
        mark(find("benchmark", name, expected=Benchmark), answers, data=SAMPLES / name, key=key)
