"""Flamingo's layers within a causal language model of transformers: cross-attention before every n-th of its own.

Not a language model of our own: its layers, norms and embeddings stay the modules that they are, under the names of the
published checkpoints. Media come to a layer as ``media`` and ``sees``, which the bodies of transformers hand on; the
one that does not, MPT's, gets another ``forward``.

Shapes: B rows, T tokens a row, M media a row, L latents a medium, C channels, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType

import torch
from torch import Tensor, nn
from transformers import Cache, MptModel, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.models.mpt.configuration_mpt import MptAttentionConfig
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

from triptych.core.errors import ModelError
from triptych.models.flamingo.blocks import GatedCrossAttention

STACKS: Mapping[str, str] = MappingProxyType(
    {
        "gpt_neox": "layers",
        "llama": "layers",
        "mistral": "layers",
        "mpt": "blocks",
        "qwen2": "layers",
        "qwen3": "layers",
    }
)
"""What the bodies of these language models call their layers; with each of them media were tried (tests)."""


COMPUTED: Mapping[str, object] = MappingProxyType(
    {"no_bias": True, "logit_scale": None, "attn_config.alibi": True, "attn_config.qk_ln": False}
)
"""Settings of MPT that transformers reads and leaves out of account, with the only values that it computes."""


class FlamingoLayer(nn.Module):
    """A layer of the language model, and the cross-attention before it if there is one."""

    def __init__(self, gated_cross_attn_layer: GatedCrossAttention | None, decoder_layer: nn.Module) -> None:
        super().__init__()
        self.gated_cross_attn_layer = gated_cross_attn_layer
        self.decoder_layer = decoder_layer

    def forward(
        self,
        hidden_BTH: Tensor,
        *positional: object,
        media: Tensor | None = None,
        sees: Tensor | None = None,
        **named: object,
    ) -> object:
        """Return what the language model's layer returns.

        Args:
            hidden_BTH: what the layer before gave.
            positional: for the language model's layer.
            media: media_BMLC; None: no row has any.
            sees: sees_BTM, which of them a word sees.
            named: for the language model's layer.
        """
        if self.gated_cross_attn_layer is not None:
            hidden_BTH = self.gated_cross_attn_layer(hidden_BTH, media, sees)
        return self.decoder_layer(hidden_BTH, *positional, **named)


class MptBody(MptModel):
    """The body of MPT, which hands media on to its layers, and takes rows of any length."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        position_ids: Tensor | None = None,
        media: Tensor | None = None,
        sees: Tensor | None = None,
        **_more: object,
    ) -> BaseModelOutputWithPast:
        """Return the last hidden states; positions are none of its concern, as its biases are relative."""
        hidden_BTH: Tensor = self.wte(input_ids) if inputs_embeds is None else inputs_embeds
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=hidden_BTH,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
        )
        assert isinstance(mask, Tensor)  # MPT attends by a mask alone
        before = 0 if past_key_values is None else past_key_values.get_seq_length()
        attention = self.config.attn_config
        assert isinstance(attention, MptAttentionConfig)
        bias = build_mpt_alibi_tensor(
            self.num_heads, before + hidden_BTH.shape[1], attention.alibi_bias_max, device=hidden_BTH.device
        )
        for block in self.blocks:
            hidden_BTH = block(
                hidden_BTH,
                position_bias=bias,
                attention_mask=mask.bool(),
                layer_past=past_key_values,
                use_cache=bool(use_cache),
                media=media,
                sees=sees,
            )[0]
        return BaseModelOutputWithPast(last_hidden_state=self.norm_f(hidden_BTH), past_key_values=past_key_values)


def check_language(text: PreTrainedConfig) -> None:
    """Raise ModelError unless the language model is one that media were tried with, as its settings say it is."""
    if text.model_type not in STACKS:
        raise ModelError(
            f"a language model of type {text.model_type!r} cannot be a part of a flamingo; "
            f"there are: {', '.join(STACKS)}."
        )
    if text.model_type == "mpt":
        for name, computed in COMPUTED.items():
            if (said := attrgetter(name)(text)) != computed:
                raise ModelError(
                    f"text_config: {name} is {said!r}, but transformers computes an MPT as if it were {computed!r}: "
                    "take a language model without that setting."
                )


def add_layers(language: PreTrainedModel, gated: Sequence[GatedCrossAttention | None]) -> None:
    """Put cross-attention before the layers of a language model, in place.

    Args:
        language: a causal language model of one of ``STACKS``.
        gated: one for each layer; None: nothing stands before that layer.

    Raises:
        ModelError: it is of another type.
    """
    check_language(language.config)
    prefix = language.base_model_prefix
    body = language.get_submodule(prefix)
    if isinstance(body, MptModel):
        # MPT's biases know no longest row; who asks is told what it was trained with, by the name that others have.
        language.config.max_position_embeddings = language.config.max_seq_len
        with torch.device("meta"):
            handing_on = MptBody(body.config)
        for name, module in body.named_children():
            handing_on.set_submodule(name, module)
        handing_on.train(body.training)
        language.set_submodule(prefix, handing_on)
    stack = layers_of(language)
    assert len(stack) == len(gated), f"{len(gated)} for {len(stack)} layers"
    body = language.get_submodule(prefix)
    layers = nn.ModuleList(FlamingoLayer(each, layer) for each, layer in zip(gated, stack, strict=True))
    body.set_submodule(STACKS[language.config.model_type], layers.train(body.training))


def layers_of(language: PreTrainedModel) -> nn.ModuleList:
    """Return the layers of a language model of one of ``STACKS``."""
    stack = language.get_submodule(f"{language.base_model_prefix}.{STACKS[language.config.model_type]}")
    assert isinstance(stack, nn.ModuleList)
    return stack


def cross_attention_of(language: PreTrainedModel) -> nn.ModuleList:
    """Return what ``add_layers`` put in, in order."""
    layers = [layer.gated_cross_attn_layer for layer in layers_of(language) if isinstance(layer, FlamingoLayer)]
    return nn.ModuleList(layer for layer in layers if layer is not None)


def plain_language(language: PreTrainedModel) -> nn.Module:
    """Return the language model's own modules under its own names, without what ``add_layers`` put in.

    A view: the modules are the same, nothing can be computed with it.
    """
    return _plain(language, layers_of(language))


def _plain(module: nn.Module, stack: nn.ModuleList) -> nn.Module:
    view = nn.Module()
    for name, child in module.named_children():
        if child is stack:
            child = nn.ModuleList(layer.get_submodule("decoder_layer") for layer in stack)
        elif any(inner is stack for inner in child.modules()):
            child = _plain(child, stack)
        view.add_module(name, child)
    view.training = module.training
    return view
