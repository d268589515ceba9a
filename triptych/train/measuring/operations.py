"""Floating-point operations of a step, counted from the live model's matrices: the numerator of MFU.

Not a measurement of speed, and not the planner's estimate from shapes (``estimate.py``). The rule is in
``arithmetic.py``. The head counts only where there is supervision, tower and projector for each image, the tower not
where its features are kept. What ``checkpoint_activations`` computes again does not count, nor does padding (model
operations, as in PaLM, arXiv:2204.02311, appendix B). Norms, activations, softmax and the optimizer are left out.

Shapes: B rows, T tokens a row (of ``Batch``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from triptych.data.batch import PADDING, Batch
from triptych.models.family import Model
from triptych.models.memory.quantise import count_weights
from triptych.train.measuring.arithmetic import attention_operations, matrix_operations
from triptych.train.parallel.shards import blocks_of

USUAL_PX = (640, 480)
"""Size of the image at which tower and projector are counted; others count by the positions that they take."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What goes through the network in a step."""

    positions: int = 0
    """Without padding."""
    pairs: int = 0
    """Pairs of positions within a conversation: each with itself and every one before it."""
    image_positions: int = 0
    """Positions of distinct images of a micro-batch, with the family's marks between."""
    supervised: int = 0
    """Positions at which the language model's head runs."""

    def __add__(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(
            self.positions + other.positions,
            self.pairs + other.pairs,
            self.image_positions + other.image_positions,
            self.supervised + other.supervised,
        )


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations forth and back, for one of each of `Counts`."""

    position: float
    pair: float
    image_position: float
    supervised: float

    def of(self, counts: Counts) -> float:
        """Return the operations of a step."""
        return (
            self.position * counts.positions
            + self.pair * counts.pairs
            + self.image_position * counts.image_positions
            + self.supervised * counts.supervised
        )


@dataclass(frozen=True, slots=True)
class ImageOperations:
    """Operations of one image forth, as counted while it went through."""

    tower: float
    projector: float
    span: int
    """Positions that it takes."""


def counts_of(batches: Sequence[Batch]) -> Counts:
    """Return what goes through the network with these micro-batches."""
    total = Counts()
    for batch in batches:
        spans = {slot.image: slot.stop - slot.start for slot in batch.slots}
        pairs = int((batch.positions_BT + 1)[batch.segments_BT != PADDING].sum())
        total += Counts(batch.tokens, pairs, sum(spans.values()), batch.trained_tokens)
    return total


def count_image(model: Model) -> ImageOperations:
    """Return the operations of a grey image of a usual size. Changes nothing; before weights are shared out."""
    picture = model.pixels_in(Image.new("RGB", USUAL_PX, (128, 128, 128)), model.cost.span(USUAL_PX))
    with torch.no_grad():
        with FlopCounterMode(display=False) as tower:
            features = model.encode([picture])
        with FlopCounterMode(display=False) as projector:
            model.project(features)
    return ImageOperations(tower.get_total_flops(), projector.get_total_flops(), model.cost.span(USUAL_PX))


def operations_of(model: Model, sight: ImageOperations, *, features_kept: bool) -> Operations:
    """Return the operations of a model whose parts are frozen, free or adapted as a stage wants them.

    Args:
        model: released; its weights may be shared out.
        sight: of an image, of the same model.
        features_kept: whether the tower's work is done before the first step.
    """
    parts, blocks = model.parts_and_head(), blocks_of(model.body)
    inside = {id(weight) for block in blocks for weight in block.parameters()}
    before = [parts["vision"], parts["projector"], model.network.get_input_embeddings()]
    passing = any(w.requires_grad and id(w) not in inside for module in before for w in module.parameters())
    width, position, pair = _attention_width(model), 0.0, 0.0
    for block in blocks:
        passing = passing or _moves(block)
        pair += attention_operations(width, back=passing)
        position += sum(_linear(each, passing=passing) for each in block.modules() if isinstance(each, nn.Linear))
    head = model.network.get_output_embeddings() if model.score_head is None else None
    vision, projector = parts["vision"], parts["projector"]
    seen = 0.0 if features_kept else sight.tower * (1 + _moves(vision) + _share(vision))
    joined = sight.projector * (1 + _moves(vision) + _share(projector))
    supervised = _linear(head, passing=passing) if isinstance(head, nn.Linear) else 0.0
    return Operations(position, pair, (seen + joined) / sight.span, supervised)


def weights_in(module: nn.Module) -> tuple[int, int]:
    """Return (all weights, those that move) of a part; weights in 4 bits count as such, adapters only where they move.

    Args:
        module: a part, as a stage released it.
    """
    weights = dict.fromkeys(module.parameters())
    moved = sum(weight.numel() for weight in weights if weight.requires_grad)
    adapters = {weight for name, weight in module.named_parameters() if "lora_" in name}
    return sum(count_weights(each) for each in weights if each not in adapters), moved


def _linear(layer: nn.Linear, *, passing: bool) -> float:
    return matrix_operations(layer.in_features * layer.out_features, back=passing, moves=layer.weight.requires_grad)


def _moves(module: nn.Module) -> bool:
    return any(weight.requires_grad for weight in module.parameters())


def _share(module: nn.Module) -> float:
    """Return the share of a module's weights that move."""
    every = sum(map(count_weights, module.parameters()))
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad) / every if every else 0.0


def _attention_width(model: Model) -> int:
    """Return heads times their width."""
    text = model.network.config.get_text_config()
    heads, width = getattr(text, "num_attention_heads", None), getattr(text, "head_dim", None)
    return int(heads * width if isinstance(heads, int) and isinstance(width, int) else text.hidden_size)
