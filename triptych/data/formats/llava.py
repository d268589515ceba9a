"""LLaVA instruction JSON: {id, image, conversations} with from/value turns, ``<image>`` marks in the text.

Source: LLaVA (arXiv:2304.08485) and M4-Instruct of LLaVA-NeXT-Interleave (arXiv:2407.07895), where ``image`` may be a
list and ``sample_id`` stands for ``id``. A list or JSON Lines. Text-only rows have no ``image``. As many marks as
images, or the row is refused: in these files a wrong count is a defect, and there is no rule to mend it by. The other
keys of a row (``metadata``, ``choice_list``) are its facts.

Cannot say: a box, demonstrations, labels, videos. Adjacent texts are joined. An image that is shown twice is listed
twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from triptych.core.records import Example, Json, Role, Turn
from triptych.data.folder import ImageFolder, ImageShelf
from triptych.data.format import Format, Refused
from triptych.data.marks import check_counts, count_marks, image_names, join_others, marked, place, split_others
from triptych.data.rows import bad, check_turns, convert, id_of, keyed, listed, role_of, words
from triptych.data.writing import write_rows

_OWN = frozenset({"id", "sample_id", "image", "conversations", "video"})
_SPEAKERS: dict[Role, str] = {"system": "system", "user": "human", "assistant": "gpt"}


def read(path: Path) -> Iterator[Example | Refused]:
    """Yield one Example or Refused per row; images lie relative to the file's folder."""
    folder = ImageFolder(path.parent)
    return convert(path, lambda row, origin: _example(row, folder, origin))


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples; a ``.json`` file becomes a list, any other JSON Lines."""
    return write_rows(examples, path, _row)


def _example(row: dict[str, Json], folder: ImageFolder, origin: str) -> Example:
    if row.get("video") is not None:
        raise bad("a video is no image. Use its frames as a list under 'image'.")
    if row.get("images") is not None:
        raise bad("'images' is no key of this layout. Call it 'image', or read the file as mantis.")
    said = [_said(turn, number) for number, turn in enumerate(listed(row.get("conversations"), "conversations"))]
    value = row.get("image")
    names = value if isinstance(value, list) else [] if value is None else [value]
    check_counts(marks=count_marks([text for _, text in said]), images=len(names))
    unused = iter([folder.find(words(name, "an image's path")) for name in names])
    turns = tuple(Turn(role, place(text, unused)) for role, text in said)
    check_turns(turns)
    skills, facts = split_others(row, _OWN)
    key = "id" if row.get("id") is not None else "sample_id"
    return Example(id=id_of(row, origin, key=key), turns=turns, origin=origin, skills=skills, facts=facts)


def _said(value: Json, number: int) -> tuple[Role, str]:
    turn = keyed(value, f"turn {number}")
    return role_of(turn.get("from"), f"turn {number}"), words(turn.get("value"), f"what turn {number} says")


def _row(example: Example, shelf: ImageShelf) -> Json:
    names = image_names(example, shelf)
    image: dict[str, Json] = {"image": names[0] if len(names) == 1 else names} if names else {}
    return {
        "id": example.id,
        **image,
        "conversations": [{"from": _SPEAKERS[turn.role], "value": marked(turn)} for turn in example.turns],
        **join_others(example, _OWN | {"images"}),
    }


FORMAT = Format(read=read, write=write, about="LLaVA and M4-Instruct JSON: from/value turns with <image> marks")
