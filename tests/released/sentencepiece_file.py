"""A SentencePiece model of Llama's kind as ``tokenizer.json``, and its pieces replaced. The standard library alone."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
SPECIAL = ("<unk>", "<s>", "</s>")
PIECES, PIECE, SCORE, KIND = 1, 1, 2, 3
"""Numbers of fields: a model's pieces; in one of them its words, score and kind."""
UNKNOWN, CONTROL, WORDS, BYTE = 2, 3, 1, 6
BYTES = 256


def spelled(model: bytes, *, merges: list[str] | None = None) -> dict[str, Any]:
    """Return tokenizer.json, without its post-processor, as transformers' converter makes it of a BPE with bytes.

    Args:
        model: the file.
        merges: those to write; None: what the pieces' scores say.
    """
    pieces = list(_scored(model))
    vocabulary = {piece: number for number, (piece, _) in enumerate(pieces)}
    rest = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    decoders = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": token, **rest} for number, token in enumerate(SPECIAL)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, replace]},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocabulary,
            "merges": _merges(pieces, vocabulary) if merges is None else merges,
        },
    }


def with_pieces(model: bytes, pieces: Sequence[str]) -> bytes:
    """Return a model with other pieces: control tokens, bytes, and words, the first of which has the best score.

    Runs of spaces have the worst, as Llama's.
    """
    first = len(SPECIAL) + BYTES
    entries = []
    for number, piece in enumerate(pieces):
        kind = UNKNOWN if number == 0 else CONTROL if number < len(SPECIAL) else BYTE if number < first else WORDS
        words = piece.encode()
        score = struct.pack("<f", -1e9 if set(piece) == {SPACE} else float(min(0, first - number)))
        entry = bytes([PIECE << 3 | 2]) + _written(len(words)) + words + bytes([SCORE << 3 | 5]) + score
        entries.append(entry + bytes([KIND << 3]) + _written(kind))
    rest = b"".join(
        _written(number << 3 | 2) + _written(len(data)) + data for number, data in _fields(model) if number != PIECES
    )
    return b"".join(bytes([PIECES << 3 | 2]) + _written(len(entry)) + entry for entry in entries) + rest


def _scored(model: bytes) -> Iterator[tuple[str, float]]:
    """Yield each piece and its score."""
    for number, message in _fields(model):
        if number == PIECES:
            fields = dict(_fields(message))
            yield fields[PIECE].decode(), struct.unpack("<f", fields[SCORE])[0]


def _merges(pieces: Iterable[tuple[str, float]], vocabulary: Mapping[str, int]) -> list[str]:
    """Return pairs that make a piece: those of a better score first, and of one piece those of older parts first."""
    merges: list[tuple[float, str, str]] = []
    for piece, score in pieces:
        cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        known = [cut for cut in cuts if cut[0] in vocabulary and cut[1] in vocabulary]
        known.sort(key=lambda cut: (vocabulary[cut[0]], vocabulary[cut[1]]))
        merges += [(score, *cut) for cut in known]
    merges.sort(key=lambda merge: -merge[0])
    return [f"{left} {right}" for _, left, right in merges]


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield a protocol buffer's fields: number and bytes, none for integers."""
    at = 0
    while at < len(data):
        key, at = _integer(data, at)
        length = 4
        if key & 7 == 2:
            length, at = _integer(data, at)
        elif key & 7 == 0:
            _, at = _integer(data, at)
            length = 0
        yield key >> 3, data[at : at + length]
        at += length


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def _written(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
