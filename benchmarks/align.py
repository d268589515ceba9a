"""Closed-form alignment against stage 1 by gradient, at equal wall time: one JSON object, and a table on stderr.

    python benchmarks/align.py --out result.json
    python benchmarks/align.py --pictures 2 --times 1 2 --rates 1e-3      smaller

The embedded tower and language model (``starter:``), a new linear projector between them, and drawn pictures of one
thing each with its name as the caption. Both ways see the same pictures through the same frozen tower; encoding them is
part of both ways' time, as both need it. ``closed_form`` solves one ridge regression. ``gradient`` does what stage 1 of
LLaVA does: AdamW on the loss of the caption's tokens, projector alone, the rate falling to zero over its time. It is
given as much time as the closed form took in all, and multiples of it.

Held out are pictures of things whose other pictures were learnt from, and things of which nothing was. Three numbers:
how often the name nearest to what the projector gives is the right one of all names (which the closed form aims at, and
the gradient does not), the loss of the caption in nats a token (the other way round), and how often the language model,
asked token by token, says exactly the caption.

Shapes: N pictures, P feature positions an image, C channels of the tower, H hidden size, M names.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.optim import AdamW
from train import machine

from triptych.core.errors import TriptychError
from triptych.core.records import Example, ImageRef, images_of, text_of
from triptych.data.batch import Batch, collate
from triptych.data.plan.rendering import encode
from triptych.data.template import Encoded
from triptych.models.align import fit, target_embedding
from triptych.models.family import Model, PartsPlan, Seen, assemble
from triptych.models.vision.features import FeatureStore
from triptych.starter.storyboard import Sizes, draw_storyboard
from triptych.train.loss import select_supervised, supervised_loss

SEED = 3
RIDGE = 0.01
BATCH = 64
"""Captions of a step."""
WARMUP = 0.05
"""Share of the time over which the rate rises."""
UNSEEN_SHARE = 8
"""Of so many things one is never learnt from."""


@dataclass(frozen=True, slots=True)
class Captioned:
    """A picture, its name, and both as tokens."""

    image: ImageRef
    name: str
    encoded: Encoded


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What both ways are given."""

    model: Model
    features: Mapping[ImageRef, Seen]
    names: Mapping[str, Tensor]
    """Name -> the mean embedding [H] of its tokens."""
    learnt: Sequence[Captioned]
    held_out: Mapping[str, Sequence[Captioned]]
    """``pictures``: of learnt things; ``things``: never learnt."""


