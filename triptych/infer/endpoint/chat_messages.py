"""A question as OpenAI's chat messages: words and images in their order, images as data URIs.

Not how they are sent (``in_flight``). An image is sent as the file has it where an endpoint shows the same picture as
we do: a JPEG or an 8-bit PNG without transparency, upright, whole, and within the limits. Everything else is what
``data/media/images.py`` shows: scaled down to the longest side, as PNG where the original was no JPEG and that fits,
else as JPEG of falling quality. An image is never cut.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping

from PIL import Image

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef
from triptych.data.media.images import load_image, whole_size
from triptych.data.media.locate import ImageError, place_of, read_bytes
from triptych.data.media.video import frame_refs, pick_uniform, probe
from triptych.infer.responder import as_question
from triptych.infer.settings import EndpointSettings

QUALITIES = (95, 85, 75, 60)
SAFE_MODES = {"JPEG": {"L", "RGB"}, "PNG": {"L", "RGB", "P"}}
"""Pictures that every decoder shows alike."""

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n")
"""What JPEG and PNG files begin with."""

TOKENS_PER_IMAGE = 1500
"""A guess, for budgets: what an image of usual size costs at most of the public endpoints."""
CHARACTERS_PER_TOKEN = 3
PIXELS_PER_TOKEN = 700
"""Where an endpoint counts an image by its area, a token is at least as large as this."""
AROUND_MESSAGE = 16
"""Tokens of a template around one message, at most."""
HEADER_CHARACTERS = 88_000
"""Characters of base64 that hold the header of nearly any image."""
UNKNOWN_PX = 2048 * 2048


def messages_of(question: Example, settings: EndpointSettings) -> list[dict[str, Json]]:
    """Return the conversation as ``messages``; demonstrations stand before it, after its system turn.

    Raises:
        DataError: it does not end in a user turn, or an image or a video of it cannot be read.
    """
    own = as_question(question).turns
    front = 1 if own and own[0].role == "system" else 0
    shown = [turn for demonstration in question.demonstrations for turn in demonstration.turns]
    if any(turn.role == "system" for turn in shown):
        raise DataError(f"{question.origin or question.id}: a demonstration has a system turn; leave it out.")
    return [_message(turn, settings) for turn in (*own[:front], *shown, *own[front:])]


def guess_tokens(messages: list[dict[str, Json]]) -> int:
    """Return roughly what messages cost, before anybody has counted."""
    characters = images = 0
    for message in messages:
        content = message["content"]
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, str):
                characters += len(part)
            elif isinstance(part, dict) and isinstance(text := part.get("text"), str):
                characters += len(text)
            else:
                images += 1
    return characters // CHARACTERS_PER_TOKEN + images * TOKENS_PER_IMAGE


def most_tokens(messages: list[dict[str, Json]], schema: Mapping[str, Json] | None = None) -> int:
    """Return what messages hardly cost more than: a token for each byte, and for an image what the dearest take.

    What a server adds to every prompt is not in it: that is learnt from what the first ones cost.
    """
    count = len(json.dumps(schema)) if schema else 0
    for message in messages:
        content = message["content"]
        count += AROUND_MESSAGE
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, str):
                count += len(part.encode(errors="replace"))
            elif isinstance(part, dict) and isinstance(text := part.get("text"), str):
                count += len(text.encode(errors="replace"))
            elif isinstance(part, dict) and isinstance(url := part.get("image_url"), dict):
                count += max(TOKENS_PER_IMAGE, _pixels(str(url.get("url"))) // PIXELS_PER_TOKEN)
    return count


def data_uri(image: ImageRef, *, side_px: int, most_bytes: int) -> str:
    """Return the image as ``data:image/...;base64,...`` within the limits.

    Raises:
        ImageError: it cannot be read, or not be made small enough; a DataError.
    """
    content, kind = _as_it_is(image, side_px=side_px, most_bytes=most_bytes) or _anew(image, side_px, most_bytes)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _message(turn: Turn, settings: EndpointSettings) -> dict[str, Json]:
    parts = [each for part in turn.parts for each in _frames(part, settings)]
    if all(isinstance(part, Text) for part in parts):
        return {"role": turn.role, "content": "".join(part.text for part in parts if isinstance(part, Text))}
    return {"role": turn.role, "content": [_part(part, settings) for part in parts]}


def _frames(part: Part, settings: EndpointSettings) -> Iterator[Text | ImageRef]:
    if isinstance(part, VideoRef):
        yield from frame_refs(part, pick_uniform(probe(part.source).frames, settings.video_frames))
    else:
        yield part


def _part(part: Text | ImageRef, settings: EndpointSettings) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    uri = data_uri(part, side_px=settings.image_side_px, most_bytes=settings.image_bytes)
    return {"type": "image_url", "image_url": {"url": uri}}


def _as_it_is(image: ImageRef, *, side_px: int, most_bytes: int) -> tuple[bytes, str] | None:
    """Return the file and its kind, or None where some decoder may show it otherwise than we do."""
    if image.box is not None or image.resize is not None or place_of(image.source).kind == "frame":
        return None
    if max(whole_size(image.source)) > side_px:
        return None
    content = read_bytes(image.source)
    if len(content) > most_bytes or not content.startswith(SIGNATURES):
        return None
    ours = load_image(image)
    with Image.open(io.BytesIO(content), formats=tuple(SAFE_MODES)) as picture:
        kind = picture.format or ""
        if picture.mode not in SAFE_MODES.get(kind, ()) or "transparency" in picture.info:
            return None
        plain = picture.convert("RGB")
    # Unlike where the file says how to turn it, which some decoders do and some do not.
    same = plain.size == ours.size and plain.tobytes() == ours.tobytes()
    return (content, kind.lower()) if same else None


def _anew(image: ImageRef, side_px: int, most_bytes: int) -> tuple[bytes, str]:
    picture = load_image(image)
    if max(picture.size) > side_px:
        picture.thumbnail((side_px, side_px), Image.Resampling.BICUBIC, reducing_gap=None)
    if not _is_jpeg(image) and len(content := _encoded(picture, "PNG")) <= most_bytes:
        return content, "png"
    while True:
        for quality in QUALITIES:
            if len(content := _encoded(picture, "JPEG", quality=quality, subsampling=0)) <= most_bytes:
                return content, "jpeg"
        if max(picture.size) < 32:
            raise ImageError(
                "image too large", f"{image.source}: cannot be sent in {most_bytes} bytes. Raise image_bytes."
            )
        picture = picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)), Image.Resampling.BICUBIC)


def _pixels(uri: str) -> int:
    """Return the area of a picture in a data URI, from its header."""
    try:
        head = base64.b64decode(uri.partition(",")[2][:HEADER_CHARACTERS])
        with Image.open(io.BytesIO(head), formats=tuple(SAFE_MODES)) as picture:
            return picture.width * picture.height
    except (OSError, ValueError):
        return UNKNOWN_PX


def _is_jpeg(image: ImageRef) -> bool:
    place = place_of(image.source)
    return place.kind != "frame" and read_bytes(image.source).startswith(SIGNATURES[0])


def _encoded(picture: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
