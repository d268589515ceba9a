"""Questions a second of the evaluation engine against asking one at a time, measured here and now: one JSON object.

    python benchmarks/evaluate.py --model runs/demo/model
    python benchmarks/evaluate.py --model runs/demo/model --stories 60 --repeats 5 --out result.json

The questions are drawn: Storyboard conversations, each reply of which is a question, so that several questions share
images and what was said before. Three ways, taken in turn in every round, each from nothing (no kept features, no kept
replies), in one process on the same weights:

- ``one_at_a_time``: what evaluation kits do that ask a model of transformers item by item, as VLMEvalKit's loop over a
  local model: every image of every question is decoded and encoded, then ``network.generate`` on a batch of one.
- ``unshared``: our engine with batches and images encoded once, and beginnings not shared.
- ``engine``: as ``triptych eval`` does it.

Not a test: nothing fails for being slow. That the answers are the same is counted, and told. Where other work shares
the machine, rates per second of processor time (``_per_cpu_s``) say more than the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import torch
import transformers

from triptych.core.errors import TriptychError
from triptych.core.records import Answer, Example, images_of
from triptych.data.batch import collate
from triptych.data.format import read_source
from triptych.data.media.images import load_image, measure
from triptych.data.template import parse_reply, render, stop_id
from triptych.evaluate.benchmark import asked, each_reply
from triptych.infer.local import LocalResponder
from triptych.models.family import Model, open_model
from triptych.models.features import FeatureStore
from triptych.starter.storyboard import Sizes, draw_storyboard

REPLY_TOKENS = 16
SEED = 5

BASE = "one_at_a_time"

Way = Callable[[Sequence[Example]], dict[str, str]]


def ways(model: Model) -> Mapping[str, Way]:
    """Return the three ways, each a function of questions to replies by id."""

    def engine(questions: Sequence[Example], *, share: bool) -> dict[str, str]:
        responder = LocalResponder(model, features=FeatureStore(model), share=share, name="engine")
        found = list(responder.answer(questions, max_tokens=REPLY_TOKENS))
        return {answer.id: answer.text for answer in found if isinstance(answer, Answer)}

    return {
        BASE: lambda questions: {question.id: generate(model, question) for question in questions},
        "unshared": lambda questions: engine(questions, share=False),
        "engine": lambda questions: engine(questions, share=True),
    }


@torch.inference_mode()
def generate(model: Model, question: Example) -> str:
    """Return the reply to one question, from its files on, by the network's own ``generate``."""
    encoded = render(
        question,
        model.template,
        tokenizer=model.tokenizer,
        image_token_id=model.image_token_id,
        count_image_tokens=lambda image: model.count_image_tokens(measure(image)),
        open_reply=True,
    )
    stop = stop_id(model.template, model.tokenizer)
    batch = collate([[encoded]], pad_id=stop)
    pixels = [model.pixels(load_image(slot.image)) for slot in encoded.slots]
    seen = {"pixel_values": torch.stack(pixels).to(model.device)} if pixels else {}
    ids_BT = batch.ids_BT.to(model.device)
    generated = model.network.generate(  # type: ignore[operator]
        input_ids=ids_BT,
        attention_mask=torch.ones_like(ids_BT),
        **seen,
        do_sample=False,
        max_new_tokens=REPLY_TOKENS,
        eos_token_id=stop,
        pad_token_id=stop,
    )
    return parse_reply(generated[0, len(encoded.ids) :].tolist(), model.template, tokenizer=model.tokenizer)


def draw_questions(folder: Path, stories: int) -> list[Example]:
    """Return every reply of drawn conversations as a question."""
    sizes = Sizes(portraits=1, tune=stories, held_in=1, held_out=1)
    rows = draw_storyboard(folder, seed=SEED, sizes=sizes)["tune"]
    return [asked(question) for row in rows for question in replies_of(row)]


def read_questions(source: str) -> list[Example]:
    """Return every reply of a source's conversations as a question."""
    rows = [row for row in read_source(source) if isinstance(row, Example)]
    return [asked(question) for row in rows for question in replies_of(row)]


def replies_of(row: Example) -> list[Example]:
    """Return a question for each reply."""
    replies = sum(turn.role == "assistant" for turn in row.turns)
    return list(each_reply(Example(row.id, row.turns, facts={"turns": [{} for _ in range(replies)]})))


def measure_ways(model: Model, questions: Sequence[Example], *, repeats: int) -> dict[str, object]:
    """Return questions a second of each way, by the clock and of processor time, and how many replies are the same."""
    found = ways(model)
    for way in found.values():
        way(questions[:2])  # what is only slow the first time
    rates: dict[str, dict[str, list[float]]] = {unit: {name: [] for name in found} for unit in ("s", "cpu_s")}
    replies: dict[str, dict[str, str]] = {}
    for _ in range(repeats):
        for name, way in found.items():
            begin, begin_cpu = time.perf_counter(), time.process_time()
            replies[name] = way(questions)
            rates["s"][name].append(len(questions) / (time.perf_counter() - begin))
            rates["cpu_s"][name].append(len(questions) / (time.process_time() - begin_cpu))
    numbers: dict[str, object] = {}
    for unit, by_name in rates.items():
        for name, each in by_name.items():
            numbers[f"{name}_questions_per_{unit}"] = round(median(each), 3)
            if name != BASE:
                ratios = [ours / theirs for ours, theirs in zip(each, by_name[BASE], strict=True)]
                numbers[f"{name}_ratio_per_{unit}"] = round(median(ratios), 3)
    for name in found:
        same = sum(replies[name].get(question.id) == replies[BASE][question.id] for question in questions)
        numbers[f"{name}_same_replies_count"] = same
    return {**numbers, "repeats": rates}


def about(model: Model, questions: Sequence[Example]) -> dict[str, object]:
    """Return what was measured, and where."""
    shown = [image for question in questions for image in images_of(question)]
    return {
        "machine": {"cpu": platform.processor() or platform.machine(), "cores_count": os.cpu_count()},
        "threads_count": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "model": type(model.network).__name__,
        "parameters_count": sum(weight.numel() for weight in model.network.parameters()),
        "questions_count": len(questions),
        "images_shown_count": len(shown),
        "images_distinct_count": len(set(shown)),
        "reply_tokens": REPLY_TOKENS,
    }


def main() -> None:
    """Measure what the command line asks for and write it as JSON."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--model", default="runs/demo/model", help="a folder or a hub id")
    options.add_argument("--data", metavar="FORMAT:PATH", help="conversations instead of drawn ones")
    options.add_argument("--stories", type=int, default=60, help="conversations that are drawn")
    options.add_argument("--repeats", type=int, default=3, help="of each timing; the median counts")
    options.add_argument("--out", type=Path, help="a file for the JSON, instead of stdout")
    said = options.parse_args()
    try:
        model = open_model(said.model)
    except TriptychError as error:
        sys.stderr.write(f"skipped: {error} `make demo` makes runs/demo/model.\n")
        sys.exit(3)
    with tempfile.TemporaryDirectory(prefix="triptych-benchmark-") as folder:
        questions = read_questions(said.data) if said.data else draw_questions(Path(folder), said.stories)
        numbers = measure_ways(model, questions, repeats=said.repeats)
    text = json.dumps({**about(model, questions), **numbers}, indent=2) + "\n"
    if said.out is None:
        sys.stdout.write(text)
    else:
        said.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
