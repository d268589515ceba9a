"""How layers compute, not what: activations kept or computed again, compiled, in fused kernels, in bfloat16.

Not which weights move. Layers keep their classes and names, and ``reset_blocks`` leaves them as they were, so that the
model that is saved knows nothing of it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from triptych.core.errors import ModelError
from triptych.models.attention.segments import SEGMENTS, attend, attending
from triptych.models.family import Model
from triptych.train.parallel.shards import blocks_of
from triptych.train.recipe import Tune


def refit_blocks(model: Model, stage: Tune, *, device: torch.device) -> None:
    """Let the layers compute as a stage says, in place. Before weights are shared out.

    Args:
        model: with parts released.
        stage: what it says of its layers.
        device: where they will compute; weights that are shared out come there later.

    Raises:
        ModelError: fused kernels are wanted and are not there; the language model has no layers to treat one by one.
    """
    if stage.liger:
        _fuse(model, device)
    if not (stage.checkpoint_activations or stage.compile):
        return
    text = model.network.config.get_text_config()
    if stage.compile:
        # Its loop is over conversations: compiled, it would be so anew for each number of them that comes.
        ALL_ATTENTION_FUNCTIONS.register(SEGMENTS, torch.compiler.disable(attend))
    for layer in _layers(model):
        if stage.compile:
            layer.forward = torch.compile(layer.forward)
        if stage.checkpoint_activations:
            again = partial(attending_again, text)
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, context_fn=again)


def reset_blocks(model: Model, stage: Tune) -> None:
    """Take back what ``refit_blocks`` did, but for fused kernels, which end with the process."""
    if stage.checkpoint_activations or stage.compile:
        ALL_ATTENTION_FUNCTIONS.register(SEGMENTS, attend)
        for layer in _layers(model):
            layer.__dict__.pop("forward", None)


def computing_in(stage: Tune, device: torch.device) -> AbstractContextManager[object]:
    """Return what a forward pass runs under: matrices multiplied in bfloat16, where the stage says so."""
    if stage.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def _layers(model: Model) -> list[nn.Module]:
    """Return the language model's layers, and those of a tower that is a stack and trains."""
    tower = model.parts()["vision"]
    if not any(weight.requires_grad for weight in tower.parameters()):
        return blocks_of(model.body)
    try:
        return [*blocks_of(model.body), *blocks_of(tower)]
    except ModelError:
        return blocks_of(model.body)


def attending_again(text: PreTrainedConfig) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
    """Return what a layer runs under at first and when it is computed again: with the attention that is set now.

    A ``context_fn`` of torch's checkpoints. How a pack is attended is set while the pass forth runs
    (``models/attention/packs.py``), and would be forgotten.
    """
    return nullcontext(), attending(text, text._attn_implementation)


def _fuse(model: Model, device: torch.device) -> None:
    if find_spec("liger_kernel") is None:
        raise ModelError("liger: true needs the package liger-kernel: pip install liger-kernel, or leave the key out.")
    if device.type != "cuda":
        raise ModelError(f"liger: true needs a GPU, and this run computes on {device}: leave the key out.")
    known = import_module("liger_kernel.transformers.monkey_patch").MODEL_TYPE_TO_APPLY_LIGER_FN
    if (kind := model.network.config.get_text_config().model_type) not in known:
        raise ModelError(
            f"liger: true: liger-kernel has no kernels for a language model of type {kind!r}; leave it out."
        )
    fuse = import_module("liger_kernel.transformers")._apply_liger_kernel_to_instance
    # The loss is computed at supervised positions only, by ``loss.py``: nothing there is to be fused.
    fuse(model=model.body, cross_entropy=False, fused_linear_cross_entropy=False)
