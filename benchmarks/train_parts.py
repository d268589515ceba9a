"""What Triptych saves and where its time goes: three sections of ``train.py`` that need no other trainer.

``memory``: peak memory of head and loss, head at supervised positions against logits of every position. ``encoders``:
how many pictures go through the tower. ``profile``: the operations of a step, by kind.

Shapes: B rows, T tokens a row, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import torch
import yaml
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiled
from train_setup import read_rows, write_rows
from train_speed import Case
from train_triptych import recipe_of

from triptych.core.config import parse_config
from triptych.core.records import Example, ImageRef, Turn, images_of
from triptych.data.batch import IGNORE
from triptych.models.family import Model, open_model
from triptych.train.loss import supervised_loss
from triptych.train.measuring.meters import StepReport
from triptych.train.recipe import Recipe
from triptych.train.trainer import Hooks, train

IMAGE_TOKENS = (64, 576, 729)
"""What an image costs: here, in LLaVA-1.5 and Mantis-CLIP, and in Mantis-SigLIP and LLaVA-NeXT-Interleave."""
SAMPLED = 6
"""Conversations whose loss is measured."""
ENCODED_ROWS = 20
KINDS: Mapping[str, tuple[str, ...]] = {
    "attention": ("scaled_dot_product",),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::matmul", "aten::linear", "mkldnn", "onednn"),
    "optimizer": ("fused_adam", "foreach", "clip", "linalg_vector_norm"),
    "loss": ("log_softmax", "nll_loss", "cross_entropy"),
}


class EnoughError(Exception):
    """Ends a run that was only measured."""


def memory(folder: Path, rows: Path, lengths: Sequence[tuple[int, int]]) -> dict[str, object]:
    """Return the peak memory of head and loss, forward and backward, of one conversation at a time."""
    model = open_model(folder)
    model.network.requires_grad_(True)
    examples = read_rows(f"messages:{rows}", len(lengths))
    chosen = range(0, len(lengths), max(1, len(lengths) // SAMPLED))
    found: dict[str, object] = {"conversations": len(chosen), "float32": True}
    own = IMAGE_TOKENS[0]
    for tokens in IMAGE_TOKENS:
        ours, full = [], []
        for row in chosen:
            length, trained = lengths[row]
            length += (tokens - own) * len(images_of(examples[row]))
            labels_BT = torch.full((1, length), IGNORE)
            labels_BT[0, -trained:] = torch.arange(trained)
            ours.append(peak_bytes(model, labels_BT, supervised_loss))
            full.append(peak_bytes(model, labels_BT, full_loss))
        found[f"image_tokens_{tokens}"] = {
            "supervised_mib": round(median(ours) / 2**20, 1),
            "full_logits_mib": round(median(full) / 2**20, 1),
            "share": round(median(mine / theirs for mine, theirs in zip(ours, full, strict=True)), 3),
        }
    return found


def full_loss(model: Model, hidden_BTH: Tensor, *, labels_BT: Tensor, step_tokens: int) -> Tensor:
    """Return the same loss as ``supervised_loss`` from logits of every position, as transformers computes it."""
    logits_BTV = model.head(hidden_BTH).float()
    shifted_BT = nn.functional.pad(labels_BT, (0, 1), value=IGNORE)[:, 1:]
    total = cross_entropy(logits_BTV.flatten(0, 1), shifted_BT.flatten(), ignore_index=IGNORE, reduction="sum")
    return total / step_tokens


def peak_bytes(model: Model, labels_BT: Tensor, loss_of: Callable[..., Tensor]) -> int:
    """Return what a loss and its gradient hold at most, beside its inputs and the gradient of the head's weights."""
    head = model.network.get_output_embeddings().weight
    head.grad = torch.zeros_like(head)  # there from the micro-batch before, mostly
    width = head.shape[1]
    hidden_BTH = torch.randn(*labels_BT.shape, width, requires_grad=True)
    hidden_BTH.grad = torch.zeros_like(hidden_BTH)
    with profiled(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        loss_of(model, hidden_BTH, labels_BT=labels_BT, step_tokens=int((labels_BT != IGNORE).sum())).backward()
    held = most = 0
    assert seen.profiler is not None
    for event in sorted(seen.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most - head.numel() * head.element_size()


def encoders(rows: Path, folder: Path) -> dict[str, object]:
    """Count the pictures that go through the tower of a toy model, frozen and trained, in two epochs.

    Each conversation shows its first picture once more in its last question, as real ones about several pictures do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    again = [shown_again(row) for row in read_rows(f"messages:{rows}", ENCODED_ROWS)]
    path = write_rows(again, folder / "again.jsonl")
    numbers: dict[str, object] = {
        "conversations": len(again),
        "shown_per_epoch": sum(len(images_of(row)) for row in again),
        "distinct_per_conversation_per_epoch": sum(len(set(images_of(row))) for row in again),
    }
    for plan in ("frozen", "full"):
        first, second = encoded_per_epoch(path, folder / plan, plan)
        name = "frozen" if plan == "frozen" else "trained"
        numbers |= {f"{name}_tower_encoded_in_epoch_1": first, f"{name}_tower_encoded_in_epoch_2": second}
    return numbers


def shown_again(row: Example) -> Example:
    """Return the beginning of a conversation that ends with a question about its first picture."""
    first = images_of(row)[0]
    turns = list(row.turns[:4])
    last = max(number for number, turn in enumerate(turns) if turn.role == "user")
    turns[last] = Turn("user", (ImageRef(first.source), *turns[last].parts))
    return Example(row.id, tuple(turns))


def encoded_per_epoch(rows: Path, run: Path, plan: str) -> tuple[int, int]:
    """Return how many pictures the tower saw in the first and in the second epoch of a toy run."""
    vision = {"train": "frozen"} if plan == "frozen" else {"train": "full", "rate": 1e-4}
    stage = {
        "name": "tune",
        "kind": "tune",
        "data": [{"source": f"messages:{rows}"}],
        "length": "2 epochs",
        "pack_tokens": 4096,
        "step_tokens": 4096,
        "parts": {"vision": vision, "projector": {"train": "full", "rate": 1e-4}},
    }
    model = {"family": "tiny", "parts": {"vision": "vit", "language": "llama"}}
    recipe = parse_config(
        yaml.safe_dump({"name": "encoders", "model": model, "stages": [stage]}), model=Recipe, file=__file__
    )
    seen: Counter[int] = Counter()
    epoch_of_step: list[int] = []

    def after_step(report: StepReport) -> None:
        epoch_of_step.append(report.epoch)

    def saw(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        if type(module).__name__ == "CLIPVisionModel" and run.joinpath("recipe.yaml").is_file():
            pixels_NCHW = args[0] if args else kwargs["pixel_values"]
            # Not the grey pictures by which an opened model learns its tower's shapes.
            seen[len(epoch_of_step)] += int((pixels_NCHW.flatten(1).std(dim=1) > 0).sum())

    with forward_hook(saw):
        train(recipe, run=run, hooks=Hooks(after_step=after_step))
    # What is seen while step n is under way belongs to its epoch; what is seen when all is done is the saving's.
    sums = [sum(seen[step] for step, epoch in enumerate(epoch_of_step) if epoch == wanted) for wanted in (0, 1)]
    return sums[0], sums[1]


@contextmanager
def forward_hook(saw: Callable[[nn.Module, tuple[Tensor, ...], dict[str, Tensor]], None]) -> Iterator[None]:
    """Call a function before any module's forward while the block runs."""
    inner = nn.Module.__call__

    def calling(module: nn.Module, *args: Tensor, **kwargs: Tensor) -> object:
        saw(module, args, kwargs)
        return inner(module, *args, **kwargs)

    nn.Module.__call__ = calling  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.__call__ = inner  # type: ignore[method-assign]


def profile(case: Case, *, steps: int) -> dict[str, object]:
    """Return the seconds of a step by kind of operation, of as many steps after the first."""
    settings = {
        "model": str(case.model),
        "rows": str(case.rows),
        "rank": case.rank,
        "steps": steps + 2,
        "rate": 2e-5,
        "seed": case.seed,
        "workers": 0,
        "precision": case.precision,
        "pack_tokens": case.pack_tokens,
        "step_tokens": case.packs * case.pack_tokens,
    }
    torch.set_num_threads(case.threads)
    seen = profiled(activities=[ProfilerActivity.CPU], record_shapes=True)
    done: list[StepReport] = []

    def after_step(report: StepReport) -> None:
        done.append(report)
        if len(done) == 1:
            seen.start()
        elif len(done) == steps + 1:
            seen.stop()
            raise EnoughError

    with suppress(EnoughError):
        train(recipe_of(settings), run=case.folder / "profile", hooks=Hooks(after_step=after_step))
    return by_kind(seen, done[1:])


def by_kind(seen: profiled, reports: Sequence[StepReport]) -> dict[str, object]:
    """Return seconds a step of each kind of operation; the head's products are those with the vocabulary in them."""
    seconds: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for event in seen.key_averages(group_by_input_shape=True):
        spent = event.self_cpu_time_total / 1e6 / len(reports)
        widths = {edge for shape in event.input_shapes or [] if isinstance(shape, list) for edge in shape}
        kind = next((kind for kind, parts in KINDS.items() if any(part in event.key for part in parts)), "other")
        if kind == "matrix products" and any(isinstance(edge, int) and edge > 20_000 for edge in widths):
            kind = "head"
        seconds[kind] += spent
        if kind == "other":
            names[event.key] += spent
    wall = sum(report.wall_s for report in reports) / len(reports)
    return {
        "steps": len(reports),
        "step_s": round(wall, 2),
        "tokens_per_step": round(sum(report.tokens for report in reports) / len(reports)),
        "seconds_by_kind": {kind: round(spent, 3) for kind, spent in seconds.most_common()},
        "largest_other": {name: round(spent, 3) for name, spent in names.most_common(12)},
    }
