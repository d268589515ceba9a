"""lmms-eval's chat messages as an Example: words, images and videos in their places.

Needs no lmms-eval. Source: ``lmms_eval/protocol.py`` of lmms-eval 0.7.3: a message is ``{"role", "content"}``, a part
of its content ``{"type": "text", "text"}`` or ``{"type": "image" | "video", "url"}``. The url of an image is a Pillow
image, a path, or bytes of a file, that of a video a path.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef
from triptych.data.media.kept import keep_bytes
from triptych.data.media.video import frame_refs, pick_uniform, probe


def example_of(messages: Sequence[Mapping[str, Any]], name: str, *, video_frames: int = 8) -> Example:
    """Return the conversation. Pillow images go to the cache folder, once for each content.

    Raises:
        DataError: a part of another kind, such as audio.
    """
    return Example(name, tuple(_turn(message, name, video_frames) for message in messages), origin=name)


def _turn(message: Mapping[str, Any], name: str, video_frames: int) -> Turn:
    content = message["content"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    parts: list[Part] = []
    for part in content:
        match part["type"]:
            case "text":
                parts.append(Text(part["text"]))
            case "image":
                parts.append(_image(part["url"], name))
            case "video" if isinstance(part["url"], str):
                video = VideoRef(str(Path(part["url"]).absolute()))
                parts += frame_refs(video, pick_uniform(probe(video.source).frames, video_frames))
            case kind:
                raise DataError(f"{name}: a part of kind {kind!r}, which a model of images cannot be shown.")
    return Turn(message["role"], tuple(parts))


def _image(url: object, name: str) -> ImageRef:
    if isinstance(url, Image.Image):
        file = io.BytesIO()
        url.convert("RGB").save(file, "PNG", compress_level=1)
        return ImageRef(keep_bytes(file.getvalue(), "image.png"))
    if isinstance(url, bytes):
        return ImageRef(keep_bytes(url))
    if isinstance(url, str) and Path(url).is_file():
        return ImageRef(str(Path(url).absolute()))
    raise DataError(f"{name}: an image is a {type(url).__name__} that is no picture and no path.")
