"""Broken data on purpose: rows whose structure is wrong, and files whose bytes are; all from a seeded Random.

Not the fuzz run: ``fuzz.py`` feeds these to the readers. Every mutation is one that a careless program, a torn copy or
somebody with bad intent could make.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from copy import deepcopy
from random import Random

from PIL import Image, ImageDraw

from triptych.core.records import Json

ODD: tuple[Json, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**30, 0.5, float("nan"), float("inf"), -0.0),
    *("", " ", "\n", "\x00", "\ud800", "\udfff text", "\u202e", "\ufeff", "💥" * 3, "a" * 5000, "<image>", "<video>"),
    *("<image>" * 300, "../../secret.png", "/etc/passwd", "a.png\x00.jpg", "file:///etc/passwd"),
    *("http://127.0.0.1/a.png", "data:image/png;base64,AAAA", "data:image/png;base64,%%%%", "x.zip!/../a.png"),
    *("a.png!frame=1", "a.png!base64@0+9", "x.tar!@0+9/a.png"),
    *("con", ".", "..", "~", "~/a.png", "\\\\host\\a.png", "a" * 300 + ".png", "user", "assistant", "system", "tool"),
    *([], {}, [[]], [{}], [None], {"": None}, {"path": None}, {"path": "../x.png"}, {"bytes": None}, {"bytes": "AAAA"}),
)
"""Values that stand where they should not."""
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(row: Json, draw: Random) -> Json:
    """Return a copy of a row with one to three things wrong in it."""
    value: Json = json.loads(json.dumps(row))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return _odd(draw)
        holder, key = draw.choice(places)
        _spoil(holder, key, draw)
    return value


def line_of(value: Json, draw: Random) -> bytes:
    """Return a row as one line of a file; now and then torn, nested or in another encoding."""
    text = json.dumps(value, ensure_ascii=draw.random() < 0.7)
    content = text.encode("utf-8", "surrogatepass")
    kind = draw.random()
    if kind < 0.03:
        content = b"[" * draw.choice((50, 5_000, 100_000)) + content
    elif kind < 0.05:
        content = b'{"id":' * 20_000
    elif kind < 0.08:
        content = mutated_bytes(content, draw)
    elif kind < 0.09:
        content = text.encode("utf-16", "surrogatepass")
    elif kind < 0.10:
        content = content.replace(b'"id"', b'"id": "twice", "id"', 1)
    elif kind < 0.11:
        content = b'{"id": ' + b"9" * 6000 + b"}"
    return content.replace(b"\n", b" ").replace(b"\r", b" ")


def mutated_bytes(content: bytes, draw: Random) -> bytes:
    """Return bytes with one to four things wrong: flipped, cut off, left out, doubled, overwritten, put in."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(data) + 1) if draw.random() < 0.6 else draw.randrange(min(len(data), 128) + 1)
        length = min(draw.choice((1, 2, 4, 16, 256)), max(0, len(data) - at))
        match draw.randrange(8):
            case 0 | 1:
                for place in range(at, at + length):
                    data[place] ^= 1 << draw.randrange(8)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length] * draw.choice((1, 8))
            case 5:
                data[at:at] = draw.randbytes(draw.choice((1, 4, 64)))
            case 6:
                order = draw.choice("<>")
                size = draw.choice("HI")
                number = struct.pack(f"{order}{size}", draw.choice(_NUMBERS) & (0xFFFF if size == "H" else 0xFFFFFFFF))
                data[at : at + len(number)] = number
            case _:
                data[at : at + length] = bytes(length)
    return bytes(data)


def mutated_png(content: bytes, draw: Random) -> bytes:
    """Return a PNG with wrong chunks whose checksums are right, so that a reader goes on."""
    chunks = _chunks(content)
    number = draw.randrange(len(chunks))
    kind, body = chunks[number]
    match draw.randrange(5):
        case 0:
            chunks.insert(number, (draw.choice((b"tEXt", b"zTXt", b"iCCP", b"eXIf", b"tRNS", b"PLTE", b"acTL")), body))
        case 1:
            del chunks[number]
        case 2:
            chunks[number] = (kind, mutated_bytes(body, draw))
        case 3:
            chunks.insert(draw.randrange(len(chunks)), (kind, body))
        case _:
            chunks.insert(1, (b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(1 << 24))))
    return content[:8] + b"".join(_packed(kind, body) for kind, body in chunks)


