"""Join a vision tower and a causal language model into a Flamingo: a new resampler, new cross-attention, new tokens.

Not loading of parts (``models/parts.py``). The parts' weights are unchanged, and as all gates are closed at first the
result speaks as its language model does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from transformers import AddedToken, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from triptych.core.errors import ModelError
from triptych.data.template import Template, stop_id
from triptych.models.flamingo.config import FlamingoConfig
from triptych.models.flamingo.language import add_layers, check_language, layers_of
from triptych.models.flamingo.network import FlamingoForConditionalGeneration, make_cross_attention, make_resampler
from triptych.models.join import probe_tower, teach_tokenizer
from triptych.models.parts import Language, Vision

TOKENS = ("<|endofchunk|>", "<image>", "<answer>")
"""What OpenFlamingo and Otter add to a language model's tokenizer, in their order, which makes the ids."""
PAD = "<PAD>"
"""Added after them where the tokenizer has none."""
BLOCKS = 8
"""Cross-attention that a language model is given where nothing else is said, as the published 7B models have it."""


def join(
    vision: Vision, language: Language, *, template: Template, seed: int, settings: Mapping[str, object]
) -> FlamingoForConditionalGeneration:
    """Return the network, in evaluation mode. The tokenizer gains tokens and the chat template.

    Args:
        vision: the tower; its weights become the network's, not copies.
        language: the language model, likewise.
        template: what conversations look like; its stop ends what is generated.
        seed: of the resampler and of cross-attention.
        settings: of ``FlamingoConfig``, beside what the parts say.

    Raises:
        ModelError: the language model is of a type that media were not tried with, or its tokenizer lacks the
            template's tokens.
    """
    check_language(language.network.config)
    seen = probe_tower(vision)
    image_token_id = add_tokens(language, template)
    # All of what the resampler derives its size from; EfficientNet and its like do not have it by this name.
    vision.tower.config.hidden_size = seen.channels
    layers = layers_of(language.network)
    chosen: dict[str, Any] = {
        "cross_attn_every_n_layers": max(1, len(layers) // BLOCKS),
        "vision_config": vision.tower.config.to_dict(),
        "text_config": language.network.config.to_dict(),
        "vision_feature_select_strategy": seen.strategy,
        "image_token_id": image_token_id,
    }
    with torch.device("meta"):
        network = FlamingoForConditionalGeneration(FlamingoConfig(**(chosen | dict(settings))))
    config = cast(FlamingoConfig, network.config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network.perceiver = make_resampler(config)
        add_layers(language.network, make_cross_attention(config, layers=len(layers)))
    network.vision_encoder, network.lang_encoder = vision.tower, language.network
    config.vision_config, config.text_config = vision.tower.config, language.network.config
    config.dtype = torch.float32
    network.generation_config = GenerationConfig(
        bos_token_id=language.tokenizer.bos_token_id,
        eos_token_id=stop_id(template, language.tokenizer),
        pad_token_id=language.tokenizer.pad_token_id,
        do_sample=False,
    )
    assert not any(weight.is_meta for weight in network.state_dict().values())
    network.train(False)
    return network


def add_tokens(language: Language, template: Template) -> int:
    """Teach the tokenizer Flamingo's tokens and the template; return the id of the image token.

    A new token's row is the mean of all rows: then its logit is the mean of all logits, never the largest.

    Raises:
        ModelError: the template's stop is no single token of this tokenizer.
    """
    tokenizer, network = language.tokenizer, language.network
    known = len(tokenizer)
    image_token_id = teach(tokenizer, template)
    if len(tokenizer) > network.get_input_embeddings().get_parameter("weight").shape[0]:
        network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for module in (network.get_input_embeddings(), network.get_output_embeddings()):
            weight = module.get_parameter("weight")
            weight[known : len(tokenizer)] = weight[:known].mean(dim=0)
    return image_token_id


def teach(tokenizer: PreTrainedTokenizerBase, template: Template) -> int:
    """Give the tokenizer Flamingo's tokens and the chat template; return the id of the image token.

    Raises:
        ModelError: the template's stop is no single token of this tokenizer.
    """
    new = [token for token in TOKENS if token not in tokenizer.get_added_vocab()]
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in new], special_tokens=True)
    if tokenizer.pad_token_id is None:
        tokenizer.add_special_tokens({"pad_token": AddedToken(PAD, special=True, normalized=False)})
    return teach_tokenizer(tokenizer, template)


def name_image_token(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Tell an opened network which token stands for an image, where its folder leaves that to the tokenizer.

    Raises:
        ModelError: the tokenizer has none, the network has no row for it, or config.json names it by no number.
    """
    _, image_mark, _ = TOKENS
    found = tokenizer.get_added_vocab().get(image_mark)
    if network.config.image_token_id is None:
        network.config.image_token_id = found
    rows = network.config.text_config.vocab_size
    named = network.config.image_token_id
    if not isinstance(named, int | None):
        raise ModelError(
            f"config.json: image_token_id is {named!r}, and a number is wanted. Compare it with the published file."
        )
    if named is None or named >= rows:
        raise ModelError(
            f"the tokenizer has no {image_mark!r} among the network's {rows} tokens: put the tokenizer that the model "
            "was tuned with into its folder."
        )
