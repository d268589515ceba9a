"""What a model's folder lacks that cannot be opened: files that are not there, break off, or say what cannot be.

Not a check of a whole folder (``check.py``): it is asked when opening has failed, to name the file to be brought again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast
from zipfile import is_zipfile

INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
"""The weights where they are one file, which has no index."""
PICKLE = "pytorch_model.bin"
"""Likewise, as torch itself writes them; looked for where there are no safetensors."""
PICKLE_INDEX = f"{PICKLE}.index.json"
WEIGHTS = ("*.safetensors", "*.bin")
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "tekken.json", "*.tiktoken")
"""Any of them makes a tokenizer."""
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
AGAIN = "Was the folder copied or downloaded whole? Bring that file again."
OBJECTS = frozenset(
    {INDEX, PICKLE_INDEX, *PROCESSORS, *(f"{name}.json" for name in ("config", "generation_config", "tokenizer"))}
    | {f"{name}.json" for name in ("tokenizer_config", "special_tokens_map", "added_tokens")}
)
"""Files of JSON that hold an object with names, nothing else."""
READ = OBJECTS | {"adapter_config.json", "chat_template.json", "vocab.json", "tekken.json"}
"""Files of JSON that are read where a model is opened. Others, such as a trainer's, are no matter of it."""
SIZES = ("hidden_size", "intermediate_size", "num_attention_heads", "patch_size", "image_size", "vocab_size")
"""Settings of config.json that are above 0."""
FLOATS = (
    "auto",
    "bfloat16",
    "float16",
    "float32",
    "float64",
    "half",
    "float",
    "double",
    "float8_e4m3fn",
    "float8_e5m2",
)
"""What config.json may call the type of weights."""
POINTER = b"version https://git-lfs"
ZIPPED = b"PK\x03\x04"
"""How a file begins that torch writes since 1.6."""
COUNTED = 8
"""Bytes at the beginning of a safetensors file, which say how many the header has behind them."""


def missing_file(folder: Path, said: str) -> str | None:
    """Return which file a folder lacks, in one line that says what to do; None: nothing is seen to be missing.

    Args:
        folder: of a model, or of a part.
        said: what the library said that could not open it.
    """
    loaded = _loaded(folder)
    objects = [path for path in sorted(folder.glob("*.json")) if path.name in READ]
    weights = loaded or [path for pattern in WEIGHTS for path in sorted(folder.glob(pattern))]
    for path in [*objects, *weights, *(path for pattern in TOKENIZERS for path in sorted(folder.glob(pattern)))]:
        if problem := unreadable(path) or _pointing(path):
            return f"{path.name} {problem}"
    for path in objects:
        if problem := _torn(path):
            return f"{path.name} {problem}. {AGAIN}"
    if problem := _lost_shard(folder):
        return f"{problem}. {AGAIN}"
    for path in loaded or sorted(folder.glob(WEIGHTS[0])):
        if problem := _torn_pickle(path) if path.suffix == ".bin" else _torn_weights(path):
            return f"{path.name} {problem}. {AGAIN}"
    if "safetensors" in said and not any(True for pattern in WEIGHTS for _ in folder.glob(pattern)):
        return f"its weights are missing: there is no file like {' or '.join(WEIGHTS)}. {AGAIN}"
    said = said.lower()
    if "tokenizer" in said and not any(True for pattern in TOKENIZERS for _ in folder.glob(pattern)):
        return f"its tokenizer is missing: there is no {TOKENIZERS[0]}, nor another file of one. {AGAIN}"
    if "processor" in said and not any((folder / name).is_file() for name in PROCESSORS):
        return f"there is no {' and no '.join(PROCESSORS)}. {AGAIN}"
    return odd_setting(folder)


def unreadable(path: Path) -> str | None:
    """Return why a file that is there cannot even be begun to be read, and what to do; None: it can.

    Some libraries say of each of these that there is no such file.
    """
    if path.is_symlink() and not path.exists():
        return f"is a link to {path.readlink()}, which is not there. Bring that file, or put the file itself here."
    if path.is_dir():
        return "is a folder, and a file is wanted. Put the file there."
    if path.exists() and not os.access(path, os.R_OK):
        return "may not be read by this user (permission denied). Give it read permission."
    return None


