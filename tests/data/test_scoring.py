"""What a score head reads: prompts, places and targets, whatever stands beside them in a batch."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toys import NUMBERED, talk, text_of, toy_images, toy_tokenizer
from triptych.core.errors import ConfigError
from triptych.core.records import Example
from triptych.data.batch import PADDING, collate, pad_left
from triptych.data.format import Refused, read_source
from triptych.data.plan.corpus import open_corpus
from triptych.data.plan.costs import Fixed
from triptych.data.plan.rendering import Rendering, encode, prompt_of
from triptych.data.plan.scoring import NO_TARGET, ODD_TARGET, Scoring, targets_of
from triptych.data.template import Encoded

TOKENIZER = toy_tokenizer()
MARK = TOKENIZER.convert_tokens_to_ids("<image>")
assert isinstance(MARK, int)
PLAIN = Rendering(NUMBERED, TOKENIZER, MARK, Fixed(2))
TWO = Scoring(targets=("sharp", "true to life"))


def rated(number: int = 0, *, images: int = 2, **labels: float) -> Example:
    shown = toy_images(images)
    example = talk(("user", ["See " + "again " * number, *shown, "?"]))
    return replace(example, id=f"row-{number}", labels=tuple((name.replace("_", " "), v) for name, v in labels.items()))


def scored(scoring: Scoring) -> Rendering:
    return replace(PLAIN, scored=scoring)


def encoded(example: Example, scoring: Scoring) -> Encoded:
    found = encode(example, scored(scoring))
    assert isinstance(found, Encoded), found
    return found


def test_a_prompt_is_what_a_reply_is_generated_from_and_is_read_at_its_last_token() -> None:
    example = rated(sharp=2.0, true_to_life=3.5)
    found = encoded(example, TWO)
    prompt = prompt_of(example, PLAIN)
    assert (found.ids, found.slots) == (prompt.ids, prompt.slots)
    assert found.reads == (len(prompt.ids) - 1,) * 2
    assert found.targets == (2.0, 3.5)
    assert not any(found.trained)


def test_each_target_may_be_read_at_the_end_of_its_own_words() -> None:
    example = rated(sharp=2.0, true_to_life=3.5)
    found = encoded(example, replace(TWO, read="each"))
    prompt = prompt_of(example, PLAIN)
    assert found.ids[: len(prompt.ids)] == prompt.ids
    first, last = found.reads
    assert text_of(found.ids[len(prompt.ids) : first + 1], TOKENIZER) == "\nsharp:"
    assert text_of(found.ids[first + 1 : last + 1], TOKENIZER) == "\ntrue to life:"
    assert last == len(found.ids) - 1


def test_plain_asks_with_words_and_images_alone() -> None:
    found = encoded(rated(sharp=1, true_to_life=1), replace(TWO, asked="plain"))
    said = text_of([each for each in found.ids if each != MARK], TOKENIZER)
    assert said == "<|im_start|>See (image 1: <Image></Image>)(image 2: <Image></Image>)?"


def test_a_conversation_that_ends_with_a_reply_is_judged_as_it_stands() -> None:
    example = replace(
        talk(("user", "Is it red?"), ("assistant", "Yes.")), labels=(("sharp", 1.0), ("true to life", 2.0))
    )
    found = encoded(example, TWO)
    assert text_of(found.ids, TOKENIZER).endswith("Yes.<|im_end|>")
    assert found.reads == (len(found.ids) - 1,) * 2


@pytest.mark.parametrize(
    ("scoring", "labels", "reason", "said"),
    [
        (TWO, {"sharp": 1.0}, NO_TARGET, r"no label 'true to life'; there are: 'sharp'"),
        (TWO, {}, NO_TARGET, r"no label 'sharp'; there are: none"),
        (Scoring(targets=("sharp",), loss="bce"), {"sharp": 1.5}, ODD_TARGET, "1.5; with loss bce it is a share"),
        (Scoring(targets=("sharp",), loss="ce", classes=3), {"sharp": 3.0}, ODD_TARGET, "whole number from 0 to 2"),
        (Scoring(targets=("sharp",), loss="ce", classes=3), {"sharp": 0.5}, ODD_TARGET, "'sharp' is 0.5"),
        (Scoring(targets=("sharp",)), {"sharp": 1e39}, ODD_TARGET, r"is 1e\+39; with loss mse it is from -1e\+18 to"),
        (Scoring(targets=("sharp",)), {"sharp": -2e18}, ODD_TARGET, r"is -2e\+18; with loss mse"),
    ],
)
def test_a_row_without_its_targets_is_refused_by_name(
    scoring: Scoring, labels: dict[str, float], reason: str, said: str
) -> None:
    found = encode(rated(7, **labels), scored(scoring))
    assert isinstance(found, Refused)
    assert found.reason == reason
    assert "row-7" in found.message
    with pytest.raises(Exception, match=said):
        targets_of(rated(7, **labels), scoring)


def test_targets_stand_in_the_order_of_the_head_whatever_the_rows_is() -> None:
    example = rated(true_to_life=4.0, blur=9.0, sharp=1.0)
    assert encoded(example, TWO).targets == (1.0, 4.0)


def test_what_is_scored_is_part_of_how_rows_become_tokens() -> None:
    digests = [PLAIN.digest, *(scored(each).digest for each in (TWO, replace(TWO, read="each")))]
    assert len(set(digests)) == 3
    apart = pickle.loads(pickle.dumps(scored(TWO).portable()))
    example = rated(sharp=1.0, true_to_life=2.0)
    assert encode(example, apart) == encode(example, scored(TWO))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 3), st.sampled_from(["last", "each"]))
def test_padding_never_moves_a_reading_even_where_the_pad_id_is_said(numbers: list[int], extra: int, read: str) -> None:
    scoring = Scoring(targets=TWO.targets, read="each" if read == "each" else "last")
    rows = [encoded(rated(number, sharp=number, true_to_life=1), scoring) for number in numbers]
    pad_id = rows[0].ids[0]  # stands in every prompt
    packs = [rows[: len(rows) // 2], rows[len(rows) // 2 :]] if len(rows) > 1 else [rows]
    width = max(sum(len(row.ids) for row in pack) for pack in packs) + extra
    batch = collate(packs, pad_id=pad_id, width=width)
    for moved in (batch, pad_left(batch)):
        assert moved.reads_NS2.shape == (len(rows), 2, 2)
        assert moved.targets_NS[:, 0].tolist() == [float(number) for number in numbers]
        starts: dict[tuple[int, int], int] = {}
        for row, segments in enumerate(moved.segments_BT.tolist()):
            for column, segment in enumerate(segments):
                if segment != PADDING:
                    starts.setdefault((row, segment), column)
        for own, start, reads in zip(rows, starts.items(), moved.reads_NS2.tolist(), strict=True):
            (row, _), begin = start
            assert reads == [[row, begin + at] for at in own.reads]
    assert batch.supervised == batch.targets_NS.numel() == 2 * len(rows)
    assert batch.trained_tokens == 0


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_source_may_name_its_rows(ending: str, tmp_path: Path) -> None:
    rows = [{"id": f"row-{at}", "images": [], "prompt": "?", "labels": {"sharp": at}} for at in range(12)]
    path = tmp_path / f"rated.{ending}"
    path.write_text(json.dumps(rows) if ending == "json" else "\n".join(map(json.dumps, rows)) + "\n")
    source = f"mantis_classification:{path}"

    def ids(said: str) -> list[str]:
        corpus = open_corpus(said)
        found = [corpus.row(number) for number in range(len(corpus))]
        assert found == list(read_source(said)), "at random and as a stream"
        return [row.id for row in found if isinstance(row, Example)]

    assert ids(f"{source}#rows=4-6") == ["row-4", "row-5", "row-6"]
    assert ids(f"{source}#rows=10-99") == ["row-10", "row-11"]
    assert ids(f"{source}#rows=0-7") + ids(f"{source}#rows=8-11") == ids(source)
    assert open_corpus(f"{source}#rows=0-3").digest != open_corpus(f"{source}#rows=0-4").digest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("#rows=9", r"rows are numbers from 0, first and last, e\.g\. #rows=80-99, found '9'"),
        ("#rows=9-3", "found '9-3'"),
        ("#rows=1-2#limit=3", "limit and rows both say how many"),
        ("#rows=0-69&outside=allow", r"Options are joined by #: #rows=0-69#outside=allow\."),
        ("#limit=5, outside=allow", r"Options are joined by #: #limit=5#outside=allow\."),
        ("#image_dir=here&limit=5", r"Options are joined by #: #image_dir=here#limit=5\."),
        ("#outside=allow,limit=5", r"Options are joined by #: #outside=allow#limit=5\."),
    ],
)
def test_options_that_make_no_sense_are_told(options: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=message):
        list(read_source(f"messages:{tmp_path / 'x.jsonl'}{options}"))
