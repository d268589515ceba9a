"""Sources of a stage -> rows in memory, and the ledger of every row that is not used as it is.

Not the order of steps (``step_plan``), and not for many rows: those are read as they come (``stage_data.py``). Here
all is read and rendered before the first step, so that a bad row is told at the start.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Generic, TypeVar

from triptych.core.errors import DataError
from triptych.core.log import counted, progress, say
from triptych.core.records import Example, ImageRef, Json
from triptych.data.format import Refused
from triptych.data.media.locate import bytes_of, name_of
from triptych.data.plan.corpora import Corpora, always_needs_sizes
from triptych.data.plan.corpus import KeptRows, open_corpus
from triptych.data.plan.mixture import Mixture, mix
from triptych.data.plan.reader import Read, Reader
from triptych.data.plan.rendering import in_pack
from triptych.data.template import Encoded
from triptych.train.determinism import derive_seed
from triptych.train.ledger import LEDGER, act_record, count_reasons, raise_bad, refusal_record, sum_record, write_ledger
from triptych.train.recipe import Stage
from triptych.train.signals import Stop

CHUNK_ROWS = 512

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Taken(Generic[T]):
    """What a stage takes of a row."""

    row: T | Refused
    read: Read | None = None
    """What the budget did to it."""


@dataclass(frozen=True, slots=True)
class Gathered(Generic[T]):
    """The rows of a stage that can be used."""

    rows: list[T]
    numbers: list[int]
    """Number of each row among the rows of all sources."""
    sources: list[int]
    """Number of each row's source in the stage."""
    mixture: Mixture
    """What epochs take, as indices of ``rows``."""


def open_sources(stage: Stage, *, seed: int, kept_rows: Sequence[KeptRows | None] = ()) -> Corpora:
    """Open the sources of a stage, transformed.

    Args:
        stage: its data.
        seed: of the stage.
        kept_rows: of each source, where another process of the run found its rows just now; empty: nobody looked.
    """
    known = kept_rows or [None] * len(stage.data)
    seeds = [derive_seed(seed, "transforms", number) for number in range(len(stage.data))]
    return Corpora(
        [
            open_corpus(entry.source, steps=entry.transforms, seed=own, kept_rows=kept)
            for entry, own, kept in zip(stage.data, seeds, known, strict=True)
        ]
    )


def mixture_of(stage: Stage, rows: Sequence[int], *, seed: int) -> Mixture:
    """Return what epochs of a stage take of its sources, which have so many rows."""
    return mix(
        rows,
        weights=[entry.weight for entry in stage.data],
        limits=[entry.limit for entry in stage.data],
        balance=stage.mixing,
        seed=derive_seed(seed, "mixture"),
    )


def gather(
    stage: Stage,
    corpora: Corpora,
    *,
    take: Callable[[Sequence[int]], Iterable[Taken[T]]],
    run: Path,
    seed: int,
    stop: Stop | None = None,
) -> Gathered[T]:
    """Read all rows of a stage; write its part of the ledger; return what is used, in order.

    Args:
        stage: what to do with a bad row.
        corpora: its sources.
        take: turns rows, by number, into what the stage learns from, or refuses them.
        run: folder of the run, for ledger.jsonl.
        seed: of the stage.
        stop: is asked after each chunk of rows.

    Raises:
        DataError: a source cannot be read; a bad or refused row under ``on_bad: raise``; no row is left.
        RunError: a stop was asked for.
    """
    rows: list[T] = []
    numbers: list[int] = []
    sources: list[int] = []
    used: list[int] = []
    ledger: list[dict[str, Json]] = []
    for entry, (corpus, (begin, end)) in enumerate(zip(corpora.sources, pairwise(corpora.starts), strict=True)):
        before, counts, refused = len(rows), Counter[str](), list[Refused]()
        with closing(_read_chunks(stage, range(begin, end), take, stop=stop)) as numbered:
            for number, taken in numbered:
                if isinstance(taken.row, Refused):
                    raise_bad(stage, taken.row)
                    refused.append(taken.row)
                    ledger.append(refusal_record(stage.name, corpus.source, row=taken.row))
                    counts["refused"] += 1
                    continue
                rows.append(taken.row)
                numbers.append(number)
                sources.append(entry)
                read = taken.read
                counts[(read.act if read else "") or "used"] += 1
                if read and read.act and isinstance(read.row, Encoded):
                    ledger.append(act_record(stage.name, corpus.source, row=read.row, read=read))
        used.append(len(rows) - before)
        ledger.append(sum_record(stage.name, corpus.source, counts=counts))
        if refused:
            reasons = ", ".join(f"{count} {reason}" for reason, count in count_reasons(refused).items())
            say(
                f"{stage.name}: {corpus.source}: {counted(len(refused), 'row')} refused ({reasons}); see {run / LEDGER}"
            )
    write_ledger(run / LEDGER, stage.name, records=ledger)
    if not len(corpora):
        names = ", ".join(corpus.source for corpus in corpora.sources)
        raise DataError(f"stage {stage.name!r}: there is no row at all in {names}. Is it the right file?")
    if not rows:
        raise DataError(f"stage {stage.name!r}: no row of its data can be used; the reasons are in {run / LEDGER}.")
    return Gathered(rows, numbers, sources, mixture_of(stage, used, seed=seed))


