"""Join a vision tower, a new projector and a causal language model into one network of transformers.

Not a network of our own: the result is a ``LlavaForConditionalGeneration`` (towers that give a row of tokens) or a
``FastVlmForConditionalGeneration`` (towers that give a map NCHW), with the parts' weights unchanged. Which of the two
is read off the tower's output, not off its name.

Shapes: N images, C channels and H x W pixels, P feature positions an image, C channels of the tower, B rows, T tokens a
row, H hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import (
    AddedToken,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from triptych.core.errors import ModelError
from triptych.data.batch import block_mask
from triptych.data.template import Template, stop_id
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models.attention.segments import window_of
from triptych.models.family import Projector
from triptych.models.parts import ImageProcessor, Language, Vision, blank_pixels, reason
from triptych.models.vision.tower_trial import named, seen_once, shape_of

ACTIVATION = {"linear": "linear", "mlp": "gelu"}
"""Projector -> what transformers has between the two layers; ``linear`` is the identity."""

EMBEDDINGS = "embed_tokens.weight"
"""Where a language model must keep its embedding table for the two classes to share it with their head."""
UNPACKED = "values to unpack"
"""What Python says where a network wants a mask of two axes, and is given one of four."""
OTHER_MASK = (
    "it takes a mask of which tokens are padding (ALiBi counts positions by it), and none of which token sees which, "
    "by which conversations of a pack stay apart"
)


@dataclass(frozen=True, slots=True)
class TowerOutput:
    """What a tower gives for one image, and which of it is taken."""

    is_map: bool
    positions: int
    """P, the positions that the language model is given."""
    channels: int
    """C."""
    layer: int
    """Index of the hidden state that is taken: ``vision_feature_layer`` of the config."""
    strategy: str
    """``default`` leaves the class token out; ``full`` takes all."""


def probe_tower(vision: Vision) -> TowerOutput:
    """Show the tower a grey image and return what it gives.

    A tower of class and patch tokens is read as LLaVA does: the last hidden state but one, patches only.

    Raises:
        ModelError: neither a map nor a row of tokens for each image, or others each time.
    """
    pixels_NCHW = blank_pixels(vision.processor)
    vision.tower.eval()
    with named(vision.folder):
        shape_of(vision.tower, lambda see, pixels: see(pixels).last_hidden_state, pixels=pixels_NCHW)
        last = seen_once(vision.tower, pixels_NCHW)
    if last.dim() == 4:
        return TowerOutput(True, last.shape[2] * last.shape[3], last.shape[1], layer=-1, strategy="full")
    if last.dim() != 3:
        raise ModelError(f"a tower of type {vision.tower.config.model_type!r} gives {last.dim()} axes, not 3 or 4.")
    positions, channels = last.shape[1:]
    patches = _count_patches(vision.tower.config, pixels_NCHW)
    if patches is None or positions < patches:
        return TowerOutput(False, positions, channels, layer=-1, strategy="full")
    if positions == patches:
        return TowerOutput(False, positions, channels, layer=-2, strategy="full")
    return TowerOutput(False, positions - 1, channels, layer=-2, strategy="default")


def join(vision: Vision, language: Language, *, template: Template, projector: Projector, seed: int) -> PreTrainedModel:
    """Return the network, in evaluation mode. The tokenizer gains the image token and the chat template.

    Args:
        vision: the tower; its weights become the network's, not copies.
        language: the language model, likewise.
        template: what conversations look like; its stop ends what is generated.
        projector: ``linear`` or ``mlp``.
        seed: of the projector's weights.

    Raises:
        ModelError: the language model does more than embed, attend and score, or lacks the template's tokens.
    """
    sight = probe_tower(vision)
    _check_width(language.network)
    image_token_id = add_image_token(language, template)
    expected_BTV = _first_logits(language.network)
    _keep_tied_only_where_known(language.network)
    # All of what the classes derive their shapes from; EfficientNet and its like do not have it by this name.
    vision.tower.config.hidden_size = sight.channels
    shared: dict[str, object] = {
        "vision_config": vision.tower.config,
        "text_config": language.network.config,
        "image_token_index": image_token_id,
        "image_seq_length": sight.positions,
        "projector_hidden_act": ACTIVATION[projector],
        "vision_feature_layer": sight.layer,
        "vision_feature_select_strategy": sight.strategy,
    }
    with torch.device("meta"):
        network: PreTrainedModel = (
            FastVlmForConditionalGeneration(FastVlmConfig.from_dict(shared))
            if sight.is_map
            else LlavaForConditionalGeneration(LlavaConfig.from_dict(shared))
        )
    _fill(network, vision.tower, language.network, seed=seed)
    network.config.dtype = torch.float32
    network.generation_config = generation(template, language.tokenizer)
    network.eval()
    kind = f"a language model of type {language.network.config.model_type!r}"
    try:
        found_BTV = _first_logits(network)
        among_BTV = _logits_among_pictures(network)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        why = OTHER_MASK if UNPACKED in reason(error) else reason(error)
        raise ModelError(f"{kind} cannot be a part here: {why}. Choose another.") from error
    if not torch.allclose(found_BTV, expected_BTV, atol=1e-4):
        raise ModelError(
            f"{kind} does more than its body and head (it scales or caps its logits); it cannot be a part here."
        )
    # Another kernel may compute under a mask: alike for the size of the logits.
    if (among_BTV - expected_BTV[:, : among_BTV.shape[1]]).abs().max() > 1e-3 * expected_BTV.abs().max():
        raise ModelError(f"{kind} takes embeddings otherwise than its words; it cannot be a part here.")
    return network


def add_image_token(language: Language, template: Template) -> int:
    """Teach the tokenizer the image token and the template; return the token's id.

    A new token's row is the mean of all rows: then its logit is the mean of all logits, never the largest.

    Raises:
        ModelError: the template's stop is no single token of this tokenizer.
    """
    tokenizer, network = language.tokenizer, language.network
    known = len(tokenizer)
    had = IMAGE_MARK in tokenizer.get_added_vocab()
    image_token_id = teach_tokenizer(tokenizer, template)
    if had:
        return image_token_id
    if image_token_id >= _table(network).num_embeddings:
        network.resize_token_embeddings(image_token_id + 1, mean_resizing=False)
    with torch.no_grad():
        for weight in (_table(network).weight, _head(network).weight):
            weight[image_token_id] = weight[:known].mean(dim=0)
    return image_token_id


def teach_tokenizer(tokenizer: PreTrainedTokenizerBase, template: Template) -> int:
    """Give the tokenizer the image token and the chat template; return the token's id.

    Raises:
        ModelError: the template's stop is no single token of this tokenizer.
    """
    stop = stop_id(template, tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(stop)
    tokenizer.chat_template = template.jinja
    if IMAGE_MARK not in tokenizer.get_added_vocab():
        tokenizer.add_tokens([AddedToken(IMAGE_MARK, special=True, normalized=False)], special_tokens=True)
    image_token_id: int = tokenizer.get_added_vocab()[IMAGE_MARK]
    return image_token_id


def _table(network: PreTrainedModel) -> nn.Embedding:
    table = network.get_input_embeddings()
    assert isinstance(table, nn.Embedding)
    return table


def _head(network: PreTrainedModel) -> nn.Linear:
    """Return the layer that scores the vocabulary.

    Raises:
        ModelError: it is no plain linear layer.
    """
    head = network.get_output_embeddings()
    if not isinstance(head, nn.Linear) or "bias" in dict(head.named_parameters()):
        raise ModelError(f"a language model of type {network.config.model_type!r} has no plain linear head.")
    return head


def _check_width(network: PreTrainedModel) -> None:
    """Raise ModelError where words are of another size than the layers: an image's tokens are made for the layers."""
    wide, layers = _table(network).embedding_dim, network.config.hidden_size
    if not wide == _head(network).in_features == layers:
        raise ModelError(
            f"a language model of type {network.config.model_type!r} whose words have {wide} numbers and whose layers "
            f"have {layers} cannot be a part here: choose one where they are as many."
        )


