"""Lengths are measured once, remembered for the next start, and forgotten where that is right."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import PreTrainedTokenizerFast

from triptych.core.errors import DataError
from triptych.core.records import Example
from triptych.data.format import read_source
from triptych.data.plan import measures as measures_file
from triptych.data.plan.budget import Budget
from triptych.data.plan.corpora import Corpora
from triptych.data.plan.corpus import open_corpus
from triptych.data.plan.costs import Cost, Fixed, Merged
from triptych.data.plan.measures import (
    RECORD,
    REFUSED,
    SHORTENED,
    SHRUNK,
    UNKNOWN,
    USED,
    CachedMeasures,
    LengthFiles,
    records_of,
)
from triptych.data.plan.reader import Reader
from triptych.data.plan.rendering import PlainTokenizer, Rendering, encode
from triptych.data.plan.step_loader import StepLoader
from triptych.data.plan.step_plan import Step
from triptych.data.template import Encoded, find_template


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Ten conversations, row n about n % 4 pictures in n turns; row 7 has a picture that is not there."""
    for number in range(3):
        Image.new("RGB", (280 + 28 * number, 280)).save(tmp_path / f"{number}.png")
    lines = []
    for row in range(10):
        images = [f"{number}.png" for number in range(row % 4)] if row != 7 else ["gone.png"]
        asked: list[object] = [{"type": "image", "image": at} for at in range(len(images))]
        messages: list[object] = [{"role": "user", "content": [*asked, {"type": "text", "text": f"See {row}?"}]}]
        messages.append({"role": "assistant", "content": "yes " * (row + 1)})
        for _ in range(row):
            messages += [{"role": "user", "content": "and more?"}, {"role": "assistant", "content": "no"}]
        lines.append(json.dumps({"id": f"row-{row}", "images": images, "messages": messages}))
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    return f"messages:{tmp_path / 'rows.jsonl'}"


def rendering_of(tokenizer: PreTrainedTokenizerFast, cost: Cost | None = None) -> Rendering:
    mark = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(mark, int)
    return Rendering(find_template("chatml"), tokenizer, mark, cost or Merged())


def test_lengths_are_those_of_what_is_learnt(source: str, tokenizer: PreTrainedTokenizerFast) -> None:
    reader = Reader(Corpora([open_corpus(source)]), rendering_of(tokenizer))
    records = CachedMeasures(reader).measure(np.arange(10))
    for row, record in enumerate(records):
        encoded = reader.read(row).row
        assert record["state"] == (USED if isinstance(encoded, Encoded) else REFUSED)
        if isinstance(encoded, Encoded):
            spans = [slot.stop - slot.start for slot in encoded.slots]
            wanted = (len(encoded.ids), len(spans), sum(spans), sum(span**2 for span in spans))
            assert tuple(record.item())[:4] == wanted
    assert records["state"].tolist().count(REFUSED) == 1


def test_a_second_start_reads_no_row(source: str, tokenizer: PreTrainedTokenizerFast) -> None:
    reader = Reader(Corpora([open_corpus(source)]), rendering_of(tokenizer))
    rows = np.array([3, 1, 3])
    first = CachedMeasures(reader).measure(rows)
    again = CachedMeasures(reader)
    assert again.look(rows).tolist() == first.tolist()
    assert set(again.look(np.array([0, 2, 4]))["state"].tolist()) == {UNKNOWN}


