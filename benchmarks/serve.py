"""Answering many at once against ``generate`` one by one, measured here and now: one JSON object.

    python benchmarks/serve.py
    python benchmarks/serve.py --model runs/demo/model --concurrent 1 8 64 --tokens 64 --out result.json

The questions are drawn: Storyboard conversations, each with several images in its words. All replies have the same
number of tokens, whatever the model would end them by, so that both ways do the same work:

- ``one_by_one``: every question's images are decoded and encoded, then ``generate`` of transformers on a batch of one.
- ``engine_N``: N requests at once to a fresh engine, no features and no beginnings known to it.

And a conversation on six images, turn by turn: milliseconds from the question, as files and words, to the first token
of its reply. The turns before are said by the model itself. ``turn 5`` of the engine must not pay for the images, nor
for what was said, again; ``generate`` pays for all of it in every turn.

Not a test: nothing fails for being slow. How many replies are the same in both ways is counted, and told: rounding
differs between batches, so a tie may be broken the other way. Where other work shares the machine, rates per second
of processor time (``_per_cpu_s``) say more than the clock's.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
import transformers

from triptych.core.errors import TriptychError
from triptych.core.records import Example, ImageRef, Text, Turn, images_of
from triptych.data.batch import collate
from triptych.data.media.images import load_image, measure
from triptych.data.plan.rendering import prompt_of
from triptych.data.template import stop_id
from triptych.data.text.spelling import decode_words
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Engine, EngineSettings
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, open_model
from triptych.models.memory.placement import computing, device_of, place_to_answer
from triptych.models.vision.features import FeatureStore
from triptych.starter.storyboard import Sizes, draw_storyboard

SEED = 5
TURNS = 5
IMAGES = 6
REPLY_TOKENS = 24
"""Of the turns before, in the conversation."""
NEVER = -1


@dataclass(frozen=True, slots=True)
class Took:
    """What a way took for some questions."""

    replies: tuple[str, ...]
    tokens: int
    s: float
    cpu_s: float


def timed(way: Callable[[], tuple[Sequence[str], int]]) -> Took:
    """Return what a way said, with the seconds it took."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    replies, tokens = way()
    return Took(tuple(replies), tokens, time.perf_counter() - begin, time.process_time() - begin_cpu)


@torch.inference_mode()
def generate(model: Model, question: Example, *, tokens: int) -> str:
    """Return a reply of so many tokens to one question, from its files on, by the network's own ``generate``."""
    encoded = prompt_of(question, model.rendering)
    batch = collate([[encoded]], pad_id=0)
    inputs = model.inputs(batch, [model.pixels(load_image(image)) for image in batch.images])
    with computing(model):
        generated = model.network.generate(  # type: ignore[operator]
            **{name: value.to(model.device) for name, value in inputs.items()},
            do_sample=False,
            max_new_tokens=tokens,
            eos_token_id=NEVER,
            pad_token_id=stop_id(model.template, model.tokenizer),
        )
    return decode_words(generated[0, len(encoded.ids) :].tolist(), model.tokenizer).removeprefix(model.template.lead)


def one_by_one(model: Model, questions: Sequence[Example], *, tokens: int) -> Took:
    """Ask one after the other."""
    return timed(lambda: ([generate(model, each, tokens=tokens) for each in questions], tokens * len(questions)))


def at_once(model: Model, questions: Sequence[Example], *, tokens: int) -> Took:
    """Ask a fresh engine all at once."""
    settings = EngineSettings(rows=len(questions), tokens=1 << 18, queue=len(questions))
    with Engine(model, features=FeatureStore(model), settings=settings) as engine:

        def ask() -> tuple[list[str], int]:
            sampling = Sampling(max_tokens=tokens, ignore_stop=True)
            tickets = [engine.submit(question, sampling) for question in questions]
            replies = [ticket.join() for ticket in tickets]
            return replies, sum(ticket.usage.tokens_out for ticket in tickets)

        return timed(ask)


def measure_rates(
    model: Model, questions: Sequence[Example], *, concurrent: Sequence[int], alone: int, tokens: int, repeats: int
) -> dict[str, object]:
    """Return tokens a second of both ways, in turn in every round."""
    one_by_one(model, questions[:1], tokens=2)  # what is only slow the first time
    at_once(model, questions[:1], tokens=2)
    rounds: dict[str, list[Took]] = {}
    for _ in range(repeats):
        rounds.setdefault("one_by_one", []).append(one_by_one(model, questions[:alone], tokens=tokens))
        for number in concurrent:
            rounds.setdefault(f"engine_{number}", []).append(at_once(model, questions[:number], tokens=tokens))
    found: dict[str, object] = {}
    base = rounds["one_by_one"]
    for name, each in rounds.items():
        for unit in ("s", "cpu_s"):
            rate = median(took.tokens / getattr(took, unit) for took in each)
            found[f"{name}_tokens_per_{unit}"] = round(rate, 2)
            if name != "one_by_one":
                pairs = zip(each, base, strict=True)
                ratios = [(a.tokens / getattr(a, unit)) / (b.tokens / getattr(b, unit)) for a, b in pairs]
                found[f"{name}_ratio_per_{unit}"] = round(median(ratios), 3)
        if name != "one_by_one":
            pairs_said = list(zip(each[-1].replies, base[-1].replies, strict=False))
            found[f"{name}_same_replies_count"] = sum(one == other for one, other in pairs_said)
            found[f"{name}_compared_replies_count"] = len(pairs_said)
    return found


