"""Greedy decoding with a key-value cache, step by step, in a batch whose rows leave when they have finished.

Not sampling, not beams. An own loop, as ``network.generate`` computes finished rows to the end and can be read token
by token only through a second thread. The first pass computes the head at the last position only.

Rows that begin alike may share that beginning (``Shared``): of a group of rows each different token is computed once,
in one row where it attends to what stands before it in its own prompt and to nothing else. Keys and values are then
copied to where each row has them, and all rows take their last token in one step. From there on the cache is what it is
unshared: padding on the left, then a prompt without a gap.

Shapes: B rows, T positions so far, H hidden size, V vocabulary, G groups, N different tokens of a group, C columns of
the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

CLOSE = 1e-3
"""Largest difference of logits with and without sharing, relative to the largest of them, in float32."""
ROUGH = 5e-2
"""The same in types of half the size."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Rows of a batch that begin alike."""

    rows: tuple[int, ...]
    common: tuple[int, ...]
    """How many tokens each row has in common with the one before it; 0 for the first. Less than either row has."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One step: the next token of each row whose reply still goes on, the stop token included."""

    rows: tuple[int, ...]
    ids: tuple[int, ...]


def can_share(network: PreTrainedModel) -> bool:
    """Tell whether beginnings can be shared: the network gives the same logits so, on three short rows.

    Not where its cache is anything but keys and values of every position: sliding windows, recurrent layers.
    """
    table = network.get_input_embeddings()
    ids_BT = torch.tensor([[0, 0, 1, 2, 3], [1, 2, 3, 1, 2], [0, 1, 2, 3, 2]], device=network.device)
    mask_BT = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]], device=network.device)
    with torch.inference_mode():
        embeds_BTH = table(ids_BT)
        cache, wanted_BV = _first_pass(network, embeds_BTH, mask_BT)
        if type(cache) is not DynamicCache or any(type(layer) is not DynamicLayer for layer in cache.layers):
            return False
        try:
            _, found_BV = _first_pass_shared(network, embeds_BTH, mask_BT, [Shared((0, 1, 2), (0, 2, 3))])
        except (TypeError, ValueError, RuntimeError):
            return False  # an attention that takes no mask of ours
    close = CLOSE if wanted_BV.dtype == torch.float32 else ROUGH
    return bool((found_BV - wanted_BV).abs().max() <= close * wanted_BV.abs().max())


def speak(
    network: PreTrainedModel,
    embeds_BTH: Tensor,
    *,
    mask_BT: Tensor,
    stop: int,
    max_tokens: int,
    shared: Sequence[Shared] = (),
) -> Iterator[Spoken]:
    """Yield greedy tokens until every row has said ``stop`` or ``max_tokens`` tokens.

    A row's tokens do not depend on the other rows, but for a tie within rounding. Leave the iterator to end early.

    Args:
        network: takes ``inputs_embeds`` or ``input_ids`` with a cache, as causal models of transformers do.
        embeds_BTH: prompts, padded on the left so that replies begin at one column.
        mask_BT: int64, 1 where there is a prompt.
        stop: id of the token that ends a reply.
        max_tokens: > 0.
        shared: every row in one of them, or none at all; only where `can_share`.
    """
    rows = list(range(len(mask_BT)))
    state = _begin(network, embeds_BTH, mask_BT, shared)
    for number in range(1, max_tokens + 1):
        ids = state.next_B.tolist()
        yield Spoken(tuple(rows), tuple(ids))
        going = [at for at, token in enumerate(ids) if token != stop]
        if not going or number == max_tokens:
            return
        if len(going) < len(ids):
            rows = [rows[at] for at in going]
            state = _keep(state, going)
        state = _go_on(network, state)


@dataclass(frozen=True, slots=True)
class _State:
    cache: Cache
    mask_BT: Tensor
    next_B: Tensor


# inference_mode stands on the steps, not on the generator: there it would leak into the caller between two steps.


@torch.inference_mode()
def _begin(network: PreTrainedModel, embeds_BTH: Tensor, mask_BT: Tensor, shared: Sequence[Shared]) -> _State:
    if shared:
        cache, logits_BV = _first_pass_shared(network, embeds_BTH, mask_BT, shared)
    else:
        cache, logits_BV = _first_pass(network, embeds_BTH, mask_BT)
    return _State(cache, mask_BT, logits_BV.argmax(-1))


def _first_pass(network: PreTrainedModel, embeds_BTH: Tensor, mask_BT: Tensor) -> tuple[Cache, Tensor]:
    """Return the cache of the prompts, and logits_BV of what follows them."""
    found = network(
        inputs_embeds=embeds_BTH,
        attention_mask=mask_BT,
        position_ids=(mask_BT.cumsum(-1) - 1).clamp(min=0),
        use_cache=True,
        logits_to_keep=1,
    )
    return found.past_key_values, found.logits[:, -1]


def _first_pass_shared(
    network: PreTrainedModel, embeds_BTH: Tensor, mask_BT: Tensor, shared: Sequence[Shared]
) -> tuple[Cache, Tensor]:
    """As `_first_pass`, each different token but the prompts' last ones computed once."""
    device, width = mask_BT.device, mask_BT.shape[1]
    if width == 1:
        return _first_pass(network, embeds_BTH, mask_BT)
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
    cache = network(
        inputs_embeds=embeds_BTH[rows_GN.to(device), columns_GN],
        attention_mask=torch.zeros_like(seen_GNN, dtype=embeds_BTH.dtype).masked_fill(
            ~seen_GNN, torch.finfo(embeds_BTH.dtype).min
        )[:, None],
        position_ids=places_GN.to(device),
        use_cache=True,
        logits_to_keep=1,
    ).past_key_values
    _hand_out(cache, groups_B.to(device), tokens_BC.to(device))
    found = network(
        inputs_embeds=embeds_BTH[:, -1:],
        attention_mask=mask_BT,
        position_ids=mask_BT.sum(-1, keepdim=True) - 1,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return found.past_key_values, found.logits[:, -1]


@dataclass(frozen=True, slots=True)
class _Tree:
    """The different tokens of a group's prompts, but for each prompt's last one; numbered as they are computed."""

    owners: list[int]
    """Row of the batch that each is taken from."""
    places: list[int]
    """Where each stands in its prompt."""
    paths: list[list[int]]
    """Numbers of each row's tokens, in reading order."""


def _grow(group: Shared, lengths: Sequence[int]) -> _Tree:
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
    """Give every row the keys and values of its own tokens, where it has them: C columns each."""
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        layer.keys = layer.keys.transpose(1, 2)[groups_B[:, None], tokens_BC].transpose(1, 2)
        layer.values = layer.values.transpose(1, 2)[groups_B[:, None], tokens_BC].transpose(1, 2)


@torch.inference_mode()
def _go_on(network: PreTrainedModel, state: _State) -> _State:
    mask_BT = torch.cat([state.mask_BT, torch.ones_like(state.mask_BT[:, :1])], dim=1)
    found = network(
        input_ids=state.next_B[:, None],
        attention_mask=mask_BT,
        position_ids=mask_BT.sum(-1, keepdim=True) - 1,
        past_key_values=state.cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return _State(found.past_key_values, mask_BT, found.logits[:, -1].argmax(-1))


@torch.inference_mode()
def _keep(state: _State, rows: list[int]) -> _State:
    kept_B = torch.tensor(rows, device=state.mask_BT.device)
    state.cache.batch_select_indices(kept_B)
    return _State(state.cache, state.mask_BT[kept_B], state.next_B[kept_B])
