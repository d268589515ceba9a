"""A corpus gives any row of a source, exactly as reading the source from its start would."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef
from triptych.data.disk.json_rows import read_row_at
from triptych.data.disk.spool import decode_row, write_spool
from triptych.data.format import Refused, read_source
from triptych.data.plan import beginning as beginning_file
from triptych.data.plan import corpus as corpus_file
from triptych.data.plan.beginning import sha256_of_first
from triptych.data.plan.corpora import Corpora, always_needs_sizes
from triptych.data.plan.corpus import open_corpus
from triptych.data.transform import TransformPlan, apply

texts = st.text(max_size=20)
boxes = st.none() | st.tuples(*[st.integers(0, 99)] * 4)
pairs = st.none() | st.tuples(st.integers(1, 99), st.integers(1, 99))
images = st.builds(ImageRef, texts, pairs, boxes, pairs, texts)
parts = st.one_of(st.builds(Text, texts), images, st.builds(VideoRef, texts))
turns = st.builds(Turn, st.sampled_from(["system", "user", "assistant"]), st.lists(parts, max_size=4).map(tuple))
facts: st.SearchStrategy[dict[str, Json]] = st.dictionaries(
    texts, st.none() | st.integers() | st.lists(texts), max_size=3
)
plain = st.builds(
    Example,
    texts,
    st.lists(turns, max_size=3).map(tuple),
    labels=st.lists(st.tuples(texts, st.floats(allow_nan=False)), max_size=2).map(tuple),
    origin=texts,
    skills=st.lists(texts, max_size=2).map(tuple),
    facts=facts,
)
examples = st.builds(
    lambda example, shown: Example(example.id, example.turns, tuple(shown), facts=example.facts),
    plain,
    st.lists(plain, max_size=2),
)
rows = st.lists(st.one_of(plain, examples, st.builds(Refused, texts, texts, texts)), max_size=5)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path: Path, count: int = 20) -> str:
    lines = []
    for number in range(count):
        messages = [{"role": "user", "content": f"question {number}"}, {"role": "assistant", "content": "yes"}]
        lines.append(json.dumps({"id": f"row-{number}", "messages": messages if number % 5 else "broken"}))
        lines += ["", "  "] if number % 3 == 0 else []
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"messages:{path}"


def all_rows(source: str, *steps: TransformPlan) -> list[Example | Refused]:
    corpus = open_corpus(source, steps=steps, seed=3)
    return [corpus.row(number) for number in range(len(corpus))]


@given(found=rows)
def test_what_is_spooled_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, found: list[Example | Refused]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "rows.jsonl"
    places = write_spool(found, path)
    read = [read_row_at(path, at, length=length, number=number) for number, at, length in places.tolist()]
    assert [decode_row(line) for line in read] == found


def test_a_spool_from_before_frames_said_their_video_is_read_as_ever(tmp_path: Path) -> None:
    line = b'{"id":"x","turns":[["user",[["a.png",[3,2],null,[6,4]],["b.mp4"],"Hm"]]]}'
    (tmp_path / "rows.jsonl").write_bytes(line + b"\n")
    row = decode_row(read_row_at(tmp_path / "rows.jsonl", 0, length=len(line), number=0))
    shown = (ImageRef("a.png", (3, 2), None, (6, 4)), VideoRef("b.mp4"), Text("Hm"))
    assert row == Example("x", (Turn("user", shown),))


def test_rows_at_random_are_those_of_the_stream(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl")
    assert all_rows(source) == list(read_source(source))
    corpus = open_corpus(source)
    assert [corpus.row(number) for number in reversed(range(20))] == list(read_source(source))[::-1]


def test_a_list_and_a_limit_are_read_the_same(tmp_path: Path) -> None:
    rows = [
        json.loads(line) for line in Path(write(tmp_path / "rows.jsonl")[9:]).read_text().splitlines() if line.strip()
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows, indent=1))
    for source in (f"messages:{tmp_path / 'rows.json'}", f"messages:{tmp_path / 'rows.jsonl'}#limit=7"):
        assert all_rows(source) == list(read_source(source))
    assert len(open_corpus(f"messages:{tmp_path / 'rows.jsonl'}#limit=7")) == 7


@pytest.mark.parametrize("kept", [False, True], ids=["anew", "kept"])
def test_a_large_file_is_looked_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, kept: bool
) -> None:
    monkeypatch.setattr(corpus_file, "IN_MEMORY_BYTES", 0 if kept else 1 << 20)
    source = write(tmp_path / "rows.jsonl")
    first = all_rows(source)
    assert len(list((cache / "corpus").glob("places-*"))) == (1 if kept else 0)
    assert all_rows(source) == first == list(read_source(source))
    write(tmp_path / "rows.jsonl", count=9)
    assert all_rows(source) == list(read_source(source))
    assert len(all_rows(source)) == 9


def test_rows_that_where_does_not_choose_are_none_of_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    rows = [{"id": f"r{at}", "conversations": said, "metadata": {"set": f"s-{at % 3}", "at": at}} for at in range(9)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + 'no json\n{"id": "bare"}\n')

    def ids(options: str) -> list[str]:
        found = all_rows(f"llava:{path}{options}")
        assert found == list(read_source(f"llava:{path}{options}"))
        return [row.id if isinstance(row, Example) else row.reason for row in found]

    for kept in (False, True, True):
        monkeypatch.setattr(corpus_file, "IN_MEMORY_BYTES", 0 if kept else 1 << 20)
        assert ids("#where=metadata.set:s-1") == ["r1", "r4", "r7", "bad row"], "what cannot be read is refused by name"
        assert ids("#where=metadata.set:s-*")[:-1] == [f"r{at}" for at in range(9)]
        assert ids("#limit=2#where=metadata.set:s-2") == ["r2", "r5"]
        assert ids("#where=metadata.at:4") == ["r4", "bad row"]
    digests = {open_corpus(f"llava:{path}#where=metadata.set:s-{number}").digest for number in range(3)}
    assert len(digests) == 3


def test_a_where_that_chooses_nothing_or_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "x", "image": ["A/1.png", "B/2.png"]}\n')
    for read in (all_rows, lambda source: list(read_source(source))):
        with pytest.raises(
            DataError, match=r'#where=image:C/\* chooses no row\. There are e\.g\. "A/1\.png", "B/2\.png"'
        ):
            read(f"llava:{path}#where=image:C/*")
        with pytest.raises(DataError, match=r"chooses no row\. No row has that key"):
            read(f"llava:{path}#where=dataset:C")
        with pytest.raises(ConfigError, match=r"write #where=KEY:VALUE"):
            read(f"llava:{path}#where=image")
        assert len(read(f"llava:{path}#where=image:B/*")) == 1


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "spooled"])
@pytest.mark.parametrize("kind", ["merge", "number_images"])
def test_transformed_rows_are_those_of_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, kept: bool, kind: str
) -> None:
    monkeypatch.setattr(corpus_file, "IN_MEMORY_ROWS", 3 if kept else 1_000)
    source = write(tmp_path / "rows.jsonl")
    step = TransformPlan.parse({"kind": kind})
    wanted = list(apply([step], read_source(source), seed=3))
    assert all_rows(source, step) == wanted
    assert all_rows(source, step) == wanted
    assert len(list((cache / "corpus").glob("rows-*"))) == (1 if kept and kind == "merge" else 0)


def test_a_corpus_goes_to_another_process_by_name(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", count=3_000)
    sent = pickle.dumps(open_corpus(source))
    assert len(sent) < 1_000
    again = pickle.loads(sent)
    assert [again.row(number) for number in (0, 2_999)] == [open_corpus(source).row(number) for number in (0, 2_999)]


def test_a_file_that_changed_on_the_way_to_another_process_is_refused(tmp_path: Path) -> None:
    sent = pickle.dumps(open_corpus(write(tmp_path / "rows.jsonl")))
    write(tmp_path / "rows.jsonl", count=19)
    with pytest.raises(DataError, match="it changed while it was used"):
        pickle.loads(sent)


@pytest.mark.parametrize("kept", [False, True], ids=["anew", "kept"])
def test_a_file_that_changes_while_it_is_used_is_noticed_at_the_next_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    monkeypatch.setattr(corpus_file, "IN_MEMORY_BYTES", 0 if kept else 1 << 20)
    path = tmp_path / "rows.jsonl"
    corpus = open_corpus(write(path))
    first, content, changed = corpus.row(1), path.read_bytes(), path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(changed + 1, changed + 1))
    asked: list[Path] = []

    def noted(path: Path, size: int) -> str:
        asked.append(path)
        return sha256_of_first(path, size)

    monkeypatch.setattr(beginning_file, "sha256_of_first", noted)
    assert [corpus.row(1), corpus.row(1)] == [first, first], "it was only touched"
    assert len(asked) == 1
    path.write_bytes(content.replace(b"row-0", b"row-00", 1))
    os.utime(path, ns=(changed + 2, changed + 2))
    for row in (1, 19):
        with pytest.raises(DataError, match=r"messages:.*rows\.jsonl: it changed while it was used"):
            corpus.row(row)


@pytest.mark.parametrize("kept", [False, True], ids=["anew", "kept"])
def test_rows_that_are_added_behind_the_others_while_a_file_is_used_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    monkeypatch.setattr(corpus_file, "IN_MEMORY_BYTES", 0 if kept else 1 << 20)
    path = tmp_path / "rows.jsonl"
    corpus = open_corpus(write(path))
    first, content = corpus.row(19), path.read_bytes()
    path.write_bytes(content + b'{"id": "added"')
    assert (corpus.row(19), len(corpus)) == (first, 20)
    path.write_bytes(content.replace(b"row-0", b"row-9", 1) + b'{"id": "added"}\n')
    with pytest.raises(DataError, match="it changed while it was used"):
        corpus.row(19)


@pytest.mark.parametrize("ending", ["\n", ""], ids=["a whole line", "no end of the last line"])
@pytest.mark.parametrize("options", ["", "#where=id:row-*", "#rows=3-99"])
@pytest.mark.parametrize("kept", [False, True], ids=["anew", "kept"])
def test_rows_that_are_added_before_another_process_opens_a_file_are_none_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool, options: str, ending: str
) -> None:
    monkeypatch.setattr(corpus_file, "IN_MEMORY_BYTES", 0 if kept else 1 << 20)
    path = tmp_path / "rows.jsonl"
    source = write(path) + options
    path.write_text(path.read_text().rstrip() + ending)
    corpus = open_corpus(source)
    rows, sent, content = [corpus.row(number) for number in range(len(corpus))], pickle.dumps(corpus), path.read_bytes()
    path.write_bytes(content + (b"" if not ending else b"\n") + b'{"id": "row-added"}\n{"id": "row-half')
    for _ in range(2):
        again = pickle.loads(sent)
        assert [again.row(number) for number in range(len(again))] == rows
        assert again.digest == corpus.digest
        sent = pickle.dumps(again)
    shutil.rmtree(tmp_path / "cache")
    assert [row for number in range(len(corpus)) for row in [pickle.loads(sent).row(number)]] == rows
    path.write_bytes(content.replace(b"row-7", b"row-8") + b'\n{"id": "row-added"}\n')
    with pytest.raises(DataError, match="it changed while it was used"):
        pickle.loads(sent)


def test_a_file_that_keeps_growing_is_looked_at_again_every_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning_file, "AGAIN_BYTES", 100)
    path = tmp_path / "rows.jsonl"
    corpus = open_corpus(write(path))
    first, size = corpus.row(19), path.stat().st_size
    asked: list[Path] = []

    def noted(path: Path, size: int) -> str:
        asked.append(path)
        return sha256_of_first(path, size)

    monkeypatch.setattr(beginning_file, "sha256_of_first", noted)
    needed = -(-size // 100)
    for _ in range(3 * needed):
        with path.open("ab") as file:
            file.write(b"{}\n")
        assert corpus.row(19) == first
    assert len(asked) == 3
    path.write_bytes(path.read_bytes().replace(b"row-0", b"row-9", 1) + b"{}\n")
    with pytest.raises(DataError, match="it changed while it was used"):
        [corpus.row(19) for _ in range(needed)]


def test_a_growing_file_that_becomes_shorter_is_looked_at_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning_file, "AGAIN_BYTES", 1)
    path = tmp_path / "rows.jsonl"
    corpus = open_corpus(write(path))
    content = path.read_bytes()
    path.write_bytes(content + b"{}\n{}\n")
    assert isinstance(corpus.row(1), Example)
    path.write_bytes(content.replace(b"row-0", b"row-9", 1) + b"{}\n")
    with pytest.raises(DataError, match="it changed while it was used"):
        corpus.row(1)


def test_a_data_set_that_moved_is_the_same(tmp_path: Path) -> None:
    digests = set()
    for name in "ab":
        (tmp_path / name).mkdir()
        digests.add(open_corpus(write(tmp_path / name / "rows.jsonl")).digest)
    digests_of_others = {open_corpus(write(tmp_path / "a" / "rows.jsonl", count=19)).digest}
    assert len(digests) == 1
    assert not digests & digests_of_others


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "spooled"])
def test_a_stream_is_told_by_its_rows_and_not_by_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """A copy, another time of change and new neighbours leave it as it is; so a run goes on."""
    monkeypatch.setattr(corpus_file, "IN_MEMORY_ROWS", 3 if kept else 1_000)
    step = TransformPlan.parse({"kind": "merge"})
    (tmp_path / "a").mkdir()
    source = write(tmp_path / "a" / "rows.jsonl")
    first = open_corpus(source, steps=[step], seed=3)
    sent = pickle.dumps(first)
    os.utime(tmp_path / "a" / "rows.jsonl", ns=(1, 1))
    (tmp_path / "a" / "unrelated.jsonl").write_text("not even rows")
    assert open_corpus(source, steps=[step], seed=3).digest == first.digest
    assert pickle.loads(sent).digest == first.digest
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    moved = source.replace(f"{tmp_path / 'a'}", f"{tmp_path / 'b'}")
    assert open_corpus(moved, steps=[step], seed=3).digest == first.digest
    assert open_corpus(source, steps=[step], seed=4).digest != first.digest
    write(tmp_path / "a" / "rows.jsonl", count=19)
    assert open_corpus(source, steps=[step], seed=3).digest != first.digest
    with pytest.raises(DataError, match="it changed while it was used"):
        pickle.loads(sent)


def test_sources_are_numbered_one_after_the_other(tmp_path: Path) -> None:
    first, second = (open_corpus(write(tmp_path / f"{name}.jsonl", count)) for name, count in (("a", 4), ("b", 3)))
    corpora = Corpora([first, second])
    assert len(corpora) == 7
    assert [corpora.place(row) for row in range(7)] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2)]
    assert corpora.examples(range(7), always_needs_sizes) == [
        corpora.example(row, always_needs_sizes) for row in range(7)
    ]
    assert corpora.example(5, always_needs_sizes) == second.row(1)
