"""What a model's folder lacks that cannot be opened: files that are not there, break off, or may not be read.

Not a check of a whole folder (``check.py``): it is asked when opening has failed, to name the file to be brought again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

INDEX = "model.safetensors.index.json"
WEIGHTS = ("*.safetensors", "*.bin")
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "tekken.json", "*.tiktoken")
"""Any of them makes a tokenizer."""
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
AGAIN = "Was the folder copied or downloaded whole? Bring that file again."


def missing_file(folder: Path, said: str) -> str | None:
    """Return which file a folder lacks, in one line that says what to do; None: nothing is seen to be missing.

    Args:
        folder: of a model, or of a part.
        said: what the library said that could not open it.
    """
    for pattern in ("*.json", *WEIGHTS, *TOKENIZERS):
        for path in sorted(folder.glob(pattern)):
            if problem := unreadable(path):
                return f"{path.name} {problem}"
    for path in sorted(folder.glob("*.json")):
        if problem := _torn(path):
            return f"{path.name} {problem}. {AGAIN}"
    if shards := _shards(folder):
        lost = sorted(name for name in shards if not (folder / name).is_file())
        if lost:
            return f"{lost[0]} is missing ({len(lost)} of the {len(shards)} files that {INDEX} names). {AGAIN}"
    if "safetensors" in said and not any(True for pattern in WEIGHTS for _ in folder.glob(pattern)):
        return f"its weights are missing: there is no file like {' or '.join(WEIGHTS)}. {AGAIN}"
    said = said.lower()
    if "tokenizer" in said and not any(True for pattern in TOKENIZERS for _ in folder.glob(pattern)):
        return f"its tokenizer is missing: there is no {TOKENIZERS[0]}, nor another file of one. {AGAIN}"
    if "processor" in said and not any((folder / name).is_file() for name in PROCESSORS):
        return f"there is no {' and no '.join(PROCESSORS)}. {AGAIN}"
    return None


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


def _torn(path: Path) -> str | None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError:
        return "is empty" if not path.stat().st_size else "breaks off or is no JSON"
    return None


def _shards(folder: Path) -> set[str]:
    """Return the files that the index of the weights names; none where there is no index."""
    if not (folder / INDEX).is_file():
        return set()
    said = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    named = said.get("weight_map") if isinstance(said, dict) else None
    return {str(name) for name in named.values()} if isinstance(named, dict) else set()
