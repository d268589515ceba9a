"""Keys of a row that name media: pictures and videos under their published names; those that a layout lacks, refused.

Not where the media are (``finder``), nor where they stand in words (``marks``). A key that is empty (null, an empty
text or list) names nothing, as it does in the codes that read such rows. Invariant: no name of a medium becomes a fact,
where it would be lost for training without a word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from triptych.core.records import Json
from triptych.data.disk.rows import bad, of_another_layout
from triptych.data.media.kept import SUFFIXES

MEDIA_KEYS = frozenset({"image", "images", "video", "videos", "audio", "audios"})
"""What published rows call their media."""
_LIKE_MEDIA = re.compile(r"(?i)im[ag]|pic|photo|frame|video|film|clip")
_VIDEOS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm"})
_READ_AS = {
    "image": "llava (image) or sharegpt (images)",
    "video": "llava (video), sharegpt (videos) or mantis_video (video)",
}


def names_nothing(value: Json) -> bool:
    """Tell whether a key of media is empty: null, or an empty text, list or object."""
    return value in (None, "", [], {})


def entries_of(row: Mapping[str, Json], kind: str) -> list[Json]:
    """Return what the row calls its pictures (``image``) or videos (``video``): one, or a list, with or without an s.

    Raises:
        RowError: both spellings name some.
    """
    found = [key for key in (kind, f"{kind}s") if not names_nothing(row.get(key))]
    if len(found) > 1:
        raise bad(f"both {found[0]!r} and {found[1]!r} are given. Leave one out.")
    value = row[found[0]] if found else []
    return value if isinstance(value, list) else [value]


def refuse_media(row: Mapping[str, Json], own: Collection[str], *, beside: bool = False) -> None:
    """Refuse a row with media under keys that are not the layout's own.

    Args:
        row: as it was read.
        own: the layout's keys.
        beside: whether the layout has media under such keys alone, so that a row without any that names a picture
            under another key (``image_path``, ``imgs``) is one whose key is spelt otherwise.

    Raises:
        RowError: it has some; the message says where they belong.
    """
    for key in sorted(MEDIA_KEYS.difference(own)):
        if names_nothing(row.get(key)):
            continue
        kind = key.removesuffix("s")
        if kind == "audio":
            raise bad(f"{key!r} is for audio, which Triptych does not tune on. Leave the row out.")
        raise of_another_layout(
            f"{key!r} is no key of this layout, so its {kind}s would be lost. Read the file as {_READ_AS[kind]}."
        )
    if beside and all(names_nothing(row.get(key)) for key in MEDIA_KEYS):
        for key in sorted(row.keys() - set(own)):
            if named := _named_by(key, row[key]):
                raise bad(
                    f"{key!r} names {named}, and is no key of this layout, so the row would have words alone. Call it"
                    " 'image' or 'video', or leave it out."
                )


def media_key(turn: Mapping[str, Json]) -> str | None:
    """Return the key under which a turn names media, also where it is spelt otherwise; None: it names none."""
    for key, value in turn.items():
        if (key in MEDIA_KEYS and not names_nothing(value)) or _named_by(key, value):
            return key
    return None


def _named_by(key: str, value: Json) -> str:
    """Return the picture or video that a key like that of media names, empty: none."""
    return _file_in(value) if _LIKE_MEDIA.search(key) else ""


def _file_in(value: Json) -> str:
    """Return the picture or video that a value names, empty: none."""
    names = value if isinstance(value, list) else [value]
    found = (name for name in names if isinstance(name, str) and not set(name) & set(" \t\n"))
    return next((name for name in found if Path(name).suffix.lower() in SUFFIXES | _VIDEOS), "")
