"""MVBench: 20 tasks of 200 questions on short videos, 4,000 in all, each as the frames of its video.

Source: Li et al. 2024 (arXiv:2311.17005), OpenGVLab/MVBench: ``json/TASK.json`` lists {video, question, candidates,
answer} with {start, end} in seconds for five tasks, and videos under ``video/``. Frames, prompt and order are those of
Mantis (arXiv:2405.01483): 8 frames, the middle of 8 equal stretches, all images in front. Its default is 4 frames, its
paper says 8. Episodic reasoning has folders of frames at 3 a second, counted from 1. Accuracy over all questions; the
published number is by the reading of Mantis' script for this test: the first letter of the alphabet after "the answer
is" and its like, which must be a capital.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, ImageRef, Text, VideoRef
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.data.media.video import frame_refs, probe
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.mantis_asking import ENDING
from triptych.evaluate.question.question_rows import Source, choice, lettered, option_at, read_questions
from triptych.evaluate.reading import scorers

FRAMES = 8
FOLDER_FPS = 3.0
VIDEOS = {
    "action_sequence": "star/Charades_v1_480",
    "action_prediction": "star/Charades_v1_480",
    "action_antonym": "ssv2_video",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "unexpected_action": "FunQA_test/test",
    "object_existence": "clevrer/video_validation",
    "object_interaction": "star/Charades_v1_480",
    "object_shuffle": "perception/videos",
    "moving_direction": "clevrer/video_validation",
    "action_localization": "sta/sta_video",
    "scene_transition": "scene_qa/video",
    "action_count": "perception/videos",
    "moving_count": "clevrer/video_validation",
    "moving_attribute": "clevrer/video_validation",
    "state_change": "perception/videos",
    "fine_grained_pose": "nturgbd",
    "character_order": "perception/videos",
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/frames_fps3_hq",
    "counterfactual_inference": "clevrer/video_validation",
}
"""Task -> where its videos lie under ``video/``."""
_CONCLUSIONS = {"the answer is": "", "answer:": "", "the option is": " ", "Answer:": ""}
"""What Mantis' script looks for, in order, and what must stand behind it to be cut off."""
BOUNDED = ("action_sequence", "action_prediction", "object_interaction", "action_localization", "episodic_reasoning")
"""Tasks that are asked about a part of the video."""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of all tasks under ``json/``, or of one file."""
    return read_questions(path, _build, files=("json/*.json",), root=path if path.is_dir() else path.parent.parent)


def published(question: Example, reply: str) -> float:
    """Return whether Mantis' script for MVBench reads the right letter."""
    mark = next((mark for mark in _CONCLUSIONS if mark in reply), "")
    said = reply.split(mark + _CONCLUSIONS[mark])[-1].strip() if mark else reply
    letter = next((character for character in said if character.isalpha()), said[:1])
    return float(letter == scorers.reference_of(question))


def _build(source: Source) -> Iterator[Example]:
    task, options = source.file.stem, source.texts("candidates")
    if task not in VIDEOS:
        raise bad(f"{task!r} is no task of MVBench. There are: {', '.join(VIDEOS)}.")
    video = source.media.video(f"video/{VIDEOS[task]}/{source.text('video')}")
    lines = [f"Question: {source.text('question')}", *lettered(options, "{letter}. {option}"), ENDING]
    yield choice(
        source,
        [*_frames(source, video, bounded=task in BOUNDED), Text("\n".join(lines))],
        name=f"{task}/{source.number}",
        options=options,
        right=option_at(source.text("answer"), options),
        kind=task,
        question=source.text("question"),
        scenario="frames",
        story=video.source,
    )


def _frames(source: Source, video: VideoRef, *, bounded: bool) -> tuple[ImageRef, ...]:
    """Return the middle frame of each of 8 equal stretches, in time order. Raises RowError or ImageError."""
    info = probe(video.source)
    first, last, fps = 0, info.frames - 1, info.fps
    if fps is None:  # A folder, whose pictures are counted from 1 there.
        first, last, fps = 1, info.frames, FOLDER_FPS
    start, end = first, last
    if bounded:
        begins, ends = (source.number_at(key) for key in ("start", "end"))  # in seconds, which this task needs
        if not begins <= ends or ends < 0 or begins * fps > last + 1:
            raise bad(f"its part from {begins:g} s to {ends:g} s is none of the video. Mend the row or leave it out.")
        start = round(max(first, begins * fps))
        end = round(min(last, ends * fps))
    stretch = (end - start) / FRAMES
    indexes = [int(start + stretch / 2 + round(stretch * number)) - first for number in range(FRAMES)]
    return frame_refs(video, indexes)


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    published=published,
    chance=chance_of,
    cite="Li, Wang, He et al. 2024 (CVPR; arXiv:2311.17005); frames and prompt of Mantis (Jiang et al. 2024)",
    about="20 temporal tasks on short videos, as choices over 8 frames",
    items=4000,
    task_count=len(VIDEOS),
    images=f"{FRAMES} frames",
    guess=0.273,
    source="hub: OpenGVLab/MVBench, json and video",
    licence="MIT; each video that of its source",
)
