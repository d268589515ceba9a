"""Load what a model is put together from: a vision tower, its image preparation, a language model.

Not where they are (``disk/locate``): each is an ordinary Hugging Face folder here. Not how they are joined: that is a
family's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from logging import ERROR
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol, cast

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    CLIPImageProcessorPil,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from triptych.core.errors import ModelError, TriptychError
from triptych.models.disk.missing_files import missing_file, whole_numbers_in
from triptych.models.disk.tokenizer import open_tokenizer

SCORES = "score."
"""How published checkpoints begin the names of a score head's weights, which no network of ours has (``heads.py``)."""
SCORE = SCORES + "weight"
WEIGHT_FILE_ERRORS = (RuntimeError, SafetensorError, UnpicklingError, EOFError)
"""What reading a weight file raises that is cut off, empty, or not a weight file at all."""
ODD_SETTING_ERRORS = (AttributeError, TypeError, IndexError, ArithmeticError, RuntimeError)
"""What transformers raises that did not look at a setting before it used it."""
OPENING_ERRORS = (OSError, ValueError, KeyError, ImportError, StrictDataclassError, *ODD_SETTING_ERRORS)
"""What transformers raises for a wrong or incomplete folder."""

LIST_LINES = 6
"""Most that is told of an error that is a list: transformers says in the sixth what to install for a tokenizer."""


class ImageProcessor(Protocol):
    """What is used of an image processor of transformers."""

    def __call__(self, images: Image.Image, *, return_tensors: str) -> dict[str, Tensor]:
        """Return ``pixel_values`` [1, C, H, W]."""

    def to_dict(self) -> dict[str, object]:
        """Return the settings."""

    def to_json_string(self) -> str:
        """Return the settings as JSON, sorted."""

    def save_pretrained(self, save_directory: Path) -> object:
        """Write preprocessor_config.json."""


@dataclass(frozen=True, slots=True)
class Vision:
    """A loaded tower and how it wants its images."""

    tower: PreTrainedModel
    processor: ImageProcessor
    folder: Path | None = None
    """Folder it was loaded from; None: it was made here."""


@dataclass(frozen=True, slots=True)
class Language:
    """A loaded causal language model and its tokenizer."""

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_vision(folder: Path) -> Vision:
    """Open a vision tower, float32, and its image processor; of a two-tower model (CLIP, SigLIP) the one that sees.

    Raises:
        ModelError: no model of transformers, weights are missing, or no preprocessor_config.json.
    """
    with clear_errors(folder, "a vision tower"):
        config = AutoConfig.from_pretrained(folder)
        config = getattr(config, "vision_config", config)
        with torch.random.fork_rng(devices=[]):
            # A pooler is no part of what the language model sees. Where it is missing, it is at least always the same.
            torch.manual_seed(0)
            tower = load_network(
                partial(AutoModel.from_pretrained, config=config, dtype=torch.float32), folder, spare=["pooler"]
            )
        return Vision(tower, see_whole_pictures(load_image_processor(folder)), folder)


def load_image_processor(folder: Path) -> ImageProcessor:
    """Open an image processor of transformers, always in its Pillow version: the same pixels on every machine."""
    with clear_errors(folder, "an image processor (preprocessor_config.json)"):
        return cast(ImageProcessor, AutoImageProcessor.from_pretrained(folder, backend="pil"))


def load_language(folder: Path) -> Language:
    """Open a causal language model, float32, and its tokenizer.

    Raises:
        ModelError: no causal language model of transformers, weights are missing, or no tokenizer.
    """
    with clear_errors(folder, "a causal language model"):
        network = load_network(partial(AutoModelForCausalLM.from_pretrained, dtype=torch.float32), folder)
        return Language(network, open_tokenizer(folder))


def load_saved(folder: Path, *, weights: bool, config: PreTrainedConfig | None = None) -> PreTrainedModel:
    """Open the whole model of a folder, in the dtype it was saved in; without ``weights`` its shapes alone.

    ``config`` stands for what ``config.json`` says.

    Raises:
        ModelError: as ``load_network``.
    """
    config = AutoConfig.from_pretrained(folder) if config is None else config
    if weights:
        return load_network(partial(AutoModelForImageTextToText.from_pretrained, config=config, dtype="auto"), folder)
    with torch.device("meta"):
        return cast(PreTrainedModel, AutoModelForImageTextToText.from_config(config))


