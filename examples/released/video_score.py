"""VideoScore: five numbers for a generated video, from 16 of its frames and the words it was made from.

Not an answer in words: the released model has a score head and none for words. It is asked as its own example asks,
with its prompt and a space behind each frame; VideoScore-v1.1 may be given 48 frames.

    python examples/released/video_score.py clip.mp4 "a dog on a beach"
    python examples/released/video_score.py --model TIGER-Lab/VideoScore-v1.1 --frames 48 clip.mp4 "a dog on a beach"
    python examples/released/video_score.py --model FOLDER frames/ "a dog on a beach"

It needs a GPU. A folder's triptych.json says what its numbers are called (docs/score.md). `triptych models info
videoscore` says how large it is and what was tried of it here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from triptych.core.errors import DataError, TriptychError
from triptych.core.files import cache_folder
from triptych.core.records import Example, Text, Turn, VideoRef
from triptych.data.media.video import frame_refs, pick_arange, probe
from triptych.infer.responder import Failed
from triptych.infer.score_questions import PROMPT
from triptych.infer.scores import Scorer
from triptych.models.family import open_model
from triptych.models.vision.features import FeatureStore

MODEL = "TIGER-Lab/VideoScore"
FRAMES = 16


def score(video: Path, text: str, *, model: str = MODEL, frames: int = FRAMES) -> Mapping[str, float]:
    """Return each target's number for a video file, or a folder of its frames."""
    opened = open_model(model)
    scorer = Scorer(opened, features=FeatureStore(opened, cache_folder() / "features"))
    shown = frame_refs(VideoRef(str(video)), pick_arange(probe(str(video)).frames, frames))
    spaced = [part for frame in shown for part in (frame, Text(" "))]
    (found,) = scorer.score([Example(video.name, (Turn("user", (Text(PROMPT % text), *spaced)),))])
    if isinstance(found, Failed):
        raise DataError(found.reason)
    return dict(zip(scorer.head.scoring.targets, found.scores, strict=True))


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("video", type=Path)
    words.add_argument("text")
    words.add_argument("--model", default=MODEL)
    words.add_argument("--frames", type=int, default=FRAMES)
    given = words.parse_args()
    try:
        numbers = score(given.video, given.text, model=given.model, frames=given.frames)
    except TriptychError as error:
        words.exit(2, f"error: {error}\n")
    for name, number in numbers.items():
        sys.stdout.write(f"{name}: {number:.3f}\n")
