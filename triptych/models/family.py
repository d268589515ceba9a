"""The contract of families: what an opened multi-image model can do, and how one is made or opened.

Not a network: networks are classes of transformers, which a family adapts. A family is a file in ``families/`` that
defines ``FAMILY``. Which family opens a folder is decided by the ``model_type`` in its config.json, never by its path.

Shapes: P feature positions of an image, C channels of the tower, K tokens of an image, H hidden size of the language
model, B rows, T tokens a row, A axes of positions, N chosen positions, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import torch
from PIL.Image import Image
from torch import Tensor, device, nn
from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase

from triptych.core import plugins
from triptych.core.config import Settings
from triptych.core.errors import ModelError
from triptych.core.records import Json
from triptych.data.batch import PADDING, Batch
from triptych.data.media.images import Size
from triptych.data.plan.costs import Cost, Fixed
from triptych.data.plan.rendering import Rendering
from triptych.data.template import Template
from triptych.models.attention.packs import PackAttention
from triptych.models.disk.folder import Saved, read_note, save_folder
from triptych.models.disk.llava_checkpoint import model_type_of
from triptych.models.disk.locate import Provenance, locate
from triptych.models.heads import ScoreHead, head_in
from triptych.models.memory.transfer import send
from triptych.models.splice import count_marks, splice

Projector = Literal["linear", "mlp"]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One image on its way into the language model. Images of a batch may differ in P and K, so each goes alone."""

    values: Tensor
    """Pixels as the family's processor gives them, then the tower's features [P, C], then image tokens [K, H]."""
    size: Size
    """(width, height) of the image in pixels, from which follows how the values are laid out."""


@dataclass(frozen=True, slots=True, eq=False)
class Woven:
    """A batch as the language model is given it: words and images at their places."""

    embeds_BTH: Tensor
    positions_ABT: Tensor
    """int64; one axis, or as many as the language model's rotary positions have. Restart with each conversation."""
    segments_BT: Tensor
    """``Batch.segments_BT``: the number of each token's conversation, within which attention stays."""
    extra_inputs: Mapping[str, Tensor] = field(default_factory=dict)
    """What the network takes besides, by the names of its arguments, the first axis that of rows: media that
    cross-attention sees (Flamingo), features of lower tower layers (Qwen3-VL)."""