def load_network(
    open_network: Callable[..., object], folder: Path, *, spare: Sequence[str] = (), missing: set[str] | None = None
) -> PreTrainedModel:
    """Open a network in evaluation mode, with all of its weights: transformers would make up those that are missing.

    Args:
        open_network: a ``from_pretrained`` of transformers.
        folder: where it is.
        spare: words in the names of weights that may be missing.
        missing: is given the names of those that are.

    Raises:
        ModelError: weights are missing, of another shape or kind, damaged, or those of an adapter.
    """
    try:
        opened = open_network(folder, output_loading_info=True, ignore_mismatched_sizes=True)
    except WEIGHT_FILE_ERRORS as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ModelError(f"{folder}: its weights cannot be read: {why(folder, error)}") from error
    network, report = cast(tuple[PreTrainedModel, Mapping[str, set[Any]]], opened)
    if problem := whole_numbers_in(folder, float_shapes(network)):
        raise ModelError(f"{folder}: {problem}")
    if misshaped := sorted(str(name) for name, *_ in report["mismatched_keys"]):
        raise ModelError(
            f"{folder}: {len(misshaped)} weights are of another shape than config.json says, the first is "
            f"{misshaped[0]!r}."
        )
    if adapted := sorted(name for name in report["unexpected_keys"] if "lora_" in name):
        raise ModelError(
            f"{folder}: {len(adapted)} weights are those of an adapter, the first is {adapted[0]!r}: merge it first."
        )
    scored = any(name.startswith(SCORES) for name in report["unexpected_keys"])
    if (words := network.get_output_embeddings()) is not None and scored:
        # Published for scores alone, without a head for words: with one of zeros it says nothing, and not noise.
        spare = [*spare, "lm_head"]
        if any("lm_head" in name for name in report["missing_keys"]):
            words.weight.data.zero_()
    if lost := {name for name in report["missing_keys"] if not any(word in name for word in spare)}:
        raise ModelError(f"{folder}: {len(lost)} weights are missing, the first is {min(lost)!r}.")
    if missing is not None:
        missing.update(report["missing_keys"])
    network.eval()
    return network


def float_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's weights of floating point, by their names."""
    return {name: tuple(each.shape) for name, each in network.named_parameters() if each.is_floating_point()}


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Raise ModelError unless the tokenizer knows words: transformers makes an empty one where its files are gone."""
    if not tokenizer.get_vocab().keys() - tokenizer.get_added_vocab().keys() - set(tokenizer.all_special_tokens):
        raise ModelError(f"{folder}: its tokenizer knows no words: put the model's tokenizer.json there.")


def see_whole_pictures(processor: ImageProcessor) -> ImageProcessor:
    """Return a processor that squeezes an image to the tower's size where this one would cut off its sides.

    A crop loses what a question may be about, silently. Size, mean, deviation and filter stay the tower's.
    """
    settings = processor.to_dict()
    size = settings.get("size")
    if not settings.get("do_center_crop") and isinstance(size, dict) and {"height", "width"} <= set(size):
        return processor
    height, width = blank_pixels(processor).shape[-2:]
    kept = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "resample")
    return cast(
        ImageProcessor,
        CLIPImageProcessorPil.from_dict(
            {name: settings[name] for name in kept if name in settings}
            | {"size": {"height": height, "width": width}, "do_resize": True, "do_center_crop": False}
            | {"do_convert_rgb": True}
        ),
    )


def blank_pixels(processor: ImageProcessor, width: int = 64, *, height: int = 64) -> Tensor:
    """Return pixels [1, C, H, W] of a grey image: what the tower is asked with to learn its shapes."""
    grey = Image.fromarray(np.full((height, width, 3), 127, dtype=np.uint8))
    return processor(grey, return_tensors="pt")["pixel_values"]


@contextmanager
def seeing(tower: nn.Module) -> Iterator[None]:
    """Let a tower see as ``Model.encode`` promises: in evaluation mode, with gradients only where a weight trains."""
    trained = any(weight.requires_grad for weight in tower.eval().parameters())
    with torch.set_grad_enabled(torch.is_grad_enabled() and trained):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing its own progress bars, and from telling at length what is told here in a line."""
    drawing, told = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(max(told, ERROR))
    try:
        yield
    finally:
        logging.set_verbosity(told)
        if drawing:
            logging.enable_progress_bar()


@contextmanager
def clear_errors(folder: Path, what: str) -> Iterator[None]:
    """Turn what transformers raises for a wrong or incomplete folder into one line."""
    try:
        with quiet():
            yield
    except OPENING_ERRORS as error:
        if isinstance(error, TriptychError | torch.OutOfMemoryError):
            raise
        raise ModelError(f"{folder} cannot be opened as {what}: {why(folder, error)}") from error


def why(folder: Path, error: Exception) -> str:
    """Return what is wrong with a folder that another library could not open, in one line."""
    if found := missing_file(folder, str(error)):
        return found
    if isinstance(error, ODD_SETTING_ERRORS) and not isinstance(error, WEIGHT_FILE_ERRORS):
        said = f"{type(error).__name__}: {reason(error)}"
        return f"one of its settings is not what transformers expects ({said}). Compare its *.json with the published."
    return reason(error)


def reason(error: Exception) -> str:
    """Return what an error of another library says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return " ".join(lines[:LIST_LINES]) if lines[0].endswith(":") else lines[0]
