"""Nearest neighbours among rows: by the words of their questions, by their pictures, or by vectors that a file gives.

Not an index for millions: similarities are computed block by block, all against all. Cosine, rounded to six digits, so
that the block a row is in changes nothing; equals are taken in the order of the rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_matrix

from triptych.core.errors import DataError, NotFoundError
from triptych.core.records import ImageRef
from triptych.data.media.images import load_image

Floats = NDArray[np.float32]

BLOCK = 512
"""Rows whose similarities to all are in memory at once."""
SIDE_PX = 16
"""Side of the small copy that pictures are compared by."""
_DIGITS = 6
_WORD = re.compile(r"\w+")


class Vectors:
    """Unit vectors of rows, dense or sparse; a row without one is a zero vector. State: the matrix."""

    def __init__(self, matrix: Floats | csr_matrix) -> None:
        self._matrix = matrix

    def nearest(self, count: int) -> Iterator[list[tuple[int, float]]]:
        """Yield for each row its ``count`` nearest others as (row, cosine), the nearest first; only those above 0."""
        rows = self._matrix.shape[0]
        for start in range(0, rows, BLOCK):
            likeness = self._matrix[start : start + BLOCK] @ self._matrix.T
            block = likeness.toarray() if isinstance(likeness, csr_matrix) else np.asarray(likeness)
            block = np.round(block.astype(np.float64), _DIGITS)
            for at, row in enumerate(block):
                row[start + at] = -1.0
                # More than asked for at the edge, so that equals there are taken in the order of the rows too.
                edge = np.partition(row, -count)[-count] if count < rows else -1.0
                found = np.flatnonzero((row >= edge) & (row > 0))
                order = found[np.argsort(-row[found], kind="stable")][:count]
                yield [(int(index), float(row[index])) for index in order]


def word_vectors(texts: Sequence[str]) -> Vectors:
    """Return TF-IDF vectors of texts: log(1 + count) times log((1 + texts) / (1 + texts with the word)) + 1."""
    counts = [Counter(_WORD.findall(text.casefold())) for text in texts]
    within = Counter(word for count in counts for word in count)
    columns = {word: column for column, word in enumerate(sorted(within))}
    data: list[float] = []
    indices: list[int] = []
    starts = [0]
    for count in counts:
        words = sorted(count)
        weights = [log(1 + count[word]) * (log((1 + len(texts)) / (1 + within[word])) + 1) for word in words]
        length = sum(weight * weight for weight in weights) ** 0.5
        data += [weight / length for weight in weights]
        indices += [columns[word] for word in words]
        starts.append(len(indices))
    shape = (len(texts), max(1, len(columns)))
    return Vectors(csr_matrix((np.array(data, np.float32), indices, starts), shape=shape))


def picture_vectors(images: Sequence[ImageRef | None]) -> Vectors:
    """Return vectors of pictures: their colours in a copy of 16 by 16 pixels, less the mean. None: no vector.

    Raises:
        ImageError: a picture cannot be read; a DataError.
    """
    return Vectors(np.stack([_colours(image) for image in images]) if images else np.zeros((0, 1), np.float32))


def file_vectors(path: Path, ids: Sequence[str]) -> Vectors:
    """Return the vectors that a ``.npz`` file gives: its arrays ``ids`` (texts) and ``vectors`` (ids, size).

    Ids that it does not have get no vector.

    Raises:
        NotFoundError: no such file.
        DataError: it has no such arrays, or they do not fit.
    """
    if not path.exists():
        raise NotFoundError(f"{path}: no such file of embeddings.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, vectors = arrays["ids"], arrays["vectors"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        said = str(error).replace("\n", " ")
        raise DataError(f"{path}: no .npz file with the arrays ids and vectors ({said}).") from None
    if names.ndim != 1 or names.dtype.kind != "U" or vectors.ndim != 2 or len(names) != len(vectors):
        raise DataError(f"{path}: ids is {names.shape} and vectors {vectors.shape}; expected texts (N) and (N, size).")
    if vectors.dtype.kind != "f" or not np.isfinite(vectors).all():
        raise DataError(f"{path}: vectors holds what is no finite number. Write floats.")
    rows = {str(name): row for row, name in enumerate(names)}
    matrix = np.zeros((len(ids), vectors.shape[1]), np.float32)
    for at, name in enumerate(ids):
        if name in rows:
            matrix[at] = vectors[rows[name]]
    return Vectors(_units(matrix))


def _colours(image: ImageRef | None) -> Floats:
    if image is None:
        return np.zeros(SIDE_PX * SIDE_PX * 3, np.float32)
    small = load_image(image).resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
    colours = np.asarray(small, np.float32).reshape(-1) / 255
    unit: Floats = _units((colours - colours.mean())[None])[0]
    return unit


def _units(matrix: Floats) -> Floats:
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    units: Floats = np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 0)
    return units
