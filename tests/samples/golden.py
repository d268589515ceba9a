"""A benchmark's prompts as text, each image by its size and a checksum: what ``tests/samples/NAME/prompts.txt`` holds.

Run ``python -m tests.samples.golden [NAME...]`` after a prompt was changed on purpose, and read what has changed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from zlib import crc32

from triptych.core.plugins import find
from triptych.core.records import Example, ImageRef, Part, Text
from triptych.data.format import Refused
from triptych.data.media.images import load_image
from triptych.data.media.locate import place_of
from triptych.evaluate.benchmark import Benchmark

SAMPLES = Path(__file__).parent


def questions_of(name: str) -> list[Example]:
    """The questions of a sample; a refused row is a mistake of the sample."""
    rows = list(find("benchmark", name, expected=Benchmark).questions(SAMPLES / name))
    refused = [row.message for row in rows if isinstance(row, Refused)]
    assert not refused, refused
    return [row for row in rows if isinstance(row, Example)]


def rendered(questions: list[Example]) -> str:
    """All prompts with their references."""
    return "\n".join(f"=== {question.id}\n{_turns(question)}" for question in questions)


def _turns(question: Example) -> str:
    shown = [
        f"[{turn.role}]\n{''.join(map(_part, turn.parts))}\n" for each in question.demonstrations for turn in each.turns
    ]
    shown += [f"[{turn.role}]\n{''.join(map(_part, turn.parts))}\n" for turn in question.turns]
    return "".join(shown)


def _part(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, ImageRef):
        place = place_of(part.source)
        if place.kind == "frame":
            return f"<{Path(place.container).name} frame {place.start}>"
        box = f" box {part.box}" if part.box else ""
        pixels = load_image(part)
        return f"<{pixels.width}x{pixels.height}{box} {crc32(pixels.convert('RGB').tobytes()):08x}>"
    return f"<video {Path(part.source).name}>"


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TRIPTYCH_CACHE"] = cache
        for name in names or sorted(path.name for path in SAMPLES.iterdir() if path.is_dir() and path.name[0] != "_"):
            (SAMPLES / name / "prompts.txt").write_text(rendered(questions_of(name)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
