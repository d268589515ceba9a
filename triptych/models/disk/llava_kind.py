"""Is a folder of LLaVA's own code, which language model speaks in it, and which of its parts lie elsewhere.

Not its translation (``llava_checkpoint.py``): only config.json and the names of files are read. That code saves its
settings with the class that was tuned (``LlavaLlamaForCausalLM``), or, of a projector alone and of a merged LoRA, with
the class of the language model it began with (``LlamaForCausalLM``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from triptych.core.errors import ModelError
from triptych.models.disk.locate import ADAPTER, locate
from triptych.models.disk.missing_files import AGAIN, TOKENIZERS

LANGUAGES = {
    "LlavaLlamaForCausalLM": "llama",
    "LlavaMistralForCausalLM": "mistral",
    "LlavaQwenForCausalLM": "qwen2",
}
"""``architectures`` of the original code -> what transformers calls the language model."""
TYPES = {"llava_llama": "llama", "llava_mistral": "mistral", "llava_qwen": "qwen2"}
"""``model_type`` of the original code, likewise; an older one is ``llava``, as transformers has it too."""
BASES = {"LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral", "Qwen2ForCausalLM": "qwen2"}
"""``architectures`` of the language models, likewise."""
SAYS = ("mm_vision_tower", "mm_projector_type")
"""Settings that only the original code writes."""
PROJECTOR_ALONE = "mm_projector.bin"


def said_by(folder: Path) -> Mapping[str, object]:
    """Return a folder's config.json. Raises ModelError: there is none that can be read, or it holds no object."""
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: config.json cannot be read: {error}") from error
    if not isinstance(said, dict):
        what = "a list" if isinstance(said, list) else f"{said!r:.40}"
        raise ModelError(f"{folder}: config.json holds {what}, and an object ({{...}}) is wanted. {AGAIN}")
    return said


def language_of(said: Mapping[str, object]) -> str | None:
    """Return what transformers calls the language model of an original config.json; None: it is no original one."""
    named = said.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else None
    if architecture in LANGUAGES:
        return LANGUAGES[architecture]
    if not any(said.get(key) for key in SAYS) or architecture not in (None, *BASES):
        return None
    return TYPES.get(str(said.get("model_type"))) or BASES.get(str(architecture))


def is_original(folder: Path) -> bool:
    """Return whether a folder is of the original code. Raises ModelError: its config.json cannot be read."""
    return language_of(said_by(folder)) is not None


def class_of(said: Mapping[str, object]) -> str:
    """Return which class of the original code a config.json is of; empty: of none."""
    return next((name for name, kind in LANGUAGES.items() if kind == language_of(said)), "")


def has_weights(folder: Path) -> bool:
    """Return whether a folder holds weights of a whole model."""
    files = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    return any(not file.name.startswith("adapter_") for file in files)


def is_stage_one(folder: Path) -> bool:
    """Return whether a folder holds a projector alone."""
    return (folder / PROJECTOR_ALONE).is_file() and not has_weights(folder)


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds an adapter alone."""
    return (folder / ADAPTER).is_file() and not has_weights(folder)


def part_name(said: Mapping[str, object], key: str, *, folder: Path) -> str:
    """Return a part's name in config.json. Raises ModelError: there is none."""
    name = said.get(key)
    if not isinstance(name, str) or not name:
        raise ModelError(f"{folder}: config.json does not say {key}: write there a folder or a hub id.")
    return name


def parts_elsewhere(folder: Path) -> list[str]:
    """Return what an original folder takes from elsewhere, folders or hub ids; nothing of any other folder.

    Raises:
        ModelError: its config.json cannot be read, or does not say.
    """
    if not is_original(folder):
        return []
    keys = ["mm_vision_tower", *(["_name_or_path"] if is_stage_one(folder) else [])]
    return [part_name(said_by(folder), key, folder=folder) for key in keys]


def words_folder(folder: Path) -> Path:
    """Return where a folder's tokenizer is: a projector alone may have that of the language model it names.

    Raises:
        NotFoundError: that language model is not there.
        ModelError: nothing says which it is.
    """
    if not is_stage_one(folder) or not is_original(folder):
        return folder
    if any(True for pattern in TOKENIZERS for _ in folder.glob(pattern)):
        return folder
    return locate(part_name(said_by(folder), "_name_or_path", folder=folder))
