"""Images that turn out to be torn when their pixels are read: their rows are refused then, by name, never replaced.

Not the check of headers, which is done before (``prepare.py``): a header says nothing of a file that ends early. The
plan of steps stays as it is, so a torn image moves no other conversation to another step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from triptych.core.log import counted, progress, say
from triptych.core.records import ImageRef, Json
from triptych.data.format import Refused
from triptych.data.media.images import ImageError
from triptych.models.vision.features import CHUNK_IMAGES
from triptych.train.ledger import (
    LEDGER,
    Record,
    by_source,
    count_reasons,
    raise_bad,
    read_ledger,
    refusal_record,
    write_ledger,
)
from triptych.train.recipe import Stage
from triptych.train.signals import Stop


class Row(Protocol):
    """What a stage learns from: a conversation or a caption."""

    @property
    def id(self) -> str:
        """The Example's id."""

    @property
    def origin(self) -> str:
        """File and row it was read from."""

    @property
    def images(self) -> Sequence[ImageRef]:
        """Its images."""


R = TypeVar("R", bound=Row)


def read_ahead(
    rows: Iterable[R],
    read: Callable[[Sequence[ImageRef]], object],
    *,
    label: str,
    stop: Stop,
    rank: int = 0,
    ranks: int = 1,
) -> TornImages:
    """Read every distinct image of the rows once, in an order that no restart changes; return those that are torn.

    Args:
        rows: what a stage learns from.
        read: encodes a chunk of images, or decodes it; raises ImageError where one is torn.
        label: of the progress bar.
        stop: is asked after each chunk.
        rank: of this process, which reads every ``ranks``-th chunk.
        ranks: processes that share the work.
    """
    images = list(dict.fromkeys(image for row in rows for image in row.images))
    torn = TornImages()
    with progress(f"{label}: pictures", len(images)) as advance:
        for first in range(0, len(images), CHUNK_IMAGES):
            chunk = images[first : first + CHUNK_IMAGES]
            if first // CHUNK_IMAGES % ranks == rank:
                torn.look(chunk, read)
            advance(len(chunk))
            stop.check(f"while it read the pictures of stage {label!r}; those done are kept")
    return torn


class TornImages:
    """The images that cannot be read. State: these, and those that are known to be whole."""

    def __init__(self) -> None:
        self._problems: dict[ImageRef, ImageError] = {}
        self._whole: set[ImageRef] = set()

    def look(self, images: Sequence[ImageRef], read: Callable[[Sequence[ImageRef]], object]) -> None:
        """Read images that nobody has looked at yet."""
        unknown = [image for image in images if image not in self._whole and image not in self._problems]
        if not unknown:
            return
        try:
            read(unknown)
        except ImageError as error:
            if len(unknown) == 1:
                self._problems[unknown[0]] = error
                return
            for image in unknown:  # one by one shows which
                self.look([image], read)
        else:
            self._whole.update(unknown)

    def joined(self, others: Iterable[TornImages]) -> TornImages:
        """Return what this one and others know together."""
        for other in others:
            self._problems.update(other._problems)
            self._whole.update(other._whole)
        return self

    def problem(self, row: Row) -> Refused | None:
        """Return why a row cannot be used; None where all its images are whole, or nobody has looked."""
        for image in row.images:
            if error := self._problems.get(image):
                where = f"{row.origin} (id {row.id!r})"
                return Refused(where, error.reason, f"{where}: {error}")
        return None

    def keep(self, rows: Iterable[tuple[int, R]], stage: Stage, *, run: Path) -> Iterator[tuple[int, R]]:
        """Yield the rows whose images are whole, as they were given; put the others into the run's ledger.

        Args:
            rows: each with the number of its source in the stage: several sources may read one file.
            stage: whose rows they are.
            run: folder of the ledger.

        Raises:
            DataError: there is one, under ``on_bad: raise``; the message names its row.
        """
        refused: list[tuple[int, Refused]] = []
        for source, row in rows:
            found = self.problem(row)
            if found is None:
                yield source, row
            else:
                raise_bad(stage, found)
                refused.append((source, found))
        if refused:
            enter(refused, stage, run=run)


def enter(refused: Iterable[tuple[int, Refused]], stage: Stage, *, run: Path) -> None:
    """Move rows from used to refused in the run's ledger; those that are refused there already stay as they are.

    Args:
        refused: each with the number of its source in the stage.
        stage: whose rows they are.
        run: folder of the ledger.
    """
    records = list(by_source(read_ledger(run / LEDGER, stage.name)))
    known = {(source, record["where"]) for source, record in records if "reason" in record}
    new = {(source, row.where): row for source, row in refused if (source, row.where) not in known}
    if not new:
        return
    write_ledger(run / LEDGER, stage.name, records=list(_entered(records, new, stage.name)))
    reasons = ", ".join(f"{number} {reason}" for reason, number in count_reasons(new.values()).items())
    rows = counted(len(new), "row")
    say(f"{stage.name}: {rows} refused when their pictures were read ({reasons}); see {run / LEDGER}")


def _entered(
    records: Iterable[tuple[int, Record]], new: Mapping[tuple[int, str], Refused], stage: str
) -> Iterator[Record]:
    """Yield the records with the new refusals in front of the sum of their source, in place of what else was said."""
    changed: dict[tuple[int, Json], Json] = {}
    for source, record in records:
        if "all" not in record:
            if (source, record["where"]) in new:
                changed[source, record["where"]] = record.get("act")
            else:
                yield record
            continue
        total = dict(record)
        for place, row in new.items():
            if place[0] == source:
                yield refusal_record(stage, str(record["source"]), row=row)
                for name, change in ((str(changed.get(place, "used")), -1), ("refused", 1)):
                    total[name] = int(str(total[name])) + change
        yield total
