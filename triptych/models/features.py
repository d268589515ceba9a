"""Features of pictures, encoded once by the frozen tower and kept: in memory, or in a folder across runs.

Not for a tower that trains: its features change with every step. A picture is known by its content, box and resize, a
tower by its fingerprint; a changed picture or a changed tower is encoded anew. One file holds one chunk and is
written whole or not at all, so a killed run loses the chunk it was at, nothing else.

Shapes: N images, P feature positions an image, C channels of the tower.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from triptych.core.errors import ModelError
from triptych.core.files import write_atomically
from triptych.core.records import ImageRef
from triptych.data.media.images import load_image
from triptych.data.media.locate import digest_of, stamp_of
from triptych.models.family import Model

CHUNK_IMAGES = 64
"""Pictures that are encoded, and written, at once."""

OPEN_FILES = 128

Key = str
"""Of a picture: what tells its content (of a file, its sha256), its box, and what it is resized to."""


class FeatureStore:
    """Encodes each distinct picture once. With a folder, memory holds only an index and what is being encoded."""

    def __init__(self, model: Model, folder: Path | None = None) -> None:
        self._model = model
        self._folder = folder
        self._fingerprint = ""
        self._memory: dict[Key, Tensor] = {}
        self._places: dict[Key, tuple[Path, int]] = {}
        self._hashes: dict[tuple[str, int, int], str] = {}

    def features(self, images: Sequence[ImageRef], *, progress: Callable[[int, int], None] | None = None) -> Tensor:
        """Return features_NPC, float32 on the CPU, in the order of ``images``; repeats are encoded once.

        Args:
            images: any number, also none.
            progress: called with (encoded, to encode) after every chunk of pictures that were not known.

        Raises:
            ImageError: a picture cannot be read; the message names it; a DataError.
            ModelError: the tower is being trained.
        """
        if any(weight.requires_grad for weight in self._model.parts()["vision"].parameters()):
            raise ModelError("the tower is being trained: its features cannot be kept. Freeze it, or encode each time.")
        self._follow_model()
        keys = [self._key(image) for image in images]
        self._encode({key: image for key, image in zip(keys, images, strict=True) if not self._has(key)}, progress)
        out_NPC = torch.empty(len(keys), *self._model.feature_shape())
        for at, row_PC in self._rows(keys):
            out_NPC[at] = row_PC
        return out_NPC

    def _encode(self, missing: Mapping[Key, ImageRef], progress: Callable[[int, int], None] | None) -> None:
        keys = list(missing)
        for start in range(0, len(keys), CHUNK_IMAGES):
            chunk = keys[start : start + CHUNK_IMAGES]
            pixels_NCHW = torch.stack([self._model.pixels(load_image(missing[key])) for key in chunk])
            with torch.no_grad():
                self._keep(chunk, self._model.encode(pixels_NCHW).float().cpu().contiguous())
            if progress is not None:
                progress(start + len(chunk), len(keys))

    def _keep(self, keys: list[Key], features_NPC: Tensor) -> None:
        if self._folder is None:
            # One copy a picture: a view would keep the whole chunk alive.
            self._memory.update((key, row_PC.clone()) for key, row_PC in zip(keys, features_NPC, strict=True))
            return
        name = hashlib.sha256("\n".join(keys).encode("ascii")).hexdigest()[:16]
        path = self._shelf() / f"{name}.safetensors"
        write_atomically(path, save({"features": features_NPC}, metadata={"keys": json.dumps(keys)}))
        self._places.update((key, (path, row)) for row, key in enumerate(keys))

    def _rows(self, keys: list[Key]) -> Iterator[tuple[int, Tensor]]:
        """Yield (position in ``keys``, features_PC); each file is opened once, its rows are read one by one."""
        opened = lru_cache(maxsize=OPEN_FILES)(_open)
        for at, key in enumerate(keys):
            if key in self._memory:
                yield at, self._memory[key]
            else:
                path, row = self._places[key]
                yield at, opened(path).get_slice("features")[row]

    def _has(self, key: Key) -> bool:
        return key in self._memory or key in self._places

    def _follow_model(self) -> None:
        """Forget everything when the tower is another one, and find what a folder holds of it."""
        fingerprint = self._model.fingerprint()
        if fingerprint == self._fingerprint:
            return
        self._fingerprint = fingerprint
        self._memory.clear()
        self._places = {} if self._folder is None else _index(self._shelf())

    def _shelf(self) -> Path:
        assert self._folder is not None
        return self._folder / self._fingerprint[:16]

    def _key(self, image: ImageRef) -> Key:
        _, size_bytes, mtime_ns = stamp_of(image.source)
        seen = (image.source, mtime_ns, size_bytes)
        if seen not in self._hashes:
            self._hashes[seen] = digest_of(image.source)
        box = "" if image.box is None else ":" + ",".join(str(edge) for edge in image.box)
        resize = "" if image.resize is None else f":{image.resize[0]}x{image.resize[1]}"
        return self._hashes[seen] + box + resize


class _Opened(Protocol):
    def get_slice(self, name: str) -> Mapping[int, Tensor]: ...

    def metadata(self) -> dict[str, str]: ...


def _open(path: Path) -> _Opened:
    opened: _Opened = safe_open(path, framework="pt")
    return opened


def _index(shelf: Path) -> dict[Key, tuple[Path, int]]:
    """Return which picture is in which row of which file. A file that is not whole is taken as not there."""
    places: dict[Key, tuple[Path, int]] = {}
    for path in sorted(shelf.glob("*.safetensors")):
        try:
            keys = json.loads(_open(path).metadata()["keys"])
        except SafetensorError:
            continue
        places.update((key, (path, row)) for row, key in enumerate(keys))
    return places
