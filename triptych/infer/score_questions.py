"""What a score head is asked about a file: a video, a folder of its frames or a picture, and the words before it.

Not the scoring (``scores.py``). A head knows the words it was tuned on best; rows of a data source bring their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef
from triptych.data.format import Refused, read_source
from triptych.data.media.locate import SUFFIXES
from triptych.data.plan.scoring import Scoring
from triptych.data.transform import TransformPlan, apply


def question_words(scoring: Scoring, *, text: str | None = None) -> str:
    """Return what is asked where nobody says otherwise: how good the pictures are, in each respect that is scored.

    Args:
        scoring: what is scored.
        text: what a video was made from; None: nothing is said of that.
    """
    respects = "\n".join(f"- {name}" for name in scoring.targets)
    made = "" if text is None else f' They were made from the words: "{text}".'
    return (
        f"You are shown the frames of a video in their order, or one picture.{made} How good are they? Give a number"
        f" for each of these:\n{respects}\nThe frames:\n"
    )


def questions_about(said: Sequence[str], words: str, *, frames: int) -> Iterator[Example | Refused]:
    """Yield a question for each file, and the rows of each data source, videos cut into frames.

    Args:
        said: paths of videos, folders of frames and pictures; sources ``FORMAT:PATH``.
        words: what is asked about a file, before its pictures; rows of a source ask themselves.
        frames: of each video, from its first to its last.

    Raises:
        DataError: a path leads nowhere.
        ConfigError, NotFoundError: a source is none.
    """
    plan = TransformPlan.parse({"kind": "frames", "n": frames})
    for each in said:
        rows = iter([_about(Path(each), words)]) if _is_file(each) else read_source(each)
        yield from apply([plan], rows, seed=0)


def _is_file(said: str) -> bool:
    path = Path(said).expanduser()
    if path.exists():
        return True
    if ":" in said:
        return False
    raise DataError(f"{said}: no such file. Give a video, a folder of frames, a picture, or data as FORMAT:PATH.")


def _about(path: Path, words: str) -> Example:
    path = path.expanduser()
    picture = path.is_file() and path.suffix.lower() in SUFFIXES
    part: Part = ImageRef(str(path.absolute())) if picture else VideoRef(str(path.absolute()))
    return Example(id=str(path), turns=(Turn("user", (Text(words), part)),), origin=str(path))
