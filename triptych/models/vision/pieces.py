"""How a Qwen-VL's tower sees many images at once: laid end to end, attention within each piece, and no waiting.

Not the language model's packs (``segments.py``). transformers' classes compute; they are told beforehand, of the host's
knowledge, what they would ask a device for. A piece is an image, or one of its windows (Qwen2.5-VL): pieces of one
length attend in one call, where transformers makes a call for each, hundreds an image over all layers.

Shapes: N images, P patches, D numbers of a patch, G squares, A heads, L patches of a piece, Z size of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.vision_utils import (
    get_vision_cu_seqlens,
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
    get_vision_window_index,
)

from triptych.models.attention.segments import attending
from triptych.models.memory.transfer import send

PIECES = "triptych_flash_pieces"
"""Name of this attention among those of transformers, which hands all pieces at once to one named "flash"."""


def see(visual: Any, patches_PD: Tensor, *, grids_N3: Tensor) -> Tensor | None:
    """Run the tower, for what its mergers are given.

    Args:
        visual: a tower of Qwen2-VL, Qwen2.5-VL or Qwen3-VL.
        patches_PD: of all images, on the tower's device.
        grids_N3: patches along time, height and width; the host's.

    Returns:
        The square that stands at each place, [G], on the device: the tower's order by windows; None: reading order.
    """
    config, device = visual.config, patches_PD.device
    merge: int = config.spatial_merge_size
    told = {
        "position_ids": send(get_vision_position_ids(grids_N3, merge), device),
        "cu_seqlens": get_vision_cu_seqlens(grids_N3),
    }
    windows_G = None
    if hasattr(config, "window_size"):
        windows_G, edges = get_vision_window_index(grids_N3, merge, config.window_size, config.patch_size)
        windows_G = send(windows_G, device)
        told |= {"window_index": windows_G, "cu_window_seqlens": edges}
    if hasattr(visual, "num_grid_per_side"):
        taps, shares = get_vision_interpolation_indices_and_weights(
            grids_N3,
            num_grid_per_side=visual.num_grid_per_side,
            mode=visual.interpolation_mode,
            align_corners=visual.interpolation_align_corners,
            spatial_merge_size=merge,
        )
        told |= {"interp_indices": send(taps, device), "interp_weights": send(shares, device)}
    with attending(config, PIECES):
        visual(patches_PD, grid_thw=grids_N3, **told)
    return windows_G


def attend_pieces(
    module: nn.Module,
    query_1APZ: Tensor,
    key_1APZ: Tensor,
    value_1APZ: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    cu_seq_lens_q: Tensor,
    **_rest: object,
) -> tuple[Tensor, None]:
    """Return attended_1PAZ, each piece by itself, all patches seeing all: an attention function of transformers."""
    assert attention_mask is None
    lengths: list[int] = cu_seq_lens_q.diff().tolist()
    pieces = [each.split(lengths, dim=2) for each in (query_1APZ, key_1APZ, value_1APZ)]
    attended: dict[int, Tensor] = {}
    for length in set(lengths):
        these = [number for number, other in enumerate(lengths) if other == length]
        query_NALZ, key_NALZ, value_NALZ = (torch.cat([each[number] for number in these]) for each in pieces)
        found_NALZ = scaled_dot_product_attention(query_NALZ, key_NALZ, value_NALZ, scale=scaling)
        attended.update(zip(these, found_NALZ.split(1), strict=True))
    return torch.cat([attended[number] for number in range(len(lengths))], dim=2).transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register(PIECES, attend_pieces)
