"""Is a model's folder what it should be: its family, template, special tokens, token counts, weights and stop.

Not an opened model: no weight is read, only names and shapes. Each check is one line for people; what cannot be tried
on this machine says so and counts as neither right nor wrong.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, cast

import torch
from PIL.Image import Image, new
from torch import Tensor
from transformers import AutoProcessor, GenerationConfig, ProcessorMixin
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from triptych.core.errors import ModelError, TriptychError
from triptych.core.records import Json
from triptych.data.media.images import Size
from triptych.data.plan.rendering import Rendering
from triptych.data.template import stop_id
from triptych.data.text.tokenise import tokeniser_of
from triptych.models import parts
from triptych.models.disk.llava_checkpoint import config_of, model_type_of
from triptych.models.disk.llava_kind import class_of, is_adapter, is_original, said_by, words_folder
from triptych.models.disk.locate import ADAPTER, how_to_merge, locate
from triptych.models.disk.recognise import Recognised, recognise
from triptych.models.disk.tokenizer import open_tokenizer
from triptych.models.disk.weight_check import Check, NotTriedError, WrongError, check_score, check_weights, checked
from triptych.models.family import Family, family_of
from triptych.models.parts import quiet

SIZES: tuple[Size, ...] = ((336, 336), (640, 480), (480, 640), (1280, 720), (200, 1000), (64, 48))
"""(width, height) in pixels of the images that are counted."""

UNFOLLOWED: Mapping[str, object] = {
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1,
    "exponential_decay_length_penalty": None,
    "forced_eos_token_id": None,
    "guidance_scale": 1,
    "min_length": 0,
    "min_new_tokens": 0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "penalty_alpha": 0,
    "sequence_bias": None,
    "stop_strings": None,
    "suppress_tokens": None,
    "watermarking_config": None,
}
"""What ``generate`` of transformers follows though told to be greedy, and we do not; each with what does nothing."""


@dataclass(frozen=True, slots=True)
class Info:
    """What a folder is, without its weights."""

    folder: Path
    family: str
    model_type: str
    original: str
    """The class of another code whose layout it has; empty: it is one of transformers."""
    template: str
    template_by: str
    image_token: str
    image_token_id: int
    tokens: Mapping[str, int]
    """Tokens an image costs, by its size in pixels: ``640x480``."""

    def record(self) -> Json:
        """Return it as JSON has it."""
        return asdict(self) | {"folder": str(self.folder)}


def inform(path: str) -> Info:
    """Return what a folder or hub id is.

    Raises:
        NotFoundError, ModelError: it is not there, or no model that can be opened.
    """
    folder = _located(path)
    name, family = family_of(folder)
    rendering = _rendering(folder, family)
    recognised = _recognised(folder, rendering)
    return Info(
        folder=folder,
        family=name,
        model_type=model_type_of(folder),
        original=class_of(said_by(folder)),
        template=rendering.template.name,
        template_by=recognised.how,
        image_token=str(rendering.tokenizer.convert_ids_to_tokens(rendering.image_token_id)),
        image_token_id=rendering.image_token_id,
        tokens={f"{wide}x{high}": rendering.cost.tokens((wide, high)) for wide, high in SIZES},
    )


def check_model(path: str) -> Iterator[Check]:
    """Yield what each check finds; where the folder cannot even be read, that is the last.

    Raises:
        NotFoundError: nothing is there.
    """
    try:
        folder = _located(path)
        name, family = family_of(folder)
    except ModelError as error:
        yield Check("family", "wrong", str(error))
        return
    original = class_of(said_by(folder))
    model_type = model_type_of(folder)
    kind = f"{original} of its own code, as {model_type}" if original else f"model_type {model_type}"
    yield Check("family", "ok", f"{name} ({kind})")
    try:
        rendering = _rendering(folder, family)
        recognised = _recognised(folder, rendering)
    except TriptychError as error:
        yield Check("template", "wrong", str(error))
        yield check_weights(folder)
        return
    yield Check("template", "ok", f"{rendering.template.name}: {recognised.how}")
    yield checked("tokens", partial(_special_tokens, rendering))
    yield checked("counts", partial(_counts, folder, rendering))
    weights = check_weights(folder)
    yield weights
    yield checked("stop", partial(_stop, folder, rendering))
    yield from check_score(folder, weights)


class Writer(Protocol):
    """A processor of transformers: words and images -> ids."""

    def __call__(self, *, text: str, images: list[Image], return_tensors: str) -> Mapping[str, Tensor]:
        """Return ``input_ids`` and more."""


_FAILS = (ImportError, OSError, ValueError, AttributeError, TypeError, LookupError, ArithmeticError, RuntimeError)
"""What processors of transformers raise for folders that they cannot read, and images that they cannot do."""


def own_processor(folder: Path) -> Writer:
    """Return a folder's own processor of transformers, for images alone where the one for videos cannot be made.

    Raises:
        ImportError, OSError, ValueError, AttributeError, TypeError, LookupError, ArithmeticError, RuntimeError: it
            cannot be made here.
    """
    try:
        return cast(Writer, AutoProcessor.from_pretrained(folder, backend="pil"))
    except (ImportError, AttributeError, ValueError):
        config = config_of(folder)
        kind = cast(type[ProcessorMixin], PROCESSOR_MAPPING[type(config)])
        if "video_processor" not in kind.get_attributes():
            raise

    def accept(self: ProcessorMixin, name: str, argument: object) -> object:
        return (
            type(argument) if name == "video_processor" else kind.check_argument_for_proper_class(self, name, argument)
        )

    silent = type(kind.__name__, (kind,), {"check_argument_for_proper_class": accept})
    file = folder / "processor_config.json"
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    takes = inspect.signature(kind).parameters.keys() - {"image_processor", "tokenizer", "video_processor"}
    settings = {name: value for name, value in said.items() if name in takes}
    images, tokenizer = parts.load_image_processor(folder), open_tokenizer(folder)
    return cast(Writer, silent(image_processor=images, tokenizer=tokenizer, video_processor=None, **settings))


def _located(path: str) -> Path:
    """Return the folder of a model. Raises as ``locate``, and ModelError: it holds an adapter alone."""
    folder = Path(path).expanduser()
    folder = folder if (folder / ADAPTER).is_file() else locate(path)
    if is_adapter(folder) and not ((folder / "config.json").is_file() and is_original(folder)):
        raise ModelError(f"{path} is an adapter ({ADAPTER}), no whole model: {how_to_merge(path)}.")
    return locate(path)


def _rendering(folder: Path, family: Family) -> Rendering:
    return family.open(folder).rendering if family.outline is None else family.outline(folder)


def _recognised(folder: Path, rendering: Rendering) -> Recognised:
    """Return how the template is known; a family may know one for folders that do not say."""
    try:
        return recognise(folder, rendering.tokenizer.chat_template, words=words_folder(folder))
    except ModelError:
        return Recognised(rendering.template, "its family's, where a folder names none")


def _special_tokens(rendering: Rendering) -> str:
    tokenizer, number = rendering.tokenizer, rendering.image_token_id
    token = str(tokenizer.convert_ids_to_tokens(number))
    if number not in tokenizer.added_tokens_decoder:
        raise WrongError(
            f"the image token {token!r} ({number}) is no added token of the tokenizer: words could become it."
        )
    if number in tokeniser_of(tokenizer).ids([f"a {token} b"])[0]:
        raise WrongError(f"words that hold {token!r} become the image token: add it as a special token.")
    stop = stop_id(rendering.template, tokenizer)
    return f"image {token!r} ({number}), stop {rendering.template.stop!r} ({stop})"


def _counts(folder: Path, rendering: Rendering) -> str:
    """Compare what images cost with what the folder's own processor writes."""
    if is_original(folder):
        raise NotTriedError("LLaVA's own code has no processor to compare with")
    try:
        with quiet():
            write = own_processor(folder)
    except _FAILS as error:
        raise NotTriedError(f"its own processor cannot be made here: {parts.reason(error)}") from error
    token = str(rendering.tokenizer.convert_ids_to_tokens(rendering.image_token_id))
    for size in SIZES:
        own, theirs = rendering.cost.tokens(size), _written(write, token, rendering.image_token_id, size)
        if theirs == 1 < own:
            raise NotTriedError("its own processor writes one token an image; the network of its time made the others")
        if own != theirs:
            raise WrongError(f"a picture of {size[0]}x{size[1]} is {own} tokens here, {theirs} by its own processor.")
    told = sorted({rendering.cost.tokens(size) for size in SIZES})
    span = f"{told[0]}" if len(told) == 1 else f"{told[0]} to {told[-1]}"
    return f"{span} tokens for {len(SIZES)} sizes of pictures, as its own processor has them"