@pytest.mark.parametrize("change", ["cost", "template", "budget", "data", "folder"])
def test_another_way_to_tokens_is_measured_anew(
    change: str, source: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    rendering = rendering_of(tokenizer)
    CachedMeasures(Reader(Corpora([open_corpus(source)]), rendering)).measure(np.arange(10))
    budget = None
    match change:
        case "cost":
            rendering = rendering_of(tokenizer, Fixed(7))
        case "template":
            rendering = Rendering(find_template("plain"), tokenizer, rendering.image_token_id, rendering.cost)
        case "budget":
            budget = Budget(image_tokens=50)
        case "data":
            path = Path(source.partition(":")[2])
            path.write_text(path.read_text().replace("and more", "and some more"))
        case "folder":
            shutil.copytree(tmp_path, tmp_path.with_name("moved"), ignore=shutil.ignore_patterns("cache"))
            source = source.replace(str(tmp_path), str(tmp_path.with_name("moved")))
    reader = Reader(Corpora([open_corpus(source)]), rendering, budgets=[budget])
    assert set(CachedMeasures(reader).look(np.arange(10))["state"].tolist()) == {UNKNOWN}


def test_a_file_that_is_named_twice_is_measured_within_the_budget_of_each(
    source: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    corpora, rendering = Corpora([open_corpus(source), open_corpus(source)]), rendering_of(tokenizer)
    budgets = [Budget(images_tokens=150, example_tokens=120), Budget(example_tokens=4_000)]
    reader = Reader(corpora, rendering, budgets=budgets)
    wanted = records_of(reader.read_many(range(20))).tolist()
    assert wanted[:10] != wanted[10:]
    for _ in range(2):
        assert CachedMeasures(reader).measure(np.arange(20)).tolist() == wanted
    alone = Reader(Corpora([open_corpus(source)]), rendering, budgets=budgets[1:])
    assert CachedMeasures(alone).look(np.arange(10)).tolist() == wanted[10:], "beside whatever else it stands"


def test_a_row_that_was_mended_is_looked_at_again(
    source: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    reader = Reader(Corpora([open_corpus(source)]), rendering_of(tokenizer))
    before = CachedMeasures(reader).measure(np.arange(10))
    shutil.copy(tmp_path / "0.png", tmp_path / "gone.png")
    again = CachedMeasures(reader)
    assert again.look(np.array([7]))["state"].item() == REFUSED
    again.forget_refused()
    after = again.measure(np.arange(10))
    assert after["state"].tolist() == [USED] * 10
    assert np.delete(after, 7).tolist() == np.delete(before, 7).tolist()


@pytest.mark.parametrize("where", ["here", "in a worker"])
def test_lengths_are_measured_again_where_a_picture_changed(
    source: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, where: str
) -> None:
    reader = Reader(Corpora([open_corpus(source)]), rendering_of(tokenizer))
    goes_on = CachedMeasures(reader)
    before = goes_on.measure(np.arange(10))
    Image.new("RGB", (560, 560)).save(tmp_path / "0.png")
    read = reader.read if where == "here" else pickle.loads(pickle.dumps(reader.portable())).read
    step = Step(0, 0, ((5,), (3,)), 0, 0, tuple(before["tokens"][[5, 3]].tolist()))
    message = r"step 0: rows 5 have \d+ tokens, \d+ when .* another name for the run: a new one measures them again\."
    with pytest.raises(DataError, match=message):
        StepLoader(read, decode=False)(step)
    new = CachedMeasures(reader)
    after = new.measure(np.arange(10))
    assert after.tolist() == records_of(reader.read_many(range(10))).tolist() != before.tolist()
    again = CachedMeasures(reader)
    again.forget_refused()
    assert again.look(np.array([5])).tolist() == after[[5]].tolist(), "once is enough"
    assert goes_on.look(np.arange(10)).tolist() == before.tolist(), "nor while it is open elsewhere"


def test_what_other_code_measured_is_measured_again_and_stays_for_that_code(
    source: str, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(Corpora([open_corpus(source)]), rendering_of(tokenizer))
    before = CachedMeasures(reader).measure(np.arange(10))
    with monkeypatch.context() as patched:
        patched.setattr(measures_file, "code_digest", lambda _plugins: "another")
        new = CachedMeasures(reader)
        assert set(new.look(np.arange(10))["state"].tolist()) == {UNKNOWN}
        new.measure(np.arange(10))
        assert set(CachedMeasures(reader).look(np.arange(7))["state"].tolist()) == {USED}
    assert CachedMeasures(reader).look(np.arange(10)).tolist() == before.tolist()


def test_what_the_budget_does_is_told(source: str, tokenizer: PreTrainedTokenizerFast) -> None:
    corpora = Corpora([open_corpus(source)])
    budget = Budget(images_tokens=150, example_tokens=120)
    shorten = Reader(corpora, rendering_of(tokenizer), budgets=[budget])
    states = CachedMeasures(shorten).measure(np.arange(10))["state"].tolist()
    assert {USED, SHRUNK, SHORTENED, REFUSED} == set(states)
    for row, state in enumerate(states):
        read = shorten.read(row)
        assert bool(read.act) == (state in (SHRUNK, SHORTENED))
        assert not isinstance(read.row, Encoded) or len(read.row.ids) <= 120
    refuse = Reader(corpora, rendering_of(tokenizer), budgets=[budget], shorten=False)
    others = CachedMeasures(refuse).measure(np.arange(10))["state"].tolist()
    assert others == [REFUSED if state == SHORTENED else state for state in states]


def test_a_portable_rendering_gives_the_same_tokens(source: str, tokenizer: PreTrainedTokenizerFast) -> None:
    rendering = rendering_of(tokenizer, Fixed(3))
    portable = rendering.portable()
    assert isinstance(portable.tokenizer, PlainTokenizer)
    rows = [row for row in read_source(source) if isinstance(row, Example)]
    assert rows
    assert [encode(row, portable) for row in rows] == [encode(row, rendering) for row in rows]


def test_refused_rows_are_forgotten_in_each_source_but_for_those_that_are_named(source: str, tmp_path: Path) -> None:
    corpora = Corpora([open_corpus(source), open_corpus(source), open_corpus(source)])
    files = LengthFiles([tmp_path / f"{number}.lengths" for number in range(3)], corpora)
    records, refused = np.zeros(30, dtype=RECORD), [3, 7, 13, 17, 23, 27]
    records["state"] = USED
    records["state"][refused] = REFUSED
    files.keep(np.arange(30), records)
    files.forget_refused(but=[17, 23])
    assert np.flatnonzero(files.look(np.arange(30))["state"] == REFUSED).tolist() == [17, 23]
    assert np.flatnonzero(files.look(np.arange(30))["state"] == UNKNOWN).tolist() == [3, 7, 13, 27]
    files.forget_refused()
    assert np.flatnonzero(files.look(np.arange(30))["state"] == UNKNOWN).tolist() == refused


def test_whether_each_picture_is_looked_at_tells_lengths_from_others(
    source: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    corpora, rendering = Corpora([open_corpus(source)]), rendering_of(tokenizer, Fixed(5))
    assert not rendering.asks_sizes
    reader, looking = Reader(corpora, rendering), Reader(corpora, rendering, look=True)
    assert reader.digest_of(0) != looking.digest_of(0)
    assert reader.portable().digest_of(0) == reader.digest_of(0)
    assert looking.portable().digest_of(0) == looking.digest_of(0)