def pictures() -> dict[str, bytes]:
    """Return one small whole picture of each kind that is read, by a name with its ending."""
    seen = Image.effect_mandelbrot((48, 32), (-2, -1, 1, 1), 20).convert("RGB")
    ImageDraw.Draw(seen).rectangle((4, 4, 20, 20), fill="orange")
    clear = seen.convert("RGBA")
    clear.putalpha(128)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [seen.rotate(90 * turn) for turn in range(3)]
    moving = {"save_all": True, "append_images": frames}
    wanted: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "plain.jpg": (seen, "JPEG", {"exif": exif}),
        "steps.jpg": (seen, "JPEG", {"progressive": True}),
        "ink.jpg": (seen.convert("CMYK"), "JPEG", {}),
        "plain.png": (seen, "PNG", {}),
        "clear.png": (clear, "PNG", {"exif": exif}),
        "palette.png": (seen.quantize(8), "PNG", {"transparency": 1}),
        "deep.png": (seen.convert("L").convert("I;16"), "PNG", {}),
        "moving.png": (seen, "PNG", moving),
        "still.gif": (seen.quantize(16), "GIF", {}),
        "moving.gif": (seen, "GIF", moving),
        "plain.webp": (seen, "WEBP", {}),
        "exact.webp": (clear, "WEBP", {"lossless": True}),
        "moving.webp": (seen, "WEBP", moving),
        "plain.tiff": (seen, "TIFF", {}),
        "packed.tiff": (seen, "TIFF", {"compression": "tiff_lzw"}),
        "deflated.tiff": (seen, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "plain.bmp": (seen, "BMP", {}),
        "plain.ppm": (seen, "PPM", {}),
        "plain.jp2": (seen, "JPEG2000", {}),
        "plain.avif": (seen, "AVIF", {}),
    }
    Image.init()
    made: dict[str, bytes] = {}
    for name, (picture, kind, options) in wanted.items():
        if kind in Image.SAVE:
            file = io.BytesIO()
            picture.save(file, kind, **options)
            made[name] = file.getvalue()
    return made


def _odd(draw: Random) -> Json:
    return deepcopy(draw.choice(ODD))  # A later mutation may change it.


def _places(value: Json) -> list[tuple[list[Json] | dict[str, Json], int | str]]:
    found: list[tuple[list[Json] | dict[str, Json], int | str]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict):
            found += [(holder, key) for key in holder]
            waiting += holder.values()
        elif isinstance(holder, list):
            found += [(holder, number) for number in range(len(holder))]
            waiting += holder
    return found


def _spoil(holder: list[Json] | dict[str, Json], key: int | str, draw: Random) -> None:
    value = holder[key]  # type: ignore[index,call-overload]
    ways: list[Callable[[], Json]] = [
        lambda: _odd(draw),
        lambda: _odd(draw),
        lambda: [value],
        lambda: {"value": value},
        lambda: str(value),
        lambda: [value] * draw.choice((0, 2, 50)),
        lambda: value + value if isinstance(value, str | list) else value,
        lambda: value[: len(value) // 2] if isinstance(value, str | list) else None,
        lambda: f"{value}{draw.choice(('<image>', chr(0xD800), chr(0), '/../', '!/'))}",
    ]
    way = draw.randrange(len(ways) + 3)
    if way < len(ways):
        holder[key] = ways[way]()  # type: ignore[index,call-overload]
    elif way == len(ways):
        del holder[key]  # type: ignore[arg-type]
    elif isinstance(holder, dict):
        assert isinstance(key, str)
        holder[draw.choice((f"{key}s", key.upper(), f" {key}", "images", "image", "video", "role", "from"))] = value
        if way == len(ways) + 1:
            del holder[key]
    else:
        draw.shuffle(holder)


def _packed(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    at = 8
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found
