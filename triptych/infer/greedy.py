"""Greedy decoding with a key-value cache, step by step, in a batch whose rows leave when they have finished.

Not sampling, not beams. An own loop, as ``network.generate`` computes finished rows to the end and can be read token
by token only through a second thread. The first pass computes the head at the last position only.

Shapes: B rows, T positions so far, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel


@dataclass(frozen=True, slots=True)
class Spoken:
    """One step: the next token of each row whose reply still goes on, the stop token included."""

    rows: tuple[int, ...]
    ids: tuple[int, ...]


def speak(
    network: PreTrainedModel, embeds_BTH: Tensor, *, mask_BT: Tensor, stop: int, max_tokens: int
) -> Iterator[Spoken]:
    """Yield greedy tokens until every row has said ``stop`` or ``max_tokens`` tokens.

    A row's tokens do not depend on the other rows, but for a tie within rounding. Leave the iterator to end early.

    Args:
        network: takes ``inputs_embeds`` or ``input_ids`` with a cache, as causal models of transformers do.
        embeds_BTH: prompts, padded on the left so that replies begin at one column.
        mask_BT: int64, 1 where there is a prompt.
        stop: id of the token that ends a reply.
        max_tokens: > 0.
    """
    rows = list(range(len(mask_BT)))
    state = _begin(network, embeds_BTH, mask_BT)
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
def _begin(network: PreTrainedModel, embeds_BTH: Tensor, mask_BT: Tensor) -> _State:
    found = network(
        inputs_embeds=embeds_BTH,
        attention_mask=mask_BT,
        position_ids=(mask_BT.cumsum(-1) - 1).clamp(min=0),
        use_cache=True,
        logits_to_keep=1,
    )
    return _State(found.past_key_values, mask_BT, found.logits[:, -1].argmax(-1))


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
