"""What is said in Python, words and pictures in order, as parts of a conversation.

Not a typed line (``message``). A ``str`` is always words, never a path or a URL: what somebody else typed may be passed
on, and neither opens a file nor fetches anything. A string that only makes sense as a picture is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef
from triptych.data.media.kept import keep_bytes
from triptych.serve.media import is_media, is_url, keep_picture, open_media

Piece = str | Path | Image.Image | NDArray[np.uint8] | bytes | Text | ImageRef | VideoRef
"""Words (``str``, ``Text``), or what is shown: a file, pixels, the bytes of a picture's file, what ``picture`` gave."""
Said = Piece | Sequence[Piece]
"""What is said at once, in order."""


def picture(source: str | Path, *, allow_private: bool = False) -> ImageRef | VideoRef:
    """Return what is at a path or a URL, to be shown; a video is shown as frames.

    Args:
        source: of one picture or video. A URL is fetched once and kept in the cache folder.
        allow_private: also fetch from addresses of one's own network.

    Raises:
        DataError: it is not there, or it cannot be read or fetched.
    """
    found = open_media(str(source), allow_private=allow_private)
    if len(found) != 1:
        raise DataError(f"{source}: {len(found)} files; open them one by one.")
    return found[0]


def question_of(said: Said, *, system: str = "", name: str = "question") -> Example:
    """Return what is said as a question. Raises DataError: a piece of it is none, or a picture cannot be read."""
    if not isinstance(system, str):
        raise DataError(f"system: expected words, found {type(system).__name__}.")
    turns = (Turn("system", (Text(system),)),) if system else ()
    return Example(name, (*turns, Turn("user", parts_of(said))), origin=name)


def parts_of(said: Said) -> tuple[Part, ...]:
    """Return words and pictures in order.

    Raises:
        DataError: nothing is said; a piece is neither; a picture cannot be read; words that are a picture's path.
    """
    if isinstance(said, Sequence) and not isinstance(said, str | bytes):
        parts = tuple(_part(piece) for piece in said)
    else:
        parts = (_part(said),)
    if not parts:
        raise DataError("nothing is said: give words, pictures, or both in order.")
    return parts


def _part(piece: Piece) -> Part:
    match piece:
        case str():
            if is_url(piece) or is_media(piece):
                raise DataError(
                    f"{piece!r} would be read as words: picture({piece!r}) shows it, Text({piece!r}) says it."
                )
            return Text(piece)
        case Text() | ImageRef() | VideoRef():
            return piece
        case Path():
            return picture(piece)
        case bytes():
            return _picture_of(piece)
        case Image.Image() | np.ndarray():
            return keep_picture(piece)
    raise DataError(
        f"{type(piece).__name__} is neither words nor a picture. Give str, Path, picture(...), a PIL image, an array of"
        " bytes, or a picture file's bytes."
    )


def _picture_of(content: bytes) -> Part:
    kept = keep_bytes(content)
    try:
        return picture(kept)
    except DataError as error:
        raise DataError(str(error).replace(kept, f"a picture given as {len(content):,} bytes")) from None
