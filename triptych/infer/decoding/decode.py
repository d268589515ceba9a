"""Decoding with a key-value cache, step by step, in a batch whose rows leave when they have finished.

Greedy unless somebody else chooses the tokens (``sampling``); no beams. An own loop, as ``network.generate`` computes
finished rows to the end and can be read token by token only through a second thread. The first pass computes the head
at the last position only.

Rows that begin alike may share that beginning (``SharedPrefix``): of a group of rows each different token is computed
once, in one row where it attends to what stands before it in its own prompt and to nothing else. Keys and values are
then copied to where each row has them, and all rows take their last token in one step. From there on the cache is what
it is unshared: padding on the left, then a prompt without a gap.

Shapes: B rows, T positions so far, A axes of positions, H hidden size, V vocabulary, G groups, N different tokens of a
group, C columns of the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from triptych.data.batch import IGNORE, PADDING, Batch
from triptych.infer.decoding.kv_cache import holds_all, preallocate
from triptych.models.attention.lengths import batchable_length, forget_lengths, reach_of
from triptych.models.family import Seen, Woven
from triptych.models.memory.placement import computing

WIDEST_TRIAL = 8
"""More columns than short rows have on which networks are tried."""
CLOSE = 1e-3
"""Largest difference of logits with and without sharing, relative to the largest of them, in float32."""
ROUGH = 5e-2
"""Largest relative difference in types of half the size."""


ChooseRows = Callable[[Tensor, Sequence[int]], Sequence[int]]
"""(logits_BV, the rows whose these are, of all that were asked) -> a token for each."""


class DecodingModel(Protocol):
    """What is used of a ``Model``."""

    network: PreTrainedModel
    precision: torch.dtype

    def weave(self, batch: Batch, features: Sequence[Seen]) -> Woven:
        """Return a batch's words and images as the language model is given them."""

    def run(self, woven: Woven, *, mask: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Return logits_BV of the last position, and the cache of all."""


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """Rows of a batch that begin alike."""

    rows: tuple[int, ...]
    common: tuple[int, ...]
    """How many tokens each row has in common with the one before it; 0 for the first. Less than either row has."""


@dataclass(frozen=True, slots=True)
class DecodeStep:
    """One step: the next token of each row whose reply still goes on, the stop token included."""

    rows: tuple[int, ...]
    ids: tuple[int, ...]


def can_share(model: DecodingModel) -> bool:
    """Tell whether beginnings can be shared: the model gives the same logits so, on three short rows.

    Not where its cache is anything but keys and values of every position: recurrent layers, media, and what is longer
    than layers see, or are the same for (``reach_of``).
    """
    ids_BT = torch.tensor([[0, 0, 1, 2, 3], [1, 2, 3, 1, 2], [0, 1, 2, 3, 2]])
    segments_BT = torch.tensor([[-1, -1, 0, 0, 0], [0, 0, 0, 0, 0], [-1, 0, 0, 0, 0]])
    with torch.inference_mode(), computing(model):
        woven = model.weave(_of_words(ids_BT, segments_BT), [])
        cache, wanted_BV = _first_pass(model, woven)
        if (
            woven.extra_inputs
            or type(cache) is not DynamicCache
            or not all(holds_all(layer) for layer in cache.layers)
            or not holds_trials(model)
        ):
            return False
        try:
            _, found_BV = _first_pass_shared(model, woven, [SharedPrefix((0, 1, 2), (0, 2, 3))])
        except torch.OutOfMemoryError:
            raise  # says nothing of the network
        except (TypeError, ValueError, RuntimeError):
            return False  # an attention that takes no mask of ours
    close = CLOSE if wanted_BV.dtype == torch.float32 else ROUGH
    return bool((found_BV - wanted_BV).abs().max() <= close * wanted_BV.abs().max())


def holds_trials(model: DecodingModel) -> bool:
    """Tell whether the short rows on which networks are tried are within what its layers see and are the same for."""
    reach = reach_of(model.network.config.get_text_config())
    return reach is None or reach >= WIDEST_TRIAL


def _of_words(ids_BT: Tensor, segments_BT: Tensor) -> Batch:
    real_BT = segments_BT != PADDING
    return Batch(
        ids_BT=ids_BT,
        labels_BT=torch.full_like(ids_BT, IGNORE),
        positions_BT=(real_BT.cumsum(-1) - 1).clamp(min=0),
        segments_BT=segments_BT,
        slots=(),
        images=(),
        example_ids=(),
        trained_tokens=0,
        tokens=int(real_BT.sum()),
    )


def decode(
    model: DecodingModel,
    woven: Woven,
    *,
    stops: Collection[int],
    max_tokens: int,
    shared: Sequence[SharedPrefix] = (),
    choose_rows: ChooseRows | None = None,
) -> Iterator[DecodeStep]:
    """Yield tokens until every row has said one of ``stops`` or ``max_tokens`` tokens.

    A row's tokens do not depend on the other rows, but for a tie within rounding. Leave the iterator to end early.

    Args:
        model: whose words these are.
        woven: prompts, a conversation a row, padded on the left so that replies begin at one column.
        stops: ids of the tokens that end a reply.
        max_tokens: > 0.
        shared: every row in one of them, or none at all; only where `can_share`. Nothing is shared by rows that are
            longer than ``reach_of`` the network.
        choose_rows: chooses the tokens; None: the likeliest ones.
    """
    rows = list(range(len(woven.segments_BT)))
    text = model.network.config.get_text_config()
    forget_lengths(model.network, text)
    if len(rows) > 1 and _is_longer(woven, max_tokens, than=batchable_length(text)):
        for row in rows:
            chosen = None if choose_rows is None else partial(_choose_row, choose_rows, row)
            own = _row_of(woven, row)
            for step in decode(model, own, stops=stops, max_tokens=max_tokens, choose_rows=chosen):
                yield DecodeStep((row,), step.ids)
        return
    far = _is_longer(woven, max_tokens, than=reach_of(text), shared=shared)
    state = _begin(model, woven, () if far else shared, room=max_tokens)
    for number in range(1, max_tokens + 1):
        if choose_rows is not None:
            state = replace(state, next_B=torch.tensor(choose_rows(state.logits_BV, rows)).to(state.next_B))
        ids = state.next_B.tolist()
        yield DecodeStep(tuple(rows), tuple(ids))
        going = [at for at, token in enumerate(ids) if token not in stops]
        if not going or number == max_tokens:
            return
        if len(going) < len(ids):
            rows = [rows[at] for at in going]
            state = _keep(state, going)
        state = _go_on(model, state)


def _is_longer(woven: Woven, max_tokens: int, *, than: int | None, shared: Sequence[SharedPrefix] = ()) -> bool:
    """Tell whether rows with their replies, or what a group is computed in, take more places than so many."""
    if than is None:
        return False
    lengths: list[int] = (woven.segments_BT != PADDING).sum(-1).tolist()
    groups = [sum(lengths[row] for row in group.rows) - sum(group.common) for group in shared]
    places = int(woven.positions_ABT.amax()) + 1  # of a video there may be more than tokens
    return max(max(places, *lengths) + max_tokens, *groups, 0) > than


def _row_of(woven: Woven, row: int) -> Woven:
    """Return a row as if it had been asked alone: without padding, where nothing stands beside it."""
    start = 0 if woven.extra_inputs else int((woven.segments_BT[row] != PADDING).int().argmax())
    at, columns = slice(row, row + 1), slice(start, None)
    extra_inputs = {name: each[at] for name, each in woven.extra_inputs.items()}
    segments_BT = woven.segments_BT[at, columns]
    return Woven(woven.embeds_BTH[at, columns], woven.positions_ABT[:, at, columns], segments_BT, extra_inputs)


def _choose_row(choose_rows: ChooseRows, row: int, logits_BV: Tensor, _rows: Sequence[int]) -> Sequence[int]:
    return choose_rows(logits_BV, [row])


@dataclass(frozen=True, slots=True)
class _State:
    cache: Cache
    mask_BT: Tensor
    """int64, 1 where there is something; the cache's columns."""
    logits_BV: Tensor
    """Logits of the next tokens."""
    next_B: Tensor
    """The next tokens; the likeliest ones."""
    at_B: Tensor
    """Positions of these next tokens, on every axis the same."""
    axes: int
    """A, of positions."""


# inference_mode stands on the steps, not on the generator: there it would leak into the caller between two steps.


@torch.inference_mode()
def _begin(model: DecodingModel, woven: Woven, shared: Sequence[SharedPrefix], *, room: int) -> _State:
    first_pass = partial(_first_pass_shared, shared=shared) if shared and not woven.extra_inputs else _first_pass
    cache, logits_BV = first_pass(model, woven)
    cache = preallocate(cache, room, precision=model.precision)
    mask_BT = _mask(woven)
    # The next word stands behind the largest position on any axis: of words that is their number.
    at_B = woven.positions_ABT.masked_fill(mask_BT == 0, -1).amax(dim=(0, 2)) + 1
    return _State(cache, mask_BT, logits_BV, logits_BV.argmax(-1), at_B, len(woven.positions_ABT))


def _mask(woven: Woven) -> Tensor:
    return (woven.segments_BT != PADDING).long().to(woven.embeds_BTH.device)


def _first_pass(model: DecodingModel, woven: Woven) -> tuple[Cache, Tensor]:
    """Return the cache of the prompts, and logits_BV of what follows them."""
    with computing(model):
        logits_BV, cache = model.run(woven, mask=_mask(woven), cache=None)
    return cache, logits_BV


def _first_pass_shared(model: DecodingModel, woven: Woven, shared: Sequence[SharedPrefix]) -> tuple[Cache, Tensor]:
    """Do as `_first_pass` does, but compute each different token once, except the prompts' last ones."""
    mask_BT = _mask(woven)
    device, width = mask_BT.device, mask_BT.shape[1]
    if width == 1:
        return _first_pass(model, woven)
    lengths = mask_BT.sum(-1).tolist()
    trees = [_grow(group, lengths) for group in shared]
    most = max(len(tree.owners) for tree in trees)
    rows_GN, places_GN = torch.zeros(2, len(trees), most, dtype=torch.long)
    seen_GNN = torch.eye(most, dtype=torch.bool).repeat(len(trees), 1, 1)  # what fills up sees itself
    tokens_BC = torch.zeros(len(lengths), width - 1, dtype=torch.long)
    groups_B = torch.zeros(len(lengths), dtype=torch.long)
    for number, (group, tree) in enumerate(zip(shared, trees, strict=True)):
        count = len(tree.owners)
        rows_GN[number, :count] = torch.tensor(tree.owners)
        places_GN[number, :count] = torch.tensor(tree.places)
        for row, path in zip(group.rows, tree.paths, strict=True):
            path_T = torch.tensor(path, dtype=torch.long)
            seen_GNN[number, path_T[:, None], path_T] |= torch.ones(len(path), len(path)).tril().bool()
            tokens_BC[row, width - 1 - len(path) :] = path_T
            groups_B[row] = number
    pads_B = width - mask_BT.sum(-1)
    columns_GN = (pads_B[rows_GN.to(device)] + places_GN.to(device)).clamp(max=width - 1)
    seen_GNN = seen_GNN.to(device)
    dtype = woven.embeds_BTH.dtype
    added_GNN = torch.zeros_like(seen_GNN, dtype=dtype).masked_fill(~seen_GNN, torch.finfo(dtype).min)
    rows_GN = rows_GN.to(device)
    trunk = replace(
        woven,
        embeds_BTH=woven.embeds_BTH[rows_GN, columns_GN],
        positions_ABT=woven.positions_ABT[:, rows_GN, columns_GN],
        segments_BT=torch.zeros_like(rows_GN),
    )
    with computing(model):
        _, cache = model.run(trunk, mask=added_GNN[:, None], cache=None)
    _hand_out(cache, groups_B.to(device), tokens_BC.to(device))
    last = replace(
        woven,
        embeds_BTH=woven.embeds_BTH[:, -1:],
        positions_ABT=woven.positions_ABT[:, :, -1:],
        segments_BT=woven.segments_BT[:, -1:],
    )
    with computing(model):
        logits_BV, cache = model.run(last, mask=mask_BT, cache=cache)
    return cache, logits_BV


@dataclass(frozen=True, slots=True)
class _Tree:
    """The different tokens of a group's prompts, but for each prompt's last one; numbered as they are computed."""

    owners: list[int]
    """Row of the batch that each is taken from."""
    places: list[int]
    """Index of each in its prompt."""
    paths: list[list[int]]
    """Numbers of each row's tokens, in reading order."""


def _grow(group: SharedPrefix, lengths: Sequence[int]) -> _Tree:
    tree = _Tree([], [], [])
    path: list[int] = []
    for row, common in zip(group.rows, group.common, strict=True):
        known, new = len(tree.owners), lengths[row] - 1 - common
        path = [*path[:common], *range(known, known + new)]
        tree.owners.extend([row] * new)
        tree.places.extend(range(common, common + new))
        tree.paths.append(path)
    return tree


def _hand_out(cache: Cache, groups_B: Tensor, tokens_BC: Tensor) -> None:
    """Give every row the keys and values of its own tokens, where it has them: C columns each.

    Layers with a window become some without: nothing that is shared is longer than it, and they count what they saw.
    """
    for number, layer in enumerate(cache.layers):
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        own = DynamicLayer()
        own.lazy_initialization(layer.keys, layer.values)
        own.keys = layer.keys.transpose(1, 2)[groups_B[:, None], tokens_BC].transpose(1, 2)
        own.values = layer.values.transpose(1, 2)[groups_B[:, None], tokens_BC].transpose(1, 2)
        cache.layers[number] = own


@torch.inference_mode()
def _go_on(model: DecodingModel, state: _State) -> _State:
    mask_BT = torch.cat([state.mask_BT, torch.ones_like(state.mask_BT[:, :1])], dim=1)
    words = Woven(
        model.network.get_input_embeddings()(state.next_B[:, None]),
        state.at_B[None, :, None].expand(state.axes, -1, -1),
        torch.zeros_like(state.next_B[:, None]),
    )
    with computing(model):
        logits_BV, cache = model.run(words, mask=mask_BT, cache=state.cache)
    return replace(
        state,
        cache=cache,
        mask_BT=mask_BT,
        logits_BV=logits_BV,
        next_B=logits_BV.argmax(-1),
        at_B=state.at_B + 1,
    )


@torch.inference_mode()
def _keep(state: _State, rows: list[int]) -> _State:
    kept_B = torch.tensor(rows, device=state.mask_BT.device)
    state.cache.batch_select_indices(kept_B)
    return replace(state, mask_BT=state.mask_BT[kept_B], next_B=state.next_B[kept_B], at_B=state.at_B[kept_B])
