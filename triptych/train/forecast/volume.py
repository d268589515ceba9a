"""How much a stage reads in an epoch, as far as that is known before its data are there.

Not the plan of its steps (``triptych data plan`` measures every row). Rows and images of a row are the catalogue's
facts on published sets; words are those of Mantis-Instruct on average, as most catalogues do not tell them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from triptych.data.format import options_of, split_source
from triptych.data.hub.catalogue import DataSet, select, size_of
from triptych.data.plan.mixture import mix
from triptych.train.forecast.shapes import Shape
from triptych.train.recipe import Tune
from triptych.train.sources import Source

WORDS = 415
"""Tokens of a row's words: the mean of Mantis-Instruct's 17 sets (arXiv:2405.01483, Table 1) over their rows."""
REPLIES = 0.35
"""Share of them that is learnt."""
IMAGES = 2.0
"""Images of a row of a set of which nobody says; a video's are the frames that are taken."""
KNOWN = (
    ("blip_laion_cc_sbu_558k.json", 558_128, 1.0, 15),
    ("llava_v1_5_mix665k.json", 665_298, 0.94, 500),
    ("VideoFeedback/*/train.json", 37_600, 16.0, 500),
)
"""Published sets that the catalogue has not: the file, rows, images and tokens of words of a row. LLaVA-1.5
(arXiv:2310.03744), of whose rows 40,688 have no image; VideoScore (arXiv:2406.15252)."""
CHOOSE = frozenset({"limit", "rows", "where"})
"""Options of any source that choose rows. Of these only a limit that is a number tells how many."""
_LIMIT = re.compile(r"#limit=([0-9]+)(?=#|$)")
_HOLE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Volume:
    """What an epoch has."""

    rows: float
    images: float
    words: float
    """Tokens that are no image's."""

    def tokens(self, shape: Shape) -> float:
        """Return the positions of all, without padding."""
        return self.words + self.images * shape.image_tokens


@dataclass(frozen=True, slots=True)
class _Known:
    rows: int
    images: float
    words: float


def volume_of(stage: Tune) -> Volume | None:
    """Return what an epoch of the stage has; None: of some source nobody tells the rows."""
    found = [_facts(entry) for entry in stage.data]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return None
    mixture = mix(
        [each.rows for each in known],
        weights=[entry.weight for entry in stage.data],
        limits=[entry.limit for entry in stage.data],
        balance=stage.mixing,
        seed=0,
    )
    taken = [float(portion.an_epoch) for portion in mixture.portions]
    return Volume(
        rows=sum(taken),
        images=sum(rows * each.images for rows, each in zip(taken, known, strict=True)),
        words=sum(rows * each.words for rows, each in zip(taken, known, strict=True)),
    )


def datasets_of(source: str) -> list[DataSet]:
    """Return the data sets of the catalogue that a source reads, as ``triptych data get`` writes it, or so many rows
    of them as ``#limit`` says."""
    plain = _LIMIT.sub("", source)
    return [each for each in select() if each.read is not None and _pattern(each).fullmatch(plain)]


def _facts(entry: Source) -> _Known | None:
    """Return what is known of a source; None: nobody tells how many rows it has, or it has none."""
    plain = _LIMIT.sub("", entry.source)
    if CHOOSE & options_of(plain).keys() or (known := _whole(plain)) is None:
        return None
    rows = min([known.rows, *map(int, _LIMIT.findall(entry.source))])
    return _Known(rows, _images(entry, known.images), known.words) if rows else None


def _whole(source: str) -> _Known | None:
    """Return what is known of all rows that a source without a limit names."""
    path = split_source(source)[1]
    for file, rows, images, words in KNOWN:
        if path.match(file):
            return _Known(rows, images, words)
    found = [(each, size) for each in datasets_of(source) if (size := size_of(each)) is not None]
    if not found:
        return None
    rows = sum(size for _, size in found)
    return _Known(rows, sum(size * _mean(each) for each, size in found) / rows, WORDS)


def _images(entry: Source, images: float) -> float:
    """Return the images of a row after its transforms, where these say how many."""
    for plan in entry.transforms:
        said = plan.as_json()
        if plan.kind == "frames" and isinstance(frames := said.get("n"), int):
            images = frames
        if plan.kind == "limit_images" and isinstance(most := said.get("most"), int):
            images = min(images, most)
    return images


def _mean(dataset: DataSet) -> float:
    images = dataset.images
    if isinstance(images, str) or isinstance(images.mean, str):
        return IMAGES
    return float(images.mean)


def _pattern(dataset: DataSet) -> re.Pattern[str]:
    assert dataset.read is not None
    assert dataset.where is not None
    pieces, at = [], 0
    for hole in _HOLE.finditer(dataset.read):
        pieces.append(re.escape(dataset.read[at : hole.start()]))
        inside = ".*" if hole[1] == "folder" else r"(?:.*/)?" + re.escape(hole[1]).replace(r"\*", "[^/]*")
        folder = re.escape(dataset.where.folder)
        pieces.append(rf"(?:.*/)?{folder}" if hole[1] == "folder" else rf"(?:.*/)?{folder}/{inside}")
        at = hole.end()
    return re.compile("".join(pieces) + re.escape(dataset.read[at:]))