def odd_setting(folder: Path) -> str | None:
    """Return which setting of a folder's config.json cannot be, and what to do; None: none is seen."""
    file = folder / "config.json"
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for name, value in _settings(said):
        key = name.rpartition(".")[2]
        if key in ("dtype", "torch_dtype") and not _is_dtype(value):
            return f"config.json: {name} is {value!r}, which is no type of floats: write bfloat16, float16 or float32."
        if key in SIZES and isinstance(value, int) and value < 1:
            return (
                f"config.json: {name} is {value}, and a number above 0 is wanted. Compare it with the published file."
            )
    return None


def whole_numbers_in(folder: Path, floats: Mapping[str, Sequence[int]]) -> str | None:
    """Return which weights a folder holds as whole numbers that its network has as floats, and what to do; None: none.

    Where config.json has a ``quantization_config``, whole numbers stand for others, and are no matter of this.

    Args:
        folder: a model's, or a part's, whose weights can be read.
        floats: shapes of the network's weights of floating point, by their names.
    """
    file = folder / "config.json"
    if file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("quantization_config"):
        return None
    # Files may call the parts otherwise than the network: the last two words and the shape say enough.
    wanted = {(tuple(name.split(".")[-2:]), tuple(shape)) for name, shape in floats.items()}
    for path in _loaded(folder):
        held = _pickled(path) if path.suffix == ".bin" else _whole_numbers(path)
        found = {name: kind for name, (kind, shape) in held.items() if (tuple(name.split(".")[-2:]), shape) in wanted}
        if found:
            first = min(found)
            return (
                f"{path.name}: {len(found)} weights are whole numbers (the first is {first!r}, {found[first]}), and "
                "config.json has no quantization_config that says what they stand for. Bring the published model's "
                "config.json, or its weights as floats."
            )
    return None


def _loaded(folder: Path) -> list[Path]:
    """Return the files of weights that are there and that are loaded: the whole one, else those that an index names.

    Safetensors, else pickles. What else lies beside them is no matter of the model.
    """
    for whole, index in ((WHOLE, INDEX), (PICKLE, PICKLE_INDEX)):
        if os.path.lexists(folder / whole):
            return [folder / whole]
        if (folder / index).is_file():
            return [folder / name for name in _named_in(folder / index) if os.path.lexists(folder / name)]
    return []


def _named_in(index: Path) -> list[str]:
    """Return the files that an index names, nothing where it cannot be read."""
    try:
        said = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    named = said.get("weight_map") if isinstance(said, dict) else None
    return sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []


