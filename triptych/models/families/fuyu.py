"""Fuyu: no tower; patches of an image of any size go through one linear map straight into the language model.

Source: Bavishi et al. 2023, adept.ai/blog/fuyu-8b; Mantis-Fuyu (arXiv:2405.01483); OtterHD (arXiv:2311.04219). The
class of transformers, ``FuyuForCausalLM``, is adapted and not changed. Its processor puts one image before the words
and no more, so words are spelled here: an image is its rows of patches, each with a line end, and a template writes
what stands around it.

The published tokenizer puts a space in front of each run of words, and reads a literal ``|SPEAKER|`` in words as a
patch. ``teach`` ends both: then it reads exactly what is there, the templates write those spaces, and the ids are the
published ones.

Shapes: P patches of an image, row by row; D numbers of a patch, row by row, the channels of a pixel together; C = D
channels; K = P tokens; H hidden size of the language model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import torch
from PIL.Image import Image
from tokenizers import AddedToken, Tokenizer
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    FuyuConfig,
    FuyuForCausalLM,
    FuyuImageProcessorPil,
    PersimmonConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.image_utils import SizeDict

from triptych.core.errors import ModelError
from triptych.data.batch import Batch
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs import LINE_END, Patches
from triptych.data.template import Template, find_template
from triptych.data.text.tokenise import Tokeniser, state_of, without_space
from triptych.models import parts, toys
from triptych.models.disk.folder import Saved, chat_template_of, read_note, template_in
from triptych.models.disk.locate import Provenance
from triptych.models.disk.tokenizer import open_tokenizer
from triptych.models.family import Family, Model, PartsPlan, Seen, plain_words
from triptych.models.memory.transfer import send
from triptych.models.outline import outline_by
from triptych.models.vision.fingerprint import Fingerprint

PATCH = "|SPEAKER|"
"""What a patch is among the words."""
MARKS = (PATCH, LINE_END, "|IMAGE|", "|ENDOFIMAGE|", "<s>", "<0x04>", "|ENDOFTEXT|")
"""What Fuyu's and Mantis' conversations are marked with. Mantis added two of them to the tokenizer."""
THETA = 25000.0
"""Base of the rotary positions, where a folder leaves it out."""


class FuyuModel(Model):
    """An opened Fuyu."""

    def __init__(
        self,
        network: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        processor: FuyuImageProcessorPil,
        template: Template,
        sources: Mapping[str, Provenance],
    ) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.processor = processor
        self.template = template
        self.family = "fuyu"
        self.image_token_id = int(network.config.image_token_id)
        self.sources = dict(sources)
        self._fingerprint = Fingerprint()

    @property
    def body(self) -> nn.Module:
        """The language model without its head."""
        return self.network.get_submodule("model.language_model")

    @property
    def _map(self) -> nn.Linear:
        return cast(nn.Linear, self.network.get_submodule("model.vision_embed_tokens"))

    @cached_property
    def cost(self) -> Patches:
        """Tokens of an image by its size: its patches, and a line end for each row."""
        cost = cost_of_config(self.network.config.to_dict(), self.processor.to_dict())
        assert isinstance(cost, Patches)
        return cost

    def pixels(self, image: Image) -> Seen:
        """Return the patches_PD, float32. Only its own patches of an image are padded, not all up to the limit."""
        rows, columns = self.cost.shape(image.size)
        patch = self.cost.patch_px
        shrunk = self.processor(image, do_pad=False, do_rescale=False, do_normalize=False)["images"][0][0]
        padded = self.processor(
            shrunk, size={"height": rows * patch, "width": columns * patch}, input_data_format="channels_first"
        )["images"][0][0]
        return Seen(torch.from_numpy(self.processor.patchify_image(padded)).float(), image.size)

    def encode(self, images: Sequence[Seen]) -> list[Seen]:
        """Return the patches themselves: nothing stands before the projector."""
        return list(images)

    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return tokens_KH of each; K = P."""
        patches_PD = torch.cat([seen.values for seen in features])
        patches_PD = send(patches_PD, self._map.weight.device, dtype=self._map.weight.dtype)
        return list(self._map(patches_PD).split([len(seen.values) for seen in features]))

    def inputs(self, batch: Batch, images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return what the network's own forward takes: the patches of all rows, one after the other."""
        words = plain_words(batch)
        slots = sorted(batch.slots, key=lambda slot: (slot.row, slot.start))
        shown = [images[slot.image].values for slot in slots]
        return words | ({"pixel_values": torch.cat(shown)[None]} if shown else {})

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the three parts: ``vision`` is empty, ``projector`` the map of patches."""
        return {"vision": nn.ModuleDict(), "projector": self._map, "language": self.language_part}

    def fingerprint(self) -> str:
        """Return a sha256 of the image preparation, which is all there is before the projector."""
        how = [self.network.config.model_type, self.processor.to_json_string()]
        return self._fingerprint.of(self.parts()["vision"], settings={}, how=how)

    def set_linear_projection(self, weight_CH: Tensor, bias_H: Tensor) -> None:
        """Make ``project(features)`` equal ``features @ weight_CH + bias_H``."""
        if weight_CH.shape != (self._map.in_features, self._map.out_features):
            raise ModelError(f"a map of {tuple(weight_CH.shape)} does not fit this projector, {self._map}.")
        with torch.no_grad():
            self._map.weight.copy_(weight_CH.T)
            self._map.bias.copy_(bias_H)

    def processors(self) -> Sequence[Saved]:
        """Return processor and tokenizer, with the chat template: what ``AutoProcessor`` needs."""
        self.tokenizer.chat_template = chat_template_of(self.template, PATCH)
        return (self.tokenizer, self.processor)


def teach(tokenizer: PreTrainedTokenizerBase, template: Template) -> None:
    """Make the tokenizer read marks as marks, words as words, and add no space to them; in place, and for good.

    Marks keep their ids; those that only the template has are added. Words keep the ids they have in a longer run.
    """
    known, jinja = tokenizer.get_vocab(), template.jinja
    marks = [mark for mark in MARKS if mark in known or mark in jinja]
    tokenizer.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks], special_tokens=True)
    added = tokenizer.get_added_vocab()
    backend = tokenizer.backend_tokenizer
    state = {
        "normalizer": without_space(state_of(backend.normalizer)),
        "pre_tokenizer": without_space(state_of(backend.pre_tokenizer)),
        "decoder": without_space(state_of(backend.decoder)),
    }
    read = Tokeniser(tokenizer).ids(list(added))
    if literal := sorted(token for token, ids in zip(added, read, strict=True) if added[token] in ids):
        # A model of pieces has them as pieces too: what people say is cut inside of them.
        cut = "|".join(f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in literal)
        split = {"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated", "invert": False}
        before = [state["pre_tokenizer"]] if state["pre_tokenizer"] else []
        state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, *before]}
    whole = Tokenizer.from_str(json.dumps(json.loads(Tokenizer(type(backend.model)()).to_str()) | state))
    for name in state:
        setattr(backend, name, getattr(whole, name))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = template.stop


def _grow(network: PreTrainedModel, size: int) -> None:
    """Give tokens that are new the mean of all rows: then their logit is the mean of all, never the largest."""
    table, head = network.get_input_embeddings(), network.get_output_embeddings()
    rows = int(cast(nn.Embedding, table).num_embeddings)
    if size <= rows:
        return
    network.resize_token_embeddings(size, mean_resizing=False)
    table, head = network.get_input_embeddings(), network.get_output_embeddings()
    with torch.no_grad():
        for weight in (cast(nn.Embedding, table).weight, cast(nn.Linear, head).weight):
            weight[rows:] = weight[:rows].mean(dim=0)


def _config(folder: Path) -> PreTrainedConfig:
    """Return a folder's configuration. transformers 4 left the base of the rotary positions out; 5 takes another."""
    config: PreTrainedConfig = AutoConfig.from_pretrained(folder)
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not {"rope_theta", "rope_parameters"} & said.get("text_config", {}).keys():
        config.get_text_config().rope_parameters["rope_theta"] = said.get("rope_theta", THETA)
    return config


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or anybody's Fuyu, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder.
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, the tokenizer is not Fuyu's, or nothing says which template it was tuned with.
    """
    with parts.clear_errors(folder, "a Fuyu"):
        network = parts.load_saved(folder, weights=weights, config=_config(folder))
        tokenizer = open_tokenizer(folder)
    template = template_in(folder, tokenizer.chat_template)
    number = tokenizer.get_vocab().get(PATCH)
    if number != network.config.image_token_id:
        raise ModelError(
            f"{folder}: {PATCH} has id {number} in the tokenizer, but image_token_id is "
            f"{network.config.image_token_id} in config.json: give it the tokenizer that belongs to it."
        )
    teach(tokenizer, template)
    if weights:
        _grow(network, len(tokenizer))
    return FuyuModel(
        network,
        tokenizer,
        processor=cast(FuyuImageProcessorPil, parts.load_image_processor(folder)),
        template=template,
        sources=read_note(folder).parts,
    )


def assemble(plan: PartsPlan) -> Model:
    """Refuse: a Fuyu has no tower, so none is put together from parts."""
    raise ModelError(
        f"family 'fuyu' has no tower and is not put together from parts (here {plan.vision}): "
        "open a checkpoint, e.g. `open: adept/fuyu-8b`."
    )


def tiny(seed: int, *, template: str = "mantis_fuyu_clean") -> FuyuModel:
    """Return a Fuyu with random weights: patches of 10 pixels, images up to 40 x 40, one token a byte."""
    tokenizer, chosen = toys.toy_tokenizer(), find_template(template)
    tokenizer.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in MARKS], special_tokens=True)
    teach(tokenizer, chosen)
    llama = toys.toy_llama(tokenizer, tied=False)
    shared = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    more = ("max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")
    config = FuyuConfig(
        text_config=PersimmonConfig(**{name: getattr(llama, name) for name in (*shared, *more)}),
        patch_size=10,
        image_token_id=tokenizer.get_added_vocab()[PATCH],
        tie_word_embeddings=False,
    )
    network = toys.seeded(seed, lambda: FuyuForCausalLM(config)).float().eval()
    toys.enliven(network, seed=seed)
    processor = FuyuImageProcessorPil(size={"height": 40, "width": 40}, patch_size=SizeDict(height=10, width=10))
    network.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(chosen.stop)
    return FuyuModel(network, tokenizer, processor=processor, template=chosen, sources={})


FAMILY = Family(
    about="patches of pictures of any size straight into the language model (Fuyu, Mantis-Fuyu, OtterHD)",
    model_types=("fuyu",),
    assemble=assemble,
    open=open_folder,
    outline=outline_by(assemble, open_folder),
    samples={"plain": tiny, "otterhd": partial(tiny, template="otterhd")},
)
