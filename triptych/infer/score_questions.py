"""What a score head is asked about a file: a video, a folder of its frames or a picture, and the words before it.

Not the scoring (``scores.py``). A head knows the words it was tuned on best; rows of a data source bring their own.
VideoScore, and a head that is tuned as it was, is asked as its own example asks. Source: He et al. 2024, VideoScore
(arXiv:2406.15252), MIT, ``examples/run_videoscore.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef, replace_parts
from triptych.data.format import Refused, read_source
from triptych.data.media.kept import SUFFIXES
from triptych.data.plan.scoring import Scoring
from triptych.data.transform import TransformPlan, apply

ASPECTS = (
    "visual quality",
    "temporal consistency",
    "dynamic degree",
    "text-to-video alignment",
    "factual consistency",
)
"""What VideoScore scores, in the order of its outputs; its own ``config.json`` calls them ``LABEL_0`` and so on."""
PROMPT = """
Suppose you are an expert in judging and evaluating the quality of AI-generated videos,
please watch the following frames of a given video and see the text prompt for generating the video,
then give scores from 5 different dimensions:
(1) visual quality: the quality of the video in terms of clearness, resolution, brightness, and color
(2) temporal consistency, both the consistency of objects or humans and the smoothness of motion or movements
(3) dynamic degree, the degree of dynamic changes
(4) text-to-video alignment, the alignment between the text prompt and the video content
(5) factual consistency, the consistency of the video content with the common-sense and factual knowledge

for each dimension, output a float number from 1.0 to 4.0,
the higher the number is, the better the video performs in that sub-score,\x20
the lowest 1.0 means Bad, the highest 4.0 means Perfect/Real (the video is like a real video)
Here is an output example:
visual quality: 3.2
temporal consistency: 2.7
dynamic degree: 4.0
text-to-video alignment: 2.3
factual consistency: 1.8

For this video, the text prompt is "%s",
all the frames of video are as follows:
"""
"""VideoScore's regression prompt, for the text that a video was made from; its frames stand behind it."""
_UNNAMED = tuple(f"LABEL_{number}" for number in range(len(ASPECTS)))


def asked_as_videoscore(scoring: Scoring) -> bool:
    """Return whether a head is VideoScore's or one tuned as it was: its aspects, or five outputs that nobody named.

    They are numbers, read at the last of plain words and pictures.
    """
    read = (scoring.asked, scoring.read, scoring.loss) == ("plain", "last", "mse")
    return read and scoring.targets in (ASPECTS, _UNNAMED)


def question_words(scoring: Scoring, *, text: str | None = None) -> str:
    """Return what is asked where nobody says otherwise: how good the pictures are, in each respect that is scored.

    Args:
        scoring: what is scored; VideoScore is asked in its own words.
        text: what a video was made from; None: nothing is said of that, and VideoScore's prompt has an empty text.
    """
    if asked_as_videoscore(scoring):
        return PROMPT % (text or "")
    respects = "\n".join(f"- {name}" for name in scoring.targets)
    made = "" if text is None else f' They were made from the words: "{text}".'
    return (
        f"You are shown the frames of a video in their order, or one picture.{made} How good are they? Give a number"
        f" for each of these:\n{respects}\nThe frames:\n"
    )


def questions_about(said: Sequence[str], words: str, *, scoring: Scoring, frames: int) -> Iterator[Example | Refused]:
    """Yield a question for each file, and the rows of each data source, videos cut into frames.

    Args:
        said: paths of videos, folders of frames and pictures; sources ``FORMAT:PATH``.
        words: what is asked about a file, before its pictures; rows of a source ask themselves.
        scoring: what is scored. A head that is asked plainly finds a space behind each picture of a file, as in rows
            of ``mantis_classification`` that have no marks.
        frames: of each video, from its first to its last; for VideoScore as its example picks them (``pick_arange``).

    Raises:
        DataError: a path leads nowhere.
        ConfigError, NotFoundError: a source is none.
    """
    for each in said:
        if _is_file(each):
            yield question_of_files(_about(Path(each), words), scoring=scoring, frames=frames)
        else:
            yield from apply([_frames(scoring, frames)], read_source(each), seed=0)


def question_of_files(question: Example, *, scoring: Scoring, frames: int) -> Example | Refused:
    """Return a question about files as the head is to see it; arguments as in ``questions_about``."""
    (row,) = apply([_frames(scoring, frames)], [question], seed=0)
    return replace_parts(row, _with_space) if isinstance(row, Example) and scoring.asked == "plain" else row


def _frames(scoring: Scoring, count: int) -> TransformPlan:
    way = "arange" if asked_as_videoscore(scoring) else "uniform"
    return TransformPlan.parse({"kind": "frames", "n": count, "way": way})


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


def _with_space(part: Part) -> Sequence[Part]:
    return [part, Text(" ")] if isinstance(part, ImageRef) else [part]
