"""What a stage will take: memory of a GPU and time, from shapes alone, before anything is downloaded.

Not a measurement. Each number is a count of what the loop keeps (``tune.py``, ``parallel/``), with the assumptions in
`Assumed` where a count would need the data. How near it comes is in docs/planning.md and benchmarks/plan.py.

All weights are held in float32, moving or not; under ``precision: bfloat16`` matrices are multiplied in bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass

from triptych.core.log import counted
from triptych.core.machine import GIB
from triptych.train.forecast.shapes import BLOCK, HEAD, MODULES, TABLE, Shape, Stack
from triptych.train.measuring.arithmetic import attention_operations, matrix_operations
from triptych.train.objective import Reply
from triptych.train.recipe import Frozen, Full, Lora, Tune

FLOAT, HALF = 4, 2
"""Bytes of a number."""
FOUR_BITS = 0.53
"""Bytes of a weight in nf4 with its scales, doubly quantised."""
ADAM = 2 * FLOAT
HEAD_POSITIONS = 2048
"""Positions that go through the head at once on a GPU: ``POSITIONS`` of ``train/loss.py``, which would load torch."""
KEPT_HIDDEN, KEPT_INNER = 8.0, 4.0
"""Numbers that a block keeps for the way back, for each position: times its width, and times its inner width. Counted
in Llama's block: both norms' inputs and outputs, query, key and value turned, what attention gives, both sums; gate,
its activation, up, and their product."""
NOT_KEPT = 0.35
"""Share of them that a frozen block does not keep: what goes into its matrices alone. Adapters keep it: it is what goes
into them too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What shapes do not tell."""

    mfu: float = 0.4
    """Share of the GPU's operations that are the model's."""
    image_share: float = 0.6
    """Share of the positions that images take."""
    supervised_share: float = 0.1
    """Share of the positions that are learnt, where the head runs."""
    reserve_gib: float = 1.5
    """What CUDA, its libraries and unused gaps between tensors take."""
    conversation_tokens: int = 2000
    """Positions of a conversation: who sees whom in attention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on one GPU, at the worst moment of a step."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    """Activations of the blocks, kept for the backward pass."""
    logits: float
    """Logits at as many supervised positions as the head takes at once, with their gradient, and the gradient of the
    head's matrix on its way to the others."""
    images: float
    """Pixels and features, and what a tower that moves keeps."""
    gathered: float
    """Whole layers while they work, under fsdp; in bfloat16 also their copies."""
    reserve: float

    @property
    def total(self) -> float:
        """The sum."""
        kept = self.weights + self.gradients + self.optimizer + self.activations
        return kept + self.logits + self.images + self.gathered + self.reserve


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOperations:
    """Operations of a step over all GPUs."""

    language: float
    attention: float
    vision: float
    head: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.language + self.attention + self.vision + self.head


def packs_of(stage: Tune) -> int:
    """Return how many packs a step has; they are dealt whole (``data/plan/balance.py``)."""
    return stage.step_tokens // stage.pack_tokens