def _whole_numbers(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of the weights that a safetensors file holds as whole numbers, by their names."""
    said = (_header(path) or {}).items()
    return {name: (each["dtype"], tuple(each["shape"])) for name, each in said if each["dtype"][0] in "IU"}


def _pickled(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the same of a file that torch wrote; nothing where it is of another kind."""
    import torch  # which takes seconds to load, where pickles are asked for alone

    lazily: dict[str, Any] = {"mmap": True} if is_zipfile(path) else {}
    try:
        said = torch.load(path, map_location="cpu", weights_only=True, **lazily)
    except (UnpicklingError, RuntimeError):
        return {}
    weights = said.items() if isinstance(said, dict) else ()
    whole = [(name, each) for name, each in weights if isinstance(each, torch.Tensor) and not each.is_floating_point()]
    return {str(name): (str(each.dtype), tuple(each.shape)) for name, each in whole if each.dtype != torch.bool}


def torn_object(path: Path) -> str | None:
    """Return that a file of JSON holds no object with names, though one is wanted; None: it does, or is not there."""
    problem = _torn(path) if path.is_file() else None
    return f"{path} {problem}. {AGAIN}" if problem else None


def _settings(said: object, before: str = "") -> Iterator[tuple[str, object]]:
    """Yield what an object of JSON says, and what those within it say, by names as in ``text_config.hidden_size``."""
    for name, value in said.items() if isinstance(said, dict) else ():
        yield f"{before}{name}", value
        yield from _settings(value, f"{before}{name}.")


def _is_dtype(value: object) -> bool:
    """Return whether a setting may say this of the type of weights."""
    if not isinstance(value, str):
        return value is None or isinstance(value, dict)
    return value.removeprefix("torch.") in FLOATS


def _pointing(path: Path) -> str | None:
    """Return that a file is only what git-lfs puts in the place of one, and what to do; None: it is not."""
    with path.open("rb") as file:
        if file.read(len(POINTER)) != POINTER:
            return None
    return "is a pointer of git-lfs, not the file itself. Bring the file: `git lfs pull` where it was cloned."


def _torn(path: Path) -> str | None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError:
        return "is empty" if not path.stat().st_size else "breaks off or is no JSON"
    if path.name in OBJECTS and not isinstance(said, dict):
        what = "a list" if isinstance(said, list) else f"{said!r:.40}"
        return f"holds {what}, and an object ({{...}}) is wanted"
    if path.name == TOKENIZERS[0] and not isinstance(said.get("model"), dict):
        return "has no model, an object, which is what cuts words"
    return None


def _torn_pickle(path: Path) -> str | None:
    """Return why a file that torch wrote cannot be whole; None: nothing is seen. Old ones say nothing of their size."""
    if not path.stat().st_size:
        return "is empty"
    with path.open("rb") as file:
        begins = file.read(len(ZIPPED))
    return "breaks off" if begins == ZIPPED and not is_zipfile(path) else None


def _torn_weights(path: Path) -> str | None:
    """Return why a safetensors file cannot be whole, by its size and its header; None: it is."""
    size = path.stat().st_size
    if not size:
        return "is empty"
    with path.open("rb") as file:
        length = int.from_bytes(file.read(COUNTED), "little")
        begins = file.read(1)
    if begins not in (b"{", b""):
        return "is no file of weights"
    if size < COUNTED + length:
        return f"breaks off: {size:,} bytes, and its header alone has {length:,}" if begins else "breaks off"
    header = _header(path)
    if header is None:
        return "is no file of weights"
    whole = COUNTED + length + max((said["data_offsets"][1] for said in header.values()), default=0)
    if size < whole:
        return f"breaks off: {size:,} of its {whole:,} bytes are there"
    return f"has {size:,} bytes, and its header speaks of {whole:,}" if size > whole else None


def _header(path: Path) -> dict[str, dict[str, Any]] | None:
    """Return what a safetensors file says of each of its weights; None: it is none."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(COUNTED), "little")
        try:
            said = json.loads(file.read(length if length < path.stat().st_size else 0))
        except ValueError:
            return None
    weights = {name: value for name, value in said.items() if name != "__metadata__"} if isinstance(said, dict) else {}
    return weights if all(isinstance(each, dict) and _placed(each) for each in weights.values()) else None


def _placed(weight: Mapping[str, object]) -> bool:
    """Return whether a header says of a weight what its shape is and where it begins and ends."""
    lists = [weight.get("shape"), weight.get("data_offsets")]
    numbers = all(isinstance(each, list) and all(isinstance(number, int) for number in each) for each in lists)
    return numbers and len(cast(list[int], lists[1])) == 2 and isinstance(weight.get("dtype"), str)


def _lost_shard(folder: Path) -> str | None:
    """Return what is missing of weights in several files, or of the index that names them; None: nothing is."""
    index = INDEX
    if not (folder / INDEX).is_file():
        shards = [] if (folder / WHOLE).is_file() else sorted(folder.glob("model-*-of-*.safetensors"))
        if shards:
            return f"{INDEX} is missing, which says what is in which of the {len(shards)} files of weights"
        index = PICKLE_INDEX
        if not (folder / index).is_file() or any((folder / name).is_file() for name in (WHOLE, PICKLE)):
            return None
    said = json.loads((folder / index).read_text(encoding="utf-8"))
    for name in ("weight_map", "metadata"):
        if not isinstance(said.get(name), dict):
            return f"{index} has no {name}, an object"
    named = _named_in(folder / index)
    lost = [name for name in named if not (folder / name).is_file()]
    return f"{lost[0]} is missing ({len(lost)} of the {len(named)} files that {index} names)" if lost else None
