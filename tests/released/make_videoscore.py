"""Write ``videoscore.json``: what the released code of VideoScore makes of videos on a tiny Idefics2 with a score head.

Run by an environment that has it, from this repository's root:
``PYTHONPATH=. python -m tests.released.make_videoscore MANTIS VIDEOSCORE``, checkouts of TIGER-AI-Lab/Mantis at f3a3192
and of TIGER-AI-Lab/VideoScore at 8e44973. Made with torch 2.13.0 (CPU), transformers 4.45.2, datasets 2.18.0. Stubbed:
av, decord and fire; ``load_dataset`` gives rows made here, in the layout of TIGER-Lab/VideoFeedback; a fake film gives
the example its frames; what opens a released model by name opens the tiny one.
Called: ``training/prepare_regression.py`` and ``prepare_conv.py``, ``benchmark/eval_videoscore.py``,
``examples/run_videoscore.py`` of VideoScore; ``ClassificationDataset``, ``ChatDataset``, ``Collator`` and
``Idefics2ForSequenceClassification`` of Mantis.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers

from tests.released.drawn import picture
from tests.released.idefics2s import SCORED, eager, seen_rows, write_folder
from tests.released.making import rounded, stub, write

NAMES = ["visual quality", "temporal consistency", "dynamic degree", "text-to-video alignment", "factual consistency"]
VIDEOS: list[dict[str, Any]] = [
    {"id": "a1", "frames": 4, "size": [42, 30], "text": "a dog on a beach", "scores": [3, 2, 4, 1, 2]},
    {"id": "a2", "frames": 2, "size": [70, 70], "text": "Two men talk, slowly", "scores": [1, 1, 3, 1, 1]},
    {"id": "a3", "frames": 20, "size": [28, 28], "text": 'waves "at night", 8k', "scores": [2.67, 3.33, 2, 4, 1.5]},
    {"id": "r4", "frames": 4, "size": [42, 30], "text": "a", "scores": [4, 4, 4, 4, 4], "marks": True},
]
REPLIES = [
    "visual quality: 3\ntemporal consistency: 2\ndynamic degree: 4\ntext-to-video alignment: 1\nfactual consistency: 2",
    "visual quality: 3\ntemporal consistency: 2\ndynamic degree: 5\ntext-to-video alignment: 1",
    "I can not say.",
    "visual quality: 3, temporal consistency: 2, dynamic degree: 4, text-to-video alignment: 1, factual consistency: 2",
]


def main(mantis: str, videoscore: str) -> None:
    """Make all cases and write them."""
    sys.path[:0] = [mantis, f"{videoscore}/benchmark"]
    stub("av", "decord", "fire")
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            made = everything(Path(place), Path(videoscore))
        finally:
            os.chdir(here)
    write("videoscore", made)


def everything(place: Path, videoscore: Path) -> dict[str, Any]:
    """Return all that is compared."""
    import datasets

    pictures(place / "images")
    told = {}
    datasets.load_dataset = lambda _path, name, split: rows(name)
    for script, name in (("prepare_regression", "train_regression"), ("prepare_conv", "train_conv")):
        with quiet():
            runpy.run_path(str(videoscore / "training" / f"{script}.py"), run_name="__main__")
        told[name] = json.loads(Path(f"{name}.json").read_text())
    made = {"torch": torch.__version__, "transformers": transformers.__version__, "videos": VIDEOS, **told}
    with quiet():
        made |= cases(place)
        made["example"] = example(place, videoscore)
    made |= {"read": read(), "sampled": sampled()}
    return made


def rows(name: str) -> list[dict[str, Any]]:
    """Return a part of VideoFeedback: ``annotated`` or ``real``."""
    from utils_tools import regression_query_template

    made = []
    for video in VIDEOS:
        if video["id"].startswith("r") != (name == "real"):
            continue
        asked = regression_query_template().format(text_prompt=video["text"])
        asked += "<image> " * (video["frames"] * video.get("marks", False)) + "\n"
        scores = "\n".join(f"{aspect}: {score}" for aspect, score in zip(NAMES, video["scores"], strict=True))
        said = [{"from": "human", "value": asked}, {"from": "gpt", "value": scores}]
        names = [f"{video['id']}_{frame:02}.png" for frame in range(video["frames"])]
        made.append({"id": video["id"], "images": names, "conversations": said})
    return made


def pictures(folder: Path) -> None:
    """Write all videos' frames."""
    for number, video in enumerate(VIDEOS):
        (folder / video["id"]).mkdir(parents=True)
        for frame in range(video["frames"]):
            shown = picture(100 * number + frame, *video["size"])
            shown.save(folder / video["id"] / f"{video['id']}_{frame:02}.png")