def prepare(folder: Path, *, pictures: int) -> tuple[Task, float]:
    """Return the task, and the seconds that the tower took."""
    plan = PartsPlan(
        vision="starter:efficientnet-lite0",
        language="starter:smollm2-135m-instruct",
        projector="linear",
        image_tokens=1,
        template="chatml",
        seed=SEED,
    )
    model = assemble("llava", plan)
    model.network.requires_grad_(False)
    drawn = draw_storyboard(folder, seed=SEED, sizes=Sizes(portraits=pictures + 1, tune=0, held_in=0, held_out=0))
    captions = [captioned(model, row) for row in drawn["align"]]
    begin = time.perf_counter()
    images = [caption.image for caption in captions]
    seen = FeatureStore(model, folder / "features").features(images)
    encode_s = time.perf_counter() - begin
    names = list(dict.fromkeys(caption.name for caption in captions))
    unseen = set(Random(SEED).sample(names, len(names) // UNSEEN_SHARE))
    kept = [caption for caption in captions if caption.name not in unseen]
    held = {
        "pictures": [caption for number, caption in enumerate(kept) if number % (pictures + 1) == pictures],
        "things": [caption for caption in captions if caption.name in unseen],
    }
    learnt = [caption for number, caption in enumerate(kept) if number % (pictures + 1) < pictures]
    embeddings = {name: target_embedding(model, name) for name in names}
    return Task(model, dict(zip(images, seen, strict=True)), embeddings, learnt, held), encode_s


def captioned(model: Model, row: Example) -> Captioned:
    """Return a row's picture, name and tokens."""
    rendered = encode(row, model.rendering)
    assert isinstance(rendered, Encoded), rendered
    return Captioned(images_of(row)[0], text_of(row.turns[-1]), rendered)


def solve(task: Task) -> float:
    """Align by the ridge regression; return the seconds it took."""
    begin = time.perf_counter()

    def chunks() -> Iterator[tuple[Tensor, Tensor]]:
        left = iter(task.learnt)
        while chunk := list(islice(left, BATCH)):
            features_NPC = torch.stack([task.features[caption.image].values for caption in chunk])
            yield features_NPC, torch.stack([target_embedding(task.model, caption.name) for caption in chunk])

    fit(task.model, chunks(), ridge=RIDGE)
    return time.perf_counter() - begin


def descend(task: Task, *, rate: float, seconds: float) -> int:
    """Learn by gradient for so many seconds; return the steps."""
    weights = list(task.model.parts()["projector"].parameters())
    for weight in weights:
        weight.requires_grad_(True)
    optimizer, random = AdamW(weights, lr=rate, weight_decay=0.0, fused=True), Random(SEED)
    begin, steps = time.perf_counter(), 0
    while (share := (time.perf_counter() - begin) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(share / WARMUP, 1 - share) if steps else rate * 0.01
        batch = batch_of(random.sample(list(task.learnt), min(BATCH, len(task.learnt))))
        optimizer.zero_grad(set_to_none=True)
        hidden_BTH = task.model.hidden(woven(task, batch))
        supervised_loss(task.model, hidden_BTH, labels_BT=batch.labels_BT, step_tokens=batch.trained_tokens).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        steps += 1
    for weight in weights:
        weight.requires_grad_(False)
    return steps


def woven(task: Task, batch: Batch) -> object:
    """Return a batch with its pictures in place."""
    return task.model.weave(batch, [task.features[image] for image in batch.images])


def batch_of(captions: Sequence[Captioned]) -> Batch:
    """Return captions as one pack."""
    return collate([[caption.encoded for caption in captions]], pad_id=0)


@torch.no_grad()
def quality(task: Task, captions: Sequence[Captioned]) -> dict[str, float]:
    """Return what a projector is worth on captions."""
    names = list(task.names)
    table_MH = torch.stack([task.names[name] for name in names])
    mean_H = table_MH.mean(dim=0)
    directions_MH = normalize(table_MH - mean_H, dim=-1)
    near = said = 0
    nats = tokens = 0.0
    left = iter(captions)
    while chunk := list(islice(left, BATCH)):
        batch = batch_of(chunk)
        projected = task.model.project([task.features[caption.image] for caption in chunk])
        tokens_NH = torch.stack([each.mean(dim=0) for each in projected])
        found_N = (normalize(tokens_NH - mean_H, dim=-1) @ directions_MH.T).argmax(dim=-1)
        near += sum(names[found] == caption.name for found, caption in zip(found_N.tolist(), chunk, strict=True))
        hidden_BTH = task.model.hidden(woven(task, batch))
        supervised = select_supervised(hidden_BTH, batch.labels_BT)
        logits_NV = task.model.head(supervised.hidden_NH)
        nats += float(torch.nn.functional.cross_entropy(logits_NV, supervised.targets_N, reduction="sum"))
        tokens += len(supervised.targets_N)
        said += exact(batch, logits_NV.argmax(dim=-1) == supervised.targets_N)
    return {
        "nearest_name_accuracy": round(near / len(captions), 4),
        "caption_loss_nats": round(nats / tokens, 4),
        "says_caption_share": round(said / len(captions), 4),
    }


def exact(batch: Batch, right_N: Tensor) -> int:
    """Return of how many conversations every trained token is the likeliest."""
    learnt_T = batch.labels_BT[0, 1:] != -100
    conversation_N = batch.segments_BT[0, 1:][learnt_T]
    wrong = set(conversation_N[~right_N].tolist())
    return len(set(conversation_N.tolist()) - wrong)


def measure(folder: Path, *, pictures: int, times: Sequence[float], rates: Sequence[float]) -> dict[str, object]:
    """Return the numbers of all ways."""
    task, encode_s = prepare(folder, pictures=pictures)
    projector = task.model.parts()["projector"]
    fresh = copy.deepcopy(projector.state_dict())

    def row(way: str, seconds: float, **more: object) -> dict[str, object]:
        found = {held: quality(task, captions) for held, captions in task.held_out.items()}
        sys.stderr.write(f"  {way}, {seconds:.1f} s: {json.dumps(found)}\n")
        return {"way": way, "wall_s": round(seconds, 2), **more, **found}

    rows = [row("untrained", 0.0)]
    solve_s = solve(task)
    total_s = encode_s + solve_s
    rows.append(row("closed_form", total_s))
    for multiple in times:
        for rate in rates:
            projector.load_state_dict(fresh)
            steps = descend(task, rate=rate, seconds=total_s * multiple - encode_s)
            rows.append(row("gradient", total_s * multiple, times_closed_form=multiple, rate=rate, steps=steps))
    return {
        "names_count": len(task.names),
        "learnt_pictures_count": len(task.learnt),
        "held_out_count": {held: len(captions) for held, captions in task.held_out.items()},
        "encode_s": round(encode_s, 2),
        "solve_s": round(solve_s, 2),
        "batch": BATCH,
        "rows": rows,
    }


def main() -> None:
    """Measure and write JSON."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--pictures", type=int, default=4, help="of each thing that are learnt from")
    options.add_argument("--times", type=float, nargs="+", default=[1, 5], help="the gradient's, in closed forms")
    options.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3, 1e-2], help="of AdamW")
    options.add_argument("--out", type=Path, help="a file for the JSON, instead of stdout")
    said = options.parse_args()
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory(prefix="triptych-benchmark-") as folder:
        try:
            numbers = measure(Path(folder), pictures=said.pictures, times=said.times, rates=said.rates)
        except TriptychError as error:
            sys.stderr.write(f"skipped: {error}\n")
            sys.exit(3)
    text = json.dumps({"machine": machine(), "threads_count": torch.get_num_threads(), **numbers}, indent=2) + "\n"
    if said.out is None:
        sys.stdout.write(text)
    else:
        said.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
