"""The contract of families: what an opened multi-image model can do, and how one is made or opened.

Not a network: networks are classes of transformers, which a family adapts. A family is a file in ``families/`` that
defines ``FAMILY``. Which family opens a folder is decided by the ``model_type`` in its config.json, never by its path.

Shapes: N distinct images, P feature positions an image, C channels of the tower, K tokens an image, H hidden size of
the language model, B rows, T tokens a row, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from PIL.Image import Image
from torch import Tensor, device, nn
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from triptych.core import plugins
from triptych.core.errors import ModelError
from triptych.core.records import ImageRef
from triptych.data.batch import BatchSlot
from triptych.data.plan.costs import Cost, Fixed
from triptych.data.plan.rendering import Rendering
from triptych.data.template import Template
from triptych.models.parts import locate

Projector = Literal["linear", "mlp"]


class Model(ABC):
    """An opened multi-image model. Its only state is the network.

    ``embed(ids, slots, project(encode(pixels)))``, then ``hidden``, then ``head`` is the whole forward pass, cut where
    it may be cached (``encode``) and where it may be skipped (``head``).
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    image_token_id: int
    family: str
    """Name of the family, a file in ``families/``."""

    @property
    def device(self) -> device:
        """Where the language model's weights are."""
        return self.network.device

    @abstractmethod
    def count_image_tokens(self, image: ImageRef) -> int:
        """Return K, exactly, without looking at a pixel."""

    @property
    def cost(self) -> Cost:
        """What images cost, as a value. A family whose images cost by their sizes says so itself."""
        return Fixed(self.count_image_tokens(ImageRef("")))

    @property
    def rendering(self) -> Rendering:
        """How conversations become its tokens: values, without its weights."""
        return Rendering(self.template, self.tokenizer, self.image_token_id, self.cost)

    @abstractmethod
    def feature_shape(self) -> tuple[int, int]:
        """Return (P, C) of ``encode``."""

    @abstractmethod
    def pixels(self, image: Image) -> Tensor:
        """Return the picture as the tower wants it: CHW, float32."""

    @abstractmethod
    def encode(self, pixels_NCHW: Tensor) -> Tensor:
        """Return the tower's features_NPC, float32; no gradient where no weight of the tower is trained.

        The tower is always in evaluation mode: its batch statistics are never touched.
        """

    @abstractmethod
    def project(self, features_NPC: Tensor) -> Tensor:
        """Return the image tokens_NKH that stand in the conversation."""

    @abstractmethod
    def embed(self, ids_BT: Tensor, slots: Sequence[BatchSlot], tokens_NKH: Tensor | None) -> Tensor:
        """Return embeds_BTH: words from the embedding table, every slot filled with its image's tokens.

        Raises:
            ModelError: slots, image marks in ``ids_BT`` and tokens do not count the same.
        """

    @abstractmethod
    def hidden(self, embeds_BTH: Tensor, *, segments_BT: Tensor | None, positions_BT: Tensor | None) -> Tensor:
        """Return the language model's last hidden_BTH, before the head.

        Args:
            embeds_BTH: from ``embed``.
            segments_BT: number of each token's conversation (``Batch.segments_BT``), beyond which nobody looks; None:
                a row is one conversation.
            positions_BT: int64, restarting at 0 for each example; None: counted from 0.
        """

    @abstractmethod
    def head(self, hidden_NH: Tensor) -> Tensor:
        """Return logits_NV of any selection of hidden states."""

    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """Return ``vision``, ``projector`` and ``language``: together every weight, each in one part only."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a sha256 of all that ``encode(pixels(image))`` depends on but the image. Key of the feature cache."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write an ordinary Hugging Face folder: ``AutoModelForImageTextToText.from_pretrained`` opens it.

        Raises:
            ModelError: an adapter is not merged yet.
        """

    @abstractmethod
    def set_linear_projection(self, weight_CH: Tensor, bias_H: Tensor) -> None:
        """Make ``project(features)`` equal ``features @ weight_CH + bias_H``.

        Raises:
            ModelError: the projector is no linear map.
        """


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
    """Of the projector's first weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of multi-image model. Its name is its file's."""

    about: str
    model_types: tuple[str, ...]
    """What ``config.json`` calls it; empty for a family that only makes models of another one."""
    assemble: Callable[[PartsPlan], Model]
    open: Callable[[Path], Model]
    """From an ordinary Hugging Face folder."""
    outline: Callable[[PartsPlan | Path], Rendering] | None = None
    """``assemble(plan).rendering`` or ``open(folder).rendering`` without loading weights; None: it cannot."""
    samples: Mapping[str, Callable[[int], Model]] = field(default_factory=dict)
    """Toy models with random weights from a seed; the tests in ``tests/every`` run over them."""


def open_model(path: str | Path) -> Model:
    """Open a finished model: a folder, or the id of a model on the hub.

    Raises:
        NotFoundError: nothing is there.
        ModelError: no family opens that ``model_type``.
    """
    folder, family = _family_of(path)
    return family.open(folder)


def outline_model(path: str | Path) -> Rendering:
    """Return how conversations become a finished model's tokens, without its weights where its family can do without.

    Raises:
        NotFoundError, ModelError: as ``open_model``.
    """
    folder, family = _family_of(path)
    return family.open(folder).rendering if family.outline is None else family.outline(folder)


def outline_parts(family: str, plan: PartsPlan) -> Rendering:
    """Return how conversations become the tokens of a new model, without weights where its family can do without.

    Raises:
        NotFoundError, ModelError: as ``assemble``.
    """
    found = plugins.find("family", family, Family)
    return found.assemble(plan).rendering if found.outline is None else found.outline(plan)


def _family_of(path: str | Path) -> tuple[Path, Family]:
    folder = locate(str(path))
    try:
        model_type = AutoConfig.from_pretrained(folder).model_type
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{path}: config.json cannot be read as a model of transformers: {reason}") from error
    known: list[str] = []
    for name in plugins.names("family"):
        family = plugins.find("family", name, Family)
        if model_type in family.model_types:
            return folder, family
        known.extend(family.model_types)
    raise ModelError(f"{path}: no family opens model_type {model_type!r}; there are: {', '.join(sorted(known))}.")


def assemble(family: str, plan: PartsPlan) -> Model:
    """Put a new model together from parts.

    Raises:
        NotFoundError: no such family, or a part is not there.
        ModelError: the parts do not fit together.
    """
    return plugins.find("family", family, Family).assemble(plan)