def measure_turns(model: Model, images: Sequence[ImageRef], *, repeats: int) -> dict[str, object]:
    """Return milliseconds to the first token of each turn of a conversation on these images."""
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    prompts: list[int] = []
    cached: list[int] = []
    for _ in range(repeats):
        ours.append([])
        theirs.append([])
        prompts, cached = [], []
        talk = Example("talk", (Turn("user", (*_numbered(images), Text("Tell what happens."))),))
        with Engine(model, features=FeatureStore(model)) as engine:
            for number in range(TURNS):
                begin = time.perf_counter()
                ticket = engine.submit(talk, Sampling(max_tokens=REPLY_TOKENS))
                pieces = iter(ticket)
                said = next(pieces).text
                ours[-1].append((time.perf_counter() - begin) * 1000)
                said += "".join(piece.text for piece in pieces)
                prompts.append(ticket.usage.tokens_in)
                cached.append(ticket.usage.cached_tokens)
                begin = time.perf_counter()
                generate(model, talk, tokens=1)
                theirs[-1].append((time.perf_counter() - begin) * 1000)
                asked = Turn("user", (Text(f"And what of picture {number + 1}?"),))
                talk = replace(talk, turns=(*talk.turns, Turn("assistant", (Text(said),)), asked))
    first, last = 0, TURNS - 1
    return {
        "first_token_engine_ms": [round(median(each), 1) for each in zip(*ours, strict=True)],
        "first_token_generate_ms": [round(median(each), 1) for each in zip(*theirs, strict=True)],
        "first_token_turn_5_to_turn_1_ratio": round(median(each[last] / each[first] for each in ours), 3),
        "first_token_turn_5_generate_to_engine_ratio": round(
            median(them[last] / us[last] for them, us in zip(theirs, ours, strict=True)), 3
        ),
        "prompt_tokens_count": prompts,
        "cached_tokens_count": cached,
    }


def _numbered(images: Sequence[ImageRef]) -> list[Text | ImageRef]:
    return [part for number, image in enumerate(images, start=1) for part in (Text(f"Picture {number}: "), image)]


def draw_questions(folder: Path, count: int) -> tuple[list[Example], list[ImageRef]]:
    """Return the first question of as many drawn conversations, and images for a conversation."""
    rows = draw_storyboard(folder, seed=SEED, sizes=Sizes(portraits=1, tune=count, held_in=1, held_out=1))["tune"]
    found, images = [], []
    for row in rows:
        first = [turn.role for turn in row.turns].index("assistant")
        measured = tuple(
            Turn(turn.role, tuple(measure(part) if isinstance(part, ImageRef) else part for part in turn.parts))
            for turn in row.turns[:first]
        )
        found.append(Example(row.id, measured))
        images += [image for image in images_of(found[-1]) if image not in images]
    return found, images[:IMAGES]


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="toy", help="a folder, a hub id, or toy: random weights (%(default)s)")
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8, 64], help="requests at once (%(default)s)")
    parser.add_argument("--alone", type=int, default=8, help="questions that are asked one by one (%(default)s)")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of every reply (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds; medians are told (%(default)s)")
    parser.add_argument("--device", default="auto", help="where the model is (%(default)s)")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"], help="(%(default)s)")
    parser.add_argument("--out", type=Path, help="write the JSON there too")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()  # of an end of replies that never comes, as it is asked for
    try:
        model = tiny(SEED) if options.model == "toy" else open_model(options.model)
        place_to_answer(model, device=device_of(options.device), precision=options.precision).network.train(False)
        with tempfile.TemporaryDirectory() as folder:
            questions, images = draw_questions(Path(folder), max(*options.concurrent, options.alone))
            numbers = measure_rates(
                model,
                questions,
                concurrent=options.concurrent,
                alone=options.alone,
                tokens=options.tokens,
                repeats=options.repeats,
            )
            numbers |= measure_turns(model, images, repeats=options.repeats)
    except TriptychError as error:
        sys.exit(f"error: {error}")
    result = {
        "model": options.model,
        "device": str(model.device),
        "precision": str(model.precision).removeprefix("torch."),
        "threads_count": torch.get_num_threads(),
        "reply_tokens_count": options.tokens,
        "images_per_question_mean": round(sum(len(images_of(each)) for each in questions) / len(questions), 2),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "machine": platform.machine(),
        **numbers,
    }
    text = json.dumps(result, indent=2)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
