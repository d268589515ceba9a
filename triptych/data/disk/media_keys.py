"""Keys of a row that name media: pictures and videos under their published names; those that a layout lacks, refused.

Not where the media are (``finder``), nor where they stand in words (``marks``). A key that is empty (null, an empty
text or list) names nothing, as it does in the codes that read such rows. Invariant: no name of a medium becomes a fact,
where it would be lost for training without a word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from triptych.core.records import Json
from triptych.data.disk.rows import bad, of_another_layout

MEDIA_KEYS = frozenset({"image", "images", "video", "videos", "audio", "audios"})
"""What published rows call their media."""
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


def refuse_media(row: Mapping[str, Json], own: Collection[str]) -> None:
    """Refuse a row with media under keys that are not the layout's own.

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