def _fill(network: PreTrainedModel, tower: PreTrainedModel, language: PreTrainedModel, *, seed: int) -> None:
    """Put the parts where the empty network has theirs, and a seeded projector between them."""
    body = network.get_submodule("model.language_model")
    if type(body) is not type(language.base_model):
        raise ModelError(f"a language model of type {language.config.model_type!r} has no plain body; choose another.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projector = type(network.get_submodule("model.multi_modal_projector"))(network.config)
    if network.config.projector_hidden_act == ACTIVATION["linear"]:
        second = projector.get_submodule("linear_2")
        assert isinstance(second, nn.Linear)
        nn.init.eye_(second.weight)
        nn.init.zeros_(second.bias)
    network.set_submodule("model.vision_tower", tower)
    network.set_submodule("model.multi_modal_projector", projector)
    network.set_submodule("model.language_model", language.base_model)
    network.set_submodule("lm_head", _head(language))
    network.tie_weights()
    assert not any(weight.is_meta for weight in network.state_dict().values())


def _keep_tied_only_where_known(language: PreTrainedModel) -> None:
    """Give the head weights of its own where a saved network could not find the table that it shares."""
    if not language.config.tie_word_embeddings or EMBEDDINGS in dict(language.base_model.named_parameters()):
        return
    head = _head(language)
    head.weight = nn.Parameter(head.weight.detach().clone())
    language.config.tie_word_embeddings = False


def _first_logits(network: PreTrainedModel) -> Tensor:
    ids_BT = torch.arange(8)[None]
    with torch.no_grad():
        logits_BTV: Tensor = network(input_ids=ids_BT, use_cache=False).logits
    return logits_BTV.float()


def _logits_among_pictures(network: PreTrainedModel) -> Tensor:
    """Return what ``_first_logits`` does, of embeddings and under a mask, as conversations with images are given.

    Of no more tokens than a layer looks back through, as the mask says nothing of a window.

    Beside them stands a conversation of embeddings that are no word's, as images' are: some networks look up whose
    they are.
    """
    body, text = network.get_submodule("model.language_model"), network.config.get_text_config()
    count = min(8, window_of(text) or 8)
    with torch.no_grad():
        words_BTH = _table(network)(torch.arange(count)[None])
        embeds_BTH = torch.cat([words_BTH, (words_BTH + words_BTH.roll(1, dims=1)) / 2])
        mask = block_mask(torch.zeros(2, count, dtype=torch.int64))
        if text._attn_implementation == "eager":  # there it is added to the scores
            mask = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
        hidden_BTH = body(
            inputs_embeds=embeds_BTH, attention_mask=mask, position_ids=torch.arange(count)[None], use_cache=False
        ).last_hidden_state
        logits_BTV: Tensor = _head(network)(hidden_BTH[:1])
    return logits_BTV.float()


def generation(template: Template, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Return how a model of this template generates unless told otherwise: greedily, up to the template's stop."""
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=stop_id(template, tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )


def _count_patches(config: PreTrainedConfig, pixels_NCHW: Tensor) -> int | None:
    """Return how many patches the image is cut into; None where the tower does not say."""
    patch = getattr(config, "patch_size", None)
    if not isinstance(patch, int):
        return None
    return (pixels_NCHW.shape[2] // patch) * (pixels_NCHW.shape[3] // patch)


def whole_processor(
    config: PreTrainedConfig, images: ImageProcessor, *, tokenizer: PreTrainedTokenizerBase, tokens: int
) -> LlavaProcessor:
    """Return a processor of transformers for a network's configuration: it makes the ids and pixels that we make.

    Args:
        config: the whole network's.
        images: the image preparation.
        tokenizer: with image token and chat template.
        tokens: what an image costs.
    """
    height, width = blank_pixels(images).shape[-2:]
    left_out = int(config.vision_feature_select_strategy == "default")
    patch = getattr(config.vision_config, "patch_size", None)
    patch_px, beside = _grid(height, width, tokens + left_out, patch_px=patch if isinstance(patch, int) else None)
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=patch_px,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        chat_template=tokenizer.chat_template,
        num_additional_image_tokens=beside,
    )


def _grid(height_px: int, width_px: int, positions: int, *, patch_px: int | None) -> tuple[int, int]:
    """Return (patch size, tokens beside the patches) from which a ``LlavaProcessor`` counts ``positions``.

    The processor divides the image by the patch size. A tower that does not say one, or merges its patches, is given
    the largest size that yields the most patches, not more than positions: for a map its total stride.
    """

    def count(patch: int) -> int:
        return (height_px // patch) * (width_px // patch)

    sizes = range(1, max(height_px, width_px) + 1) if patch_px is None or count(patch_px) > positions else (patch_px,)
    patch = max((size for size in sizes if count(size) <= positions), key=lambda size: (count(size), size))
    return patch, positions - count(patch)
