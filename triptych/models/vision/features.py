"""Features of images, encoded once by the frozen tower and kept: in memory, or in a folder across runs.

Not for a tower that trains: its features change with every step. An image is known by its content, box and resize, a
tower by its fingerprint; a changed image or a changed tower is encoded anew. One file holds one chunk and is
written whole or not at all, so a killed run loses the chunk it was at, nothing else. A folder that all runs share has a
limit: what was used longest ago goes, never what this process uses; what has no room is encoded when it is asked for.

Shapes: P feature positions of an image, C channels of the tower.
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
from triptych.core.files import cache_folder, write_atomically
from triptych.core.machine import GIB
from triptych.core.records import ImageRef
from triptych.data.media.images import Size, load_image
from triptych.data.media.locate import digest_of, stamp_of
from triptych.models.family import Model, Seen
from triptych.models.vision.feature_limit import Limit
from triptych.models.vision.preprocess import prepared

CHUNK_IMAGES = 64
"""Images that are written at once."""
PASS_VALUES = 10_000_000
"""Numbers of images that the tower is given at once: 66 of 224 pixels, 12 of 512; a larger image goes alone. What
the tower holds in between is many times that: of 64 images in 17 tiles each, tens of GiB."""

OPEN_FILES = 128
CACHE_BYTES = 32 * GIB
"""Most that the features of all models take in the cache folder."""

Key = str
"""Key of an image: what tells its content (of a file, its sha256), its box, what it is resized to, and what of it the
tower sees where that is not all (``Model.shown_as``)."""


class FeatureStore:
    """Encodes each distinct image once. With a folder, memory holds only an index and what is being encoded."""

    def __init__(self, model: Model, folder: str | Path | None = None, *, most_bytes: int | None = None) -> None:
        """Begin with what a folder holds.

        Args:
            model: whose tower encodes.
            folder: where features are kept; None: in memory.
            most_bytes: of the folder, which all runs share; None: no limit, not even that of the disk.
        """
        self._model = model
        self._folder = None if folder is None else Path(folder)
        self._limit = None if self._folder is None or most_bytes is None else Limit(self._folder, most_bytes)
        self._fingerprint = ""
        self._memory: dict[Key, Seen] = {}
        self._places: dict[Key, tuple[Path, int]] = {}
        self._hashes: dict[tuple[str, int, int], str] = {}

    def features(
        self,
        images: Sequence[ImageRef],
        *,
        spans: Sequence[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Seen]:
        """Return features_PC of each, float32 on the CPU, in the order of ``images``; repeats are encoded once.

        Args:
            images: any number, also none.
            spans: positions of the slot in which each will stand: the tower then sees what that needs. None: all of it.
            progress: called with (encoded, to encode) after every chunk of images that were not known.

        Raises:
            ImageError: an image cannot be read; the message names it; a DataError.
            ModelError: the tower is being trained.
        """
        if any(weight.requires_grad for weight in self._model.parts()["vision"].parameters()):
            raise ModelError("the tower is being trained: its features cannot be kept. Freeze it, or encode each time.")
        self._follow_model()
        wanted = list(zip(images, [None] * len(images) if spans is None else spans, strict=True))
        keys = [self._key(image) + self._shown(span) for image, span in wanted]
        if self._limit is not None:
            self._limit.use({self._places[key][0] for key in keys if key in self._places})
        missing = {key: each for key, each in zip(keys, wanted, strict=True) if not self._has(key)}
        return list(self._rows(keys, self._encode(missing, progress)))

    def _encode(
        self, missing: Mapping[Key, tuple[ImageRef, int | None]], progress: Callable[[int, int], None] | None
    ) -> dict[Key, Seen]:
        """Encode images, keep their features, and return those that have no room."""
        keys, homeless = list(missing), dict[Key, Seen]()
        for start in range(0, len(keys), CHUNK_IMAGES):
            chunk = keys[start : start + CHUNK_IMAGES]
            pictures = prepared(lambda each: self._pixels(*each), [missing[key] for key in chunk], image=_image_of)
            # What is kept is for all runs: not in the fewer bits that this one may compute its steps in.
            with torch.no_grad(), torch.autocast(self._model.device.type, enabled=False):
                homeless |= self._keep(chunk, [seen for some in passes(pictures) for seen in self._model.encode(some)])
            if progress is not None:
                progress(start + len(chunk), len(keys))
        return homeless

    def _pixels(self, image: ImageRef, span: int | None) -> Seen:
        picture = load_image(image)
        return self._model.pixels(picture) if span is None else self._model.pixels_in(picture, span)

    def _shown(self, span: int | None) -> str:
        shown = "" if span is None else self._model.shown_as(span)
        return f":{shown}" if shown else ""

    def _keep(self, keys: list[Key], features: Sequence[Seen]) -> dict[Key, Seen]:
        # One copy an image: a view would keep the whole chunk alive.
        kept = {
            key: Seen(seen.values.float().cpu().clone(memory_format=torch.contiguous_format), seen.size)
            for key, seen in zip(keys, features, strict=True)
        }
        if self._folder is None:
            self._memory.update(kept)
            return {}
        name = hashlib.sha256("\n".join(keys).encode("ascii")).hexdigest()[:16]
        path = self._shelf() / f"{name}.safetensors"
        places = {"keys": json.dumps(keys), "sizes": json.dumps([seen.size for seen in kept.values()])}
        tensors = {str(row): seen.values for row, seen in enumerate(kept.values())}
        content = save(tensors, metadata=places)
        if self._limit is not None and not self._limit.admits(path, len(content)):
            return kept
        write_atomically(path, content)
        self._places.update((key, (path, row)) for row, key in enumerate(keys))
        return {}

    def _rows(self, keys: list[Key], homeless: Mapping[Key, Seen]) -> Iterator[Seen]:
        """Yield the features of each; each file is opened once, its rows are read one by one."""
        opened = lru_cache(maxsize=OPEN_FILES)(_open)
        for key in keys:
            if key in homeless:
                yield homeless[key]
            elif key in self._memory:
                yield self._memory[key]
            else:
                path, row = self._places[key]
                file, sizes = opened(path)
                yield Seen(file.get_tensor(str(row)), sizes[row])

    def _has(self, key: Key) -> bool:
        if self._limit is not None and key in self._places and not self._places[key][0].is_file():
            del self._places[key]  # another process made room
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


def _image_of(missing: tuple[ImageRef, int | None]) -> ImageRef:
    return missing[0]


def passes(pictures: Sequence[Seen]) -> Iterator[list[Seen]]:
    """Yield images in their order, as many together as the tower is given at once."""
    some: list[Seen] = []
    for picture in pictures:
        if some and sum(each.values.numel() for each in (*some, picture)) > PASS_VALUES:
            yield some
            some = []
        some.append(picture)
    if some:
        yield some


def cached_features(model: Model) -> FeatureStore:
    """Return what commands that answer keep from run to run: in the cache folder, up to ``CACHE_BYTES``."""
    return FeatureStore(model, cache_folder() / "features", most_bytes=CACHE_BYTES)


class _Opened(Protocol):
    def get_tensor(self, name: str) -> Tensor: ...

    def metadata(self) -> dict[str, str]: ...


def _open(path: Path) -> tuple[_Opened, list[Size]]:
    """Return a file of features, and the size of each image.

    Raises:
        ModelError: it is not there any more, not whole, or none of features.
    """
    try:
        opened: _Opened = safe_open(path, framework="pt")
        return opened, [(int(width), int(height)) for width, height in json.loads(opened.metadata()["sizes"])]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: no features can be read ({error}). Start again: they are encoded anew.") from error


def _index(shelf: Path) -> dict[Key, tuple[Path, int]]:
    """Return which image is in which row of which file. A file that is not whole, or an old one, does not count."""
    places: dict[Key, tuple[Path, int]] = {}
    for path in sorted(shelf.glob("*.safetensors")):
        try:
            keys = json.loads(_open(path)[0].metadata()["keys"])
        except (ModelError, KeyError, ValueError):
            continue
        places.update((key, (path, row)) for row, key in enumerate(keys))
    return places