def _read_chunks(
    stage: Stage, numbers: range, take: Callable[[Sequence[int]], Iterable[Taken[T]]], *, stop: Stop | None
) -> Generator[tuple[int, Taken[T]]]:
    """Yield the rows of a source, by number, a chunk at a time; show how far it is, and ask between chunks to go on."""
    with progress(f"{stage.name}: reading", len(numbers)) as advance:
        for first in range(0, len(numbers), CHUNK_ROWS):
            chunk = numbers[first : first + CHUNK_ROWS]
            yield from zip(chunk, take(chunk), strict=True)
            advance(len(chunk))
            if stop is not None:
                stop.check(f"while the rows of stage {stage.name!r} were read")


def prepare(
    stage: Stage, use: Callable[[Example], T | Refused], *, run: Path, seed: int, stop: Stop | None = None
) -> list[tuple[int, T]]:
    """Return what a stage that goes over its data once learns from, each with its source's number; see ``gather``.

    Args:
        stage: its sources.
        use: turns a good row into what the stage learns from, or refuses it.
        run: folder of the run.
        seed: of the stage.
        stop: is asked after each chunk of rows.

    Raises:
        DataError, RunError: as ``gather``.
    """
    corpora = open_sources(stage, seed=seed)

    def take(rows: Sequence[int]) -> Iterable[Taken[T]]:
        for example in corpora.examples(rows, always_needs_sizes):
            yield Taken(example if isinstance(example, Refused) else use(example))

    gathered = gather(stage, corpora, take=take, run=run, seed=seed, stop=stop)
    return [(gathered.sources[place], gathered.rows[place]) for place in gathered.mixture.epoch(0).tolist()]


def prepare_encoded(
    stage: Stage, reader: Reader, *, pack_tokens: int, run: Path, seed: int, stop: Stop | None = None
) -> Gathered[Encoded]:
    """Return the rows of a stage as tokens, without those that no pack can hold; see ``gather``."""

    def take(rows: Sequence[int]) -> Iterable[Taken[Encoded]]:
        for read in reader.read_many(rows):
            row = in_pack(read.row, pack_tokens=pack_tokens)
            yield Taken(row, read if row is read.row else None)

    return gather(stage, reader.corpora, take=take, run=run, seed=seed, stop=stop)


def digest_of(encoded: Iterable[Encoded]) -> str:
    """Return a sha256 of ids, masks, targets and images in their places; images by file name, size and box."""
    digest = hashlib.sha256()
    for each in encoded:
        slots = [(slot.start, slot.stop, *image_key(slot.image)) for slot in each.slots]
        scored = (each.targets, each.reads) if each.reads else ()
        digest.update(repr((each.id, each.ids, each.trained, slots, *scored)).encode("utf-8"))
    return digest.hexdigest()


def image_key(image: ImageRef) -> tuple[object, ...]:
    """Return what tells an image from others wherever the data set lies: name, length in bytes, size, box, resize."""
    place = (name_of(image.source), bytes_of(image.source), image.size, image.box)
    return place if image.resize is None else (*place, image.resize)