def opened(place: Path, *, spaces: str, pad: int | None = None) -> tuple[Any, Any, dict[str, list[int]]]:
    """Return processor and network of a tiny folder, and the shapes of its weights."""
    from mantis.models.idefics2 import Idefics2ForSequenceClassification

    folder = write_folder(
        place / f"{spaces}-{pad}", spaces=spaces, **SCORED, **({} if pad is None else {"pad_token_id": pad})
    )
    processor = transformers.AutoProcessor.from_pretrained(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    return processor, *eager(Idefics2ForSequenceClassification, config)


def cases(place: Path) -> dict[str, Any]:
    """Return what training and the benchmark make of the videos."""
    import eval_videoscore
    from mantis.train import data
    from mantis.train.conversation import conv_templates

    processor, network, shapes = opened(place, spaces="prepend")
    ids = data.set_default_image_token, data.set_default_image_token_id, data.set_ignore_index
    ids[0](processor.tokenizer.decode(network.image_token_id))
    ids[1](network.image_token_id)
    ids[2](network.image_token_id)
    made: dict[str, Any] = {"weights": shapes, "trained": [], "asked": [], "said": []}
    regression = "train_regression.json"
    scored = data.ClassificationDataset(processor, regression, "json", "score", "train", 4096)
    made["names"] = scored.label_names
    collator = data.Collator(processor)
    collator.tokenizer = processor.tokenizer  # it asks for one, and nothing gives it one
    for number in range(len(VIDEOS)):
        batch = collator([scored[number]])
        with torch.no_grad():
            found = network(**batch)
            states = network.model(**{name: batch[name] for name in batch if name != "labels"}).last_hidden_state
        ids = batch["input_ids"][0].tolist()
        row = {"ids": ids, "labels": batch["labels"][0].tolist(), "scores": rounded(found.logits[0])}
        row |= {"loss": rounded(found.loss), "last": rounded(network.score(states[0, -1]))}
        made["trained"].append(row | {"states": seen_rows(states[0])[:: max(1, len(ids) // 12)]})
        video = VIDEOS[number]
        frames = [f"images/{video['id']}/{each.name}" for each in sorted(Path("images", video["id"]).iterdir())]
        made["asked"].append(eval_videoscore._model_output(network, processor, video["text"], frames))
    # Two at once, as wherever config.json has a padding id: the last token before the first padding is read.
    _, padded, _ = opened(place, spaces="prepend", pad=0)
    with torch.no_grad():
        found = padded(**collator([scored[0], scored[3]]))
    made["pair"] = {
        "rows": [0, 3],
        "scores": rounded(found.logits),
        "loss": rounded(found.loss),
    }
    talk = data.ChatDataset(
        processor, "train_conv.json", "json", "talk", "train", 4096, conv_templates["idefics_2"], num_proc=1
    )
    for number in range(len(VIDEOS)):
        encoding = talk.getitem(number)
        ids, labels = encoding["input_ids"][0].tolist(), encoding["labels"][0].tolist()
        made["said"].append(
            {"ids": ids, "learnt": [at for at, label in enumerate(labels) if label != network.image_token_id]}
        )
    return made


def example(place: Path, videoscore: Path) -> list[dict[str, Any]]:
    """Return what the published example says of films, and the frames it takes."""
    from mantis.models.idefics2 import Idefics2ForSequenceClassification

    processor, network, _ = opened(place, spaces="prepend")
    transformers.AutoProcessor.from_pretrained = lambda *_, **__: processor
    Idefics2ForSequenceClassification.from_pretrained = lambda *_, **__: network
    made = []
    for frames in (3, 50):
        sys.modules["av"].open = lambda _path, frames=frames: Film(frames)  # type: ignore[attr-defined]
        found = runpy.run_path(str(videoscore / "examples" / "run_videoscore.py"))
        ids = found["inputs"]["input_ids"][0].tolist()
        made.append(
            {"frames": frames, "taken": found["indices"].tolist(), "scores": found["aspect_scores"], "ids": ids}
        )
        made[-1]["text"] = found["video_prompt"]
    return made


class Film:
    """What the example asks of an opened video."""

    def __init__(self, frames: int) -> None:
        self.streams = SimpleNamespace(video=[SimpleNamespace(frames=frames)])
        self._frames = frames

    def seek(self, _at: int) -> None:
        """Do nothing: it is read once."""

    def decode(self, video: int) -> Iterator[Any]:
        """Yield the frames."""
        del video
        for number in range(self._frames):
            shown = np.array(picture(number, 28, 28))
            yield SimpleNamespace(to_ndarray=lambda format, shown=shown: shown)


def read() -> list[Any]:
    """Return replies, and the whole numbers that the benchmark of other models reads in them."""
    import re

    from utils_tools import _ans_formatted

    # eval_gpt4o.py and eval_other_mllm.py have this pattern in their loops.
    return [[reply, _ans_formatted([int(each) for each in re.findall(r": (\d+)", reply)], 5)] for reply in REPLIES]


def sampled() -> dict[str, list[list[int]]]:
    """Return the frames of the benchmark for videos of so many frames."""
    import eval_videoscore

    made = []
    for frames in (1, 2, 15, 16, 17, 24, 97):
        opened: list[int] = []
        eval_videoscore.Image = SimpleNamespace(open=lambda number, opened=opened: opened.append(number) or np.zeros(1))
        eval_videoscore._read_video_frames(list(range(frames)), eval_videoscore.MAX_NUM_FRAMES)
        made.append([frames, *opened])
    return {"benchmark": made}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave out what released code prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


if __name__ == "__main__":
    main(*sys.argv[1:])