class Model(ABC):
    """An opened multi-image model. Its only state is the network, and the score head where it has one.

    ``weave(batch, encode(pixels))``, then ``hidden``, then ``head`` is the whole forward pass, cut where it may be
    cached (``encode``) and where it may be skipped (``head``). What is written out here is right for language models
    that see by tokens among their words; a family of another kind has its own ``weave``, ``hidden`` and ``run``.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    image_token_id: int
    family: str
    """Name of the family, a file in ``families/``."""
    sources: Mapping[str, Provenance]
    """Source, licence and digest of each part, by its name."""
    score_head: ScoreHead | None = None
    """Regression or classification head on hidden states, not inside ``network``. None: it only generates text."""
    precision: torch.dtype = torch.float32
    """Type of matrix products at inference (``memory/placement.py``); training takes it from the recipe."""
    splices: ClassVar[bool] = True
    """Whether an image's tokens stand among the words; False: beside them, for cross-attention."""

    @property
    def device(self) -> device:
        """Device of the language model's weights."""
        return self.network.device

    @property
    @abstractmethod
    def cost(self) -> Cost:
        """What images cost, exactly, by their sizes alone."""

    @property
    @abstractmethod
    def body(self) -> nn.Module:
        """The language model without its head."""

    @property
    def rendering(self) -> Rendering:
        """How conversations become its tokens: values, without its weights."""
        return Rendering(self.template, self.tokenizer, self.image_token_id, self.cost)

    @abstractmethod
    def pixels(self, image: Image) -> Seen:
        """Return the image as the tower wants it, float32."""

    def shown_as(self, span: int) -> str:
        """Return a name of what ``pixels_in`` shows in so many positions, the same for the same; empty: all."""
        return ""

    def pixels_in(self, image: Image, span: int) -> Seen:
        """Return what of the image a slot of so many positions needs, as the tower wants it, float32."""
        return self.pixels(image)

    @abstractmethod
    def encode(self, images: Sequence[Seen]) -> list[Seen]:
        """Return the tower's features_PC of each, float32; no gradient where no weight of the tower is trained.

        The tower is always in evaluation mode: its batch statistics are never touched.
        """

    @abstractmethod
    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return the image tokens_KH of each that stand in the conversation.

        Args:
            features: at least one.
            counts: K of each, where the conversation has room for fewer than the image alone would get.
        """

    def weave(self, batch: Batch, features: Sequence[Seen]) -> Woven:
        """Return the batch's words from the embedding table, every image mark in a slot replaced by its image's tokens.

        Args:
            batch: of conversations.
            features: of ``batch.images``, in their order.

        Raises:
            ModelError: slots, image marks and tokens do not count the same.
        """
        marks_BT = batch.ids_BT == self.image_token_id
        counts = count_marks(marks_BT, batch.slots, images=len(features))
        tokens = self.project(features, counts) if features else []
        words_BTH = self.network.get_input_embeddings()(send(batch.ids_BT, self.device))
        embeds_BTH = splice(words_BTH, marks_BT, slots=batch.slots, tokens=tokens)
        return Woven(embeds_BTH, send(batch.positions_BT[None], self.device), batch.segments_BT)

    def hidden(self, woven: Woven) -> Tensor:
        """Return the language model's last hidden_BTH, before the head; no conversation of a row sees another."""
        return self._packs.hidden(woven.embeds_BTH, woven.segments_BT, positions_ABT=woven.positions_ABT)

    def head(self, hidden_NH: Tensor) -> Tensor:
        """Return logits_NV of any selection of hidden states."""
        logits_NV: Tensor = self.network.get_output_embeddings()(hidden_NH)
        return logits_NV

    def run(self, woven: Woven, *, mask: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Return logits_BV of the last position, and the cache of all: one step of generation.

        Args:
            woven: the prompts, padded on the left, or with a cache what comes after it.
            mask: int64 [B, T], 1 where there is something, the cache included; or added to the scores, [B, 1, T, T].
            cache: of what stands before; None: nothing.
        """
        found = self.network(
            inputs_embeds=woven.embeds_BTH,
            attention_mask=mask,
            position_ids=woven.positions_ABT[0] if len(woven.positions_ABT) == 1 else woven.positions_ABT,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return found.logits[:, -1], found.past_key_values

    def inputs(self, batch: Batch, images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return what the network's own ``forward`` and ``generate`` take, to compare with: a conversation a row.

        Args:
            batch: of conversations.
            images: pixels of ``batch.images``, in their order.
        """
        words = plain_words(batch)
        shown = [images[slot.image].values for slot in batch.slots]
        return words | ({"pixel_values": torch.stack(shown)} if shown else {})

    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """Return ``vision``, ``projector`` (all of what connects) and ``language``: every weight of the network."""

    @property
    def language_part(self) -> nn.Module:
        """The body and its head, under the names of the causal language model they are in transformers."""
        return nn.ModuleDict({"model": self.body, "lm_head": self.network.get_output_embeddings()})

    def parts_and_head(self) -> dict[str, nn.Module]:
        """Return the parts, and the score head as ``head`` where there is one: together every weight."""
        return {**self.parts(), **({} if self.score_head is None else {"head": self.score_head})}

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a sha256 of all that ``encode(pixels(image))`` depends on but the image. Key of the feature cache."""

    @abstractmethod
    def processors(self) -> Sequence[Saved]:
        """Return the tokenizer and processors, set up to be saved with the network; files of later ones win."""

    def save(self, folder: str | Path) -> None:
        """Write a Hugging Face folder, with a ``triptych.json``: ``AutoModelForImageTextToText`` opens it.

        The score head is in a file of its own. Raises ModelError: an adapter is not merged yet.
        """
        save_folder(
            Path(folder),
            self.network,
            processors=self.processors(),
            template=self.template,
            image_tokens=self.cost.tokens((1, 1)) if isinstance(self.cost, Fixed) else None,
            sources=self.sources,
            head=self.score_head,
        )

    def set_linear_projection(self, weight_CH: Tensor, bias_H: Tensor) -> None:
        """Make ``project(features)`` equal ``features @ weight_CH + bias_H``; ModelError: it is no linear map."""
        raise ModelError(f"family {self.family!r} has no linear projector, which alone can be aligned in closed form.")

    @cached_property
    def _packs(self) -> PackAttention:
        return PackAttention(self.body, self.network.config.get_text_config())


def plain_words(batch: Batch) -> dict[str, Tensor]:
    """Return what any network of transformers takes of a batch's words: a conversation a row."""
    return {"input_ids": batch.ids_BT, "attention_mask": (batch.segments_BT != PADDING).long()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsPlan:
    """Which parts a new model is put together from."""

    vision: str
    """A folder, a hub id, or ``starter:NAME``."""
    language: str
    """A folder, a hub id, or ``starter:NAME``."""
    projector: Projector
    """``linear``: a linear map. ``mlp``: two layers with a GELU between."""
    image_tokens: int | None
    """Tokens an image costs, where the tower lets one choose; None: what the tower gives."""
    template: str
    """Name of the chat template, e.g. ``chatml``."""
    seed: int
    """Seed of the projector's initial weights."""
    projector_weights: str | None = None
    """A file of a projector that was trained alone, or a folder or hub id that holds one; None: new weights."""
    settings: Mapping[str, Json] = field(default_factory=dict)
    """Settings of the modules between the parts: keys of ``Family.settings``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of multi-image model. Its name is its file's."""

    about: str
    model_types: tuple[str, ...]
    """Values of ``model_type`` in config.json that it opens; empty where it only assembles models of another family."""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Values of ``model_type`` of folders that need code of their own, and what to do instead, in a sentence."""
    assemble: Callable[[PartsPlan], Model]
    open: Callable[[Path], Model]
    """Opens an ordinary Hugging Face folder."""
    outline: Callable[[PartsPlan | Path], Rendering] | None = None
    """``assemble(plan).rendering`` or ``open(folder).rendering`` without loading weights; None: it cannot."""
    settings: type[Settings] | None = None
    """What ``PartsPlan.settings`` may say; None: nothing."""
    samples: Mapping[str, Callable[[int], Model]] = field(default_factory=dict)
    """Toy models with random weights from a seed; the tests in ``tests/every`` run over them."""


def open_model(path: str | Path) -> Model:
    """Open a finished model, with its score head if it has one: a folder, or the id of a model on the hub.

    Raises:
        NotFoundError: nothing is there.
        ModelError: no family opens that ``model_type``.
    """
    folder = locate(str(path))
    _, family = family_of(folder)
    model = family.open(folder)
    model.score_head = head_in(folder, read_note(folder).score)
    return model


def outline_model(path: str | Path) -> Rendering:
    """Return how conversations become a finished model's tokens, without its weights where its family can do without.

    Raises:
        NotFoundError, ModelError: as ``open_model``.
    """
    folder = locate(str(path))
    _, family = family_of(folder)
    return family.open(folder).rendering if family.outline is None else family.outline(folder)


def outline_parts(family: str, plan: PartsPlan) -> Rendering:
    """Return how conversations become the tokens of a new model, without weights where its family can do without.

    Raises:
        NotFoundError, ModelError: as ``assemble``.
    """
    found = plugins.find("family", family, expected=Family)
    return found.assemble(plan).rendering if found.outline is None else found.outline(plan)


def family_of(folder: Path) -> tuple[str, Family]:
    """Return the family that opens a folder, and its name: by the ``model_type`` in its config.json.

    Raises:
        ModelError: config.json cannot be read, or no family opens its model.
    """
    return family_for(model_type_of(folder), where=str(folder))


def family_for(model_type: str, *, where: str) -> tuple[str, Family]:
    """Return the family that opens such models, and its name; ModelError, which says where: none does."""
    known, said = list[str](), ""
    for name in plugins.names("family"):
        family = plugins.find("family", name, expected=Family)
        if model_type in family.model_types:
            return name, family
        said = family.elsewhere.get(model_type, said)
        known.extend(family.model_types)
    unknown = f"no family opens model_type {model_type!r}; there are: {', '.join(sorted(known))}."
    raise ModelError(f"{where}: {f'model_type {model_type!r} {said}' if said else unknown}")


def assemble(family: str, plan: PartsPlan) -> Model:
    """Put a new model together from parts.

    Raises:
        NotFoundError: no such family, or a part is not there.
        ModelError: the parts do not fit together.
    """
    return plugins.find("family", family, expected=Family).assemble(plan)