def _written(write: Writer, token: str, number: int, size: Size) -> int:
    """Return how many image tokens a processor writes for an image; Fuyu's wants none in the words, Gemma's a mark."""
    failed: Exception | None = None
    for text in dict.fromkeys((token, str(getattr(write, "image_token", token)), "a")):
        try:
            made = write(text=text, images=[new("RGB", size, "grey")], return_tensors="pt")
        except _FAILS as error:
            failed = failed or error
            continue
        return int((torch.as_tensor(made["input_ids"][0]) == number).sum())
    assert failed is not None
    raise NotTriedError(f"its own processor fails here: {parts.reason(failed)}")


def unfollowed(settings: GenerationConfig) -> list[str]:
    """Return what these settings say that changes greedy replies of ``generate`` and is not followed here, by name."""
    said = {name: getattr(settings, name, None) for name in UNFOLLOWED}
    return [name for name, value in said.items() if value not in (None, [], UNFOLLOWED[name])]


def _stop(folder: Path, rendering: Rendering) -> str:
    stop, token = stop_id(rendering.template, rendering.tokenizer), rendering.template.stop
    file = folder / "generation_config.json"
    if not file.is_file():
        raise NotTriedError(f"no generation_config.json; here a reply ends with {token!r} all the same")
    try:
        with quiet():
            settings = GenerationConfig.from_pretrained(folder)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WrongError(
            f"generation_config.json cannot be read: {parts.reason(error)}. Bring that file again."
        ) from error
    said, penalty = settings.eos_token_id, settings.repetition_penalty
    stops = said if isinstance(said, list) else [said]
    if stop not in stops:
        raise WrongError(f"generation_config.json stops at {json.dumps(said)}, the template's replies end with {stop}.")
    if penalty is not None and not (isinstance(penalty, int | float) and penalty > 0):
        raise WrongError(
            f"generation_config.json: repetition_penalty is {json.dumps(penalty)}, and a number above 0 is wanted (1: "
            "none); it is not followed."
        )
    others = [str(each) for each in stops if each != stop]
    more = f", and with {', '.join(others)}" if others else ""
    more += f"; the penalty for repeating is its {penalty:g}" if penalty not in (None, 1) else ""
    if ignored := unfollowed(settings):
        more += f"; not followed here, though it changes what generate says greedily: {', '.join(ignored)}"
    return f"replies end with {token!r} ({stop}), as generation_config.json says{more}"