def most_packs(stage: Tune, gpus: int) -> int:
    """Return how many packs of a step the GPU has that has most: a step lasts as long as it works."""
    return -(-packs_of(stage) // gpus)


def waiting_gpus(stage: Tune, gpus: int) -> int:
    """Return how many GPUs have a pack less than others in each step, or none at all."""
    return -packs_of(stage) % gpus


def waiting_for_packs(stage: Tune, gpus: int, *, of: str) -> str | None:
    """Return what to tell where some wait for want of packs; None: all have as many.

    Args:
        stage: resolved.
        gpus: among how many a step is dealt.
        of: what these are called.
    """
    if not (waiting := waiting_gpus(stage, gpus)):
        return None
    have = "none" if packs_of(stage) < gpus else "one less than the others"
    packs = f"{counted(packs_of(stage), 'pack')} a step: {waiting} of {gpus} {of} have {have} and wait"
    return f"{packs}; raise step_tokens or lower pack_tokens"


def memory_of(stage: Tune, shape: Shape, *, gpus: int, parallel: str, assumed: Assumed) -> Memory:
    """Return what one of ``gpus`` holds.

    Args:
        stage: resolved.
        shape: of the model.
        gpus: how many share the work, as ``parallel`` says.
        parallel: none, ddp or fsdp.
        assumed: the rest.
    """
    shares = gpus if parallel == "fsdp" else 1
    plans = dict(stage.parts.items())
    size = HALF if stage.precision == "bfloat16" else FLOAT
    moving = {part: moving_weights(plans[part], part, shape=shape) for part in shape.part_weights}
    halved = stage.precision == "bfloat16" and parallel != "fsdp"
    held = sum(_held(plans[part], part, shape, shares, halved=halved) for part in shape.part_weights)
    adapters = sum(moving[part] for part, plan in plans.items() if isinstance(plan, Lora))
    moved = sum(moving.values())
    tokens = min(stage.forward_tokens or stage.step_tokens, most_packs(stage, gpus) * stage.pack_tokens)
    gathered = _gathered(stage, shape, parallel=parallel, moving=moving)
    images = tokens * assumed.image_share / shape.image_tokens
    supervised = tokens * (assumed.supervised_share if isinstance(stage.objective, Reply) else 0)
    return Memory(
        weights=held + adapters * FLOAT / shares,
        gradients=moved * FLOAT / shares,
        optimizer=moved * ADAM / shares,
        activations=_activations(stage, shape, tokens=tokens, size=size),
        logits=_head_bytes(stage, shape, positions=min(supervised, HEAD_POSITIONS)),
        images=_image_bytes(stage, shape, images=images, size=size),
        gathered=gathered,
        reserve=assumed.reserve_gib * GIB,
    )


def work_of(stage: Tune, shape: Shape, *, tokens: float, assumed: Assumed) -> StepOperations:
    """Return the operations of so many positions: two for a weight forth, two each for the ways back that are needed.

    Args:
        stage: resolved.
        shape: of the model.
        tokens: without padding.
        assumed: the rest.
    """
    plans = dict(stage.parts.items())
    language, body = plans["language"], shape.language
    again = 2 if stage.checkpoint_activations else 0
    # Back to the inputs wherever something before or in the blocks moves; back to the weights that move themselves.
    matrices = moving_matrices(language, "language")
    kept = matrix_operations(1, back=True, moves=False)
    passes = kept + body.block_share(matrices) * (matrix_operations(1, back=True, moves=True) - kept) + again
    blocks = body.layers * body.block_weights + shape.cross_attention
    length = min(assumed.conversation_tokens, stage.pack_tokens)
    # Half of the square is masked away; scores and their use, forth and back.
    attention = body.layers * length / 2 * (attention_operations(body.hidden, back=True) + 2 * body.hidden * again)
    images = tokens * assumed.image_share / shape.image_tokens
    vision = plans["vision"]
    sees = 2 if isinstance(vision, Frozen) else 6 if isinstance(vision, Full) else 4
    seen = shape.vision.weights * shape.patches if shape.vision is not None else 0
    projected = 2 if isinstance(plans["projector"], Frozen) else 6
    supervised = assumed.supervised_share if isinstance(stage.objective, Reply) else 0
    heads = matrix_operations(1, back=True, moves=body.head_in(matrices))
    return StepOperations(
        language=tokens * passes * blocks,
        attention=tokens * attention,
        vision=images * (sees * seen + projected * shape.projector_weights * shape.image_tokens),
        head=tokens * supervised * heads * body.table_weights,
    )


def moving_weights(plan: Frozen | Full | Lora, part: str, *, shape: Shape) -> int:
    """Return how many weights of a part move."""
    if isinstance(plan, Frozen):
        return 0
    stack = {"vision": shape.vision, "language": shape.language}.get(part)
    if isinstance(plan, Full):
        if not plan.only or stack is None or not_told(plan, part):
            return shape.part_weights[part]
        return stack.weights_in(moving_matrices(plan, part))
    if stack is None:
        return 4 * plan.rank * shape.language.hidden
    layers = max(0, stack.layers - plan.from_layer)
    return layers * _adapter_weights(plan, stack)


def moving_matrices(plan: Frozen | Full | Lora, part: str) -> frozenset[str]:
    """Return which matrices of a part's blocks, table and head move themselves; all where shapes do not tell."""
    if not isinstance(plan, Full):
        return frozenset()
    if not plan.only or not_told(plan, part):
        return BLOCK | {TABLE, HEAD}
    return frozenset().union(*(MODULES[name] for name in plan.only))


def not_told(plan: Frozen | Full | Lora, part: str) -> tuple[str, ...]:
    """Return which modules that ``only`` names shapes do not tell the weights of: the part is counted as all of it."""
    if not isinstance(plan, Full) or not plan.only:
        return ()
    return tuple(name for name in plan.only if part not in ("vision", "language") or name not in MODULES)


def _adapter_weights(plan: Lora, stack: Stack) -> int:
    """Return the adapter weights of a block: rank times the sides of each matrix, and DoRA's magnitudes."""
    kv = int(stack.hidden * stack.kv_share)
    sides = {
        "q_proj": (stack.hidden, stack.hidden),
        "k_proj": (stack.hidden, kv),
        "v_proj": (stack.hidden, kv),
        "o_proj": (stack.hidden, stack.hidden),
        "up_proj": (stack.hidden, stack.inner),
        "down_proj": (stack.inner, stack.hidden),
    } | ({"gate_proj": (stack.hidden, stack.inner)} if stack.gated else {})
    chosen = [side for name, side in sides.items() if plan.targets == "all-linear" or name in plan.targets]
    # Names of another family than Llama's: taken as all.
    return sum(plan.rank * (wide + high) + (high if plan.decomposed else 0) for wide, high in chosen or sides.values())


def _held(plan: Frozen | Full | Lora, part: str, shape: Shape, shares: int, *, halved: bool) -> float:
    """Return bytes of a part's weights. Halved: frozen matrices of the language model are in 16 bits, which published
    ones fit (``models/memory/half_precision.py``)."""
    weights, table = shape.part_weights[part], shape.language.table_weights
    small = HALF if halved and part == "language" else FLOAT
    if isinstance(plan, Lora) and plan.quantised:
        if part != "language":
            return weights * FOUR_BITS
        head = 0 if shape.language.tied else table
        return (weights - table - head) * FOUR_BITS + table * FLOAT + head * small
    if part == "language":
        # What moves is float32; so is the table.
        matrices = moving_matrices(plan, part) | {TABLE}
        whole = shape.language.weights_in(matrices)
        return ((weights - whole) * small + whole * FLOAT) / shares
    # A frozen tower is not shared out.
    return weights * FLOAT / (1 if part == "vision" and isinstance(plan, Frozen) else shares)


def _head_bytes(stage: Tune, shape: Shape, *, positions: float) -> float:
    """Return bytes of logits and their gradient, and of the matrix's gradient while it is added up (``train/loss.py``).

    Logits and probabilities in float32; or logits and their gradient in bfloat16, and probabilities.
    """
    head = shape.language.head_in(moving_matrices(stage.parts.language, "language"))
    moves = head and isinstance(stage.objective, Reply)
    return positions * shape.language.vocabulary * 2 * FLOAT + moves * shape.language.table_weights * FLOAT


def _gathered(stage: Tune, shape: Shape, *, parallel: str, moving: dict[str, int]) -> float:
    """Return bytes of whole weights and gradients beside the shares, and of copies in bfloat16 of weights that move."""
    body, half = shape.language, stage.precision == "bfloat16"
    tables = body.table_weights * (1 if body.tied else 2)
    moved = body.tables_in(moving_matrices(stage.parts.language, "language")) * body.table_weights
    if parallel == "fsdp":
        size = HALF if half else FLOAT
        # Two blocks at a time; projector, tables and head for the whole step, with their gradients.
        rest = tables + shape.projector_weights + shape.cross_attention
        grown = size * ((moving["projector"] > 0) * shape.projector_weights + moved)
        return 2 * body.block_weights * size * 2 + rest * size + grown
    if not half:
        return 0.0
    # Autocast keeps the copy of a weight that moves until the pass is over.
    return sum(moving.values()) * HALF


def _activations(stage: Tune, shape: Shape, *, tokens: int, size: int) -> float:
    body, plan = shape.language, stage.parts.language
    kept = (KEPT_HIDDEN + 2 * body.kv_share) * body.hidden + KEPT_INNER * body.inner
    # Sums and norms stay float32.
    block = tokens * (kept * size + 4 * body.hidden * (FLOAT - size))
    layers = body.layers
    if isinstance(plan, Frozen):
        block *= 1 - NOT_KEPT
    if isinstance(plan, Lora) and isinstance(stage.parts.projector, Frozen) and isinstance(stage.parts.vision, Frozen):
        layers -= min(layers, plan.from_layer)
    edges = tokens * body.hidden * FLOAT * 3
    if stage.checkpoint_activations:
        return layers * tokens * body.hidden * FLOAT + block + edges
    return layers * block + edges


def _image_bytes(stage: Tune, shape: Shape, *, images: float, size: int) -> float:
    if shape.vision is None:
        return images * shape.image_tokens * 2700 * FLOAT
    tower, plan = shape.vision, stage.parts.vision
    if isinstance(plan, Frozen):
        return 2 * images * shape.feature_numbers * FLOAT
    features = images * shape.patches * tower.hidden * FLOAT
    block = images * shape.patches * (KEPT_HIDDEN * tower.hidden + KEPT_INNER * tower.inner) * size
    if stage.checkpoint_activations:
        return features * (tower.layers + 1) + block
    return tower.layers * block
