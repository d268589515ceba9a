"""Questions a second of the evaluation engine against asking one at a time, measured here and now: one JSON object.

    python benchmarks/evaluate.py --model runs/demo/model
    python benchmarks/evaluate.py --model runs/demo/model --stories 8 --peer lmms-eval --out result.json

The questions are drawn: Storyboard conversations, each reply of which is a question, so that several questions share
images and what was said before. The ways are taken in turn in every round, each from nothing (no kept features, no kept
replies), on the same weights, with the same threads:

- ``one_at_a_time``: what evaluation kits do that ask a model of transformers item by item, as VLMEvalKit's loop over a
  local model: every image of every question is decoded and encoded, then ``network.generate`` on a batch of one.
- ``unshared``: our engine with batches and images encoded once, and beginnings not shared.
- ``engine``: as ``triptych eval`` does it.
- ``lmms_eval``, with ``--peer lmms-eval``: its own model class, in a process of its own (``evaluate_lmms.py``). Where
  that cannot be, ``lmms_eval`` in the result says why, and nothing else changes.

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
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import torch
import transformers
from evaluate_peer import Asked, Peer, make_environment, open_peer

from triptych.core.errors import RunError, TriptychError
from triptych.core.records import Answer, Example, images_of
from triptych.data.batch import collate
from triptych.data.format import read_source
from triptych.data.media.images import load_image
from triptych.data.plan.rendering import prompt_of
from triptych.data.template import parse_reply, stop_id
from triptych.evaluate.benchmark import asked, each_reply
from triptych.infer.local import LocalResponder
from triptych.models.family import Model
from triptych.models.memory.placement import computing, open_to_answer
from triptych.models.vision.features import FeatureStore
from triptych.starter.storyboard import Sizes, draw_storyboard

REPLY_TOKENS = 16
SEED = 5

BASE = "one_at_a_time"
OURS = "engine"
PEER = "lmms_eval"

Way = Callable[[Sequence[Example]], Asked]


def ways(model: Model) -> dict[str, Way]:
    """Return the ways that need nothing but ourselves."""

    def engine(questions: Sequence[Example], *, share: bool) -> dict[str, str]:
        responder = LocalResponder(model, features=FeatureStore(model), share=share, name="engine")
        found = list(responder.answer(questions, max_tokens=REPLY_TOKENS))
        return {answer.id: answer.text for answer in found if isinstance(answer, Answer)}

    return {
        BASE: timed(lambda questions: {question.id: generate(model, question) for question in questions}),
        "unshared": timed(lambda questions: engine(questions, share=False)),
        OURS: timed(lambda questions: engine(questions, share=True)),
    }


def timed(way: Callable[[Sequence[Example]], dict[str, str]]) -> Way:
    """Return the same, with what it took."""

    def ask(questions: Sequence[Example]) -> Asked:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        replies = way(questions)
        return Asked(replies, s=time.perf_counter() - begin, cpu_s=time.process_time() - begin_cpu)

    return ask


@torch.inference_mode()
def generate(model: Model, question: Example) -> str:
    """Return the reply to one question, from its files on, by the network's own ``generate``."""
    encoded = prompt_of(question, model.rendering)
    stop = stop_id(model.template, model.tokenizer)
    batch = collate([[encoded]], pad_id=stop)
    inputs = model.inputs(batch, [model.pixels(load_image(image)) for image in batch.images])
    with computing(model):
        generated = model.network.generate(  # type: ignore[operator]
            **{name: value.to(model.device) for name, value in inputs.items()},
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


def measure_ways(found: Mapping[str, Way], questions: Sequence[Example], *, repeats: int) -> dict[str, object]:
    """Return questions a second of each way, by the clock and of processor time, and how many replies are the same."""
    for way in found.values():
        way(questions[:2])  # what is only slow the first time
    asked_by: dict[str, list[Asked]] = {name: [] for name in found}
    for _ in range(repeats):
        for name, way in found.items():
            asked_by[name].append(way(questions))
    rates = {
        unit: {name: [len(questions) / getattr(each, unit) for each in rounds] for name, rounds in asked_by.items()}
        for unit in ("s", "cpu_s")
    }
    numbers: dict[str, object] = {}
    for unit, by_name in rates.items():
        for name, each in by_name.items():
            numbers[f"{name}_questions_per_{unit}"] = round(median(each), 3)
            if name != BASE:
                numbers[f"{name}_ratio_per_{unit}"] = _ratio(each, by_name[BASE])
        if PEER in by_name:
            numbers[f"{OURS}_ratio_to_{PEER}_per_{unit}"] = _ratio(by_name[OURS], by_name[PEER])
    last = {name: rounds[-1].replies for name, rounds in asked_by.items()}
    for name in found:
        numbers[f"{name}_same_replies_count"] = _same(last[name], last[BASE])
    if PEER in last:
        numbers[f"{OURS}_same_replies_as_{PEER}_count"] = _same(last[OURS], last[PEER])
    return {**numbers, "repeats": rates}


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return round(median(our / their for our, their in zip(ours, theirs, strict=True)), 3)


def _same(ours: Mapping[str, str], theirs: Mapping[str, str]) -> int:
    return sum(theirs.get(name) == text for name, text in ours.items())


def about(model: Model, questions: Sequence[Example]) -> dict[str, object]:
    """Return what was measured, and where."""
    shown = [image for question in questions for image in images_of(question)]
    return {
        "machine": {"cpu": platform.processor() or platform.machine(), "cores_count": os.cpu_count()},
        "threads_count": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": str(model.device),
        "precision": str(model.precision).removeprefix("torch."),
        "model": type(model.network).__name__,
        "parameters_count": sum(weight.numel() for weight in model.network.parameters()),
        "questions_count": len(questions),
        "images_shown_count": len(shown),
        "images_distinct_count": len(set(shown)),
        "reply_tokens": REPLY_TOKENS,
    }


def result_of(said: argparse.Namespace, model: Model, folder: Path) -> dict[str, object]:
    """Return all numbers, and what was measured."""
    questions = read_questions(said.data) if said.data else draw_questions(folder / "drawn", said.stories)
    found = ways(model)
    told: object = "not measured: say --peer lmms-eval"
    with ExitStack() as stack:
        if said.peer or said.peer_python:
            try:
                peer = _peer(said, model, questions, folder, stack)
                found[PEER] = peer.ask
                told = peer.about
            except RunError as error:
                sys.stderr.write(f"lmms-eval is not measured: {error}\n")
                told = f"not measured: {error}"
        numbers = measure_ways(found, questions, repeats=said.repeats)
    return {**about(model, questions), PEER: told, **numbers}


def _peer(said: argparse.Namespace, model: Model, questions: Sequence[Example], folder: Path, stack: ExitStack) -> Peer:
    python = said.peer_python or make_environment()
    opened = open_peer(model, said.model, python=python, questions=questions, tokens=REPLY_TOKENS, folder=folder)
    return stack.enter_context(opened)


def main() -> None:
    """Measure what the command line asks for and write it as JSON."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--model", default="runs/demo/model", help="a folder or a hub id")
    options.add_argument("--device", default="auto", help="where the model is (%(default)s)")
    options.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"], help="(%(default)s)")
    options.add_argument("--data", metavar="FORMAT:PATH", help="conversations instead of drawn ones")
    options.add_argument("--stories", type=int, default=60, help="conversations that are drawn")
    options.add_argument("--repeats", type=int, default=3, help="of each timing; the median counts")
    options.add_argument("--peer", choices=["lmms-eval"], help="measured too; installed the first time")
    options.add_argument("--peer-python", type=Path, metavar="PATH", help="a Python that has it already")
    options.add_argument("--out", type=Path, help="a file for the JSON, instead of stdout")
    said = options.parse_args()
    try:
        model = open_to_answer(said.model, device=said.device, precision=said.precision)
    except TriptychError as error:
        sys.stderr.write(f"skipped: {error} `make demo` makes runs/demo/model.\n")
        sys.exit(3)
    with tempfile.TemporaryDirectory(prefix="triptych-benchmark-") as folder:
        try:
            result = result_of(said, model, Path(folder))
        except TriptychError as error:
            sys.stderr.write(f"error: {error}\n")
            sys.exit(2)
    text = json.dumps(result, indent=2) + "\n"
    if said.out is None:
        sys.stdout.write(text)
    else:
        said.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
