"""An epoch is counted as a source says: its limit counts, and nobody guesses where its other options choose rows."""

from __future__ import annotations

import pytest

from triptych.train.forecast.volume import datasets_of, volume_of
from triptych.train.recipe import Tune

NLVR = "mantis_hub:data/Mantis-Instruct/nlvr2#split=train"
PRETRAIN = "llava:data/LLaVA-Pretrain/blip_laion_cc_sbu_558k.json"
SCORES = "mantis_classification:data/VideoFeedback/regression/train.json"


def rows_of(source: str) -> float | None:
    """Return the rows of an epoch of a source; None: nobody tells."""
    stage = {"name": "s", "kind": "tune", "data": [{"source": source}], "length": "1 epoch", "mixing": "weights"}
    plan = {"pack_tokens": 1024, "step_tokens": 1024, "parts": {"projector": {"train": "full", "rate": 1e-3}}}
    volume = volume_of(Tune.model_validate({**stage, **plan}, strict=False))
    return None if volume is None else volume.rows


@pytest.mark.parametrize("source", [NLVR, PRETRAIN, SCORES])
def test_a_limit_counts(source: str) -> None:
    whole = rows_of(source)
    assert whole is not None
    assert whole > 30_000
    assert rows_of(f"{source}#limit=1000") == 1000
    assert rows_of(f"{source}#limit=10000000") == whole


def test_a_limit_counts_wherever_it_stands() -> None:
    path, _, split = NLVR.partition("#")
    assert rows_of(f"{path}#limit=50#{split}") == 50
    assert rows_of(f"{PRETRAIN}#limit=50#image_dir=data/images.zip") == 50
    assert datasets_of(f"{NLVR}#limit=50") == datasets_of(NLVR) != []


@pytest.mark.parametrize("source", [NLVR, PRETRAIN, SCORES])
@pytest.mark.parametrize("chosen", ["rows=100-199", "where=source:a", "limit=5#where=source:a", "limit=many"])
def test_where_other_options_choose_rows_nobody_tells(source: str, chosen: str) -> None:
    assert rows_of(f"{source}#{chosen}") is None


@pytest.mark.parametrize(
    "source",
    [
        "mantis_classification:data/VideoFeedback/regression/test.json",
        "messages:data/VideoFeedback/mine.jsonl",
        "llava:data/blip_laion_cc_sbu_558k/first_hundred.json",
        "messages:data/my_llava_v1_5_mix665k.json",
    ],
)
def test_another_file_beside_a_known_one_is_not_it(source: str) -> None:
    assert rows_of(source) is None


def test_options_that_choose_no_rows_change_nothing() -> None:
    assert rows_of(f"{PRETRAIN}#image_dir=data/images.zip") == rows_of(PRETRAIN) == 558_128


def test_a_set_of_which_nothing_is_taken_is_not_counted() -> None:
    assert rows_of(f"{NLVR}#limit=0") is None
