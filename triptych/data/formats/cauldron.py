"""The Cauldron and FineVision: {images, texts: [{user, assistant}]}: pictures, then rounds of questions and answers.

Source: the data sets HuggingFaceM4/the_cauldron and HuggingFaceM4/FineVision on the hub, and nanoVLM, which reads them:
all images stand in front of the first question. Parquet with the pictures inside (a file at a time), a list or JSON
Lines. A literal ``<image>`` in the texts is text; nanoVLM takes it out. The ratings of FineVision are facts, as is
every other column: who wants to leave rows out by them does so before. A text's ``source`` is the row's fact, where all
texts have one.

Cannot say: a system turn, images anywhere but in front, boxes, videos, demonstrations, labels, a reply that is not
learnt. Adjacent texts are joined. An image that is shown twice is listed twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef, text_of
from triptych.data.disk.finder import MEDIA_OPTIONS, Media, with_media
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, refuse_foreign, refuse_turn
from triptych.data.disk.layouts import turns_in
from triptych.data.disk.marks import CANNOT, image_names, join_others, split_others
from triptych.data.disk.media_keys import entries_of, refuse_media
from triptych.data.disk.rows import bad, check_turns, id_of, keyed, row_format, words
from triptych.data.disk.writing import write_rows
from triptych.data.media.folder import ImageShelf

_OWN = frozenset({"id", "images", "image", "texts"}) | FOREIGN_KEYS


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples whose images stand in front; a ``.json`` file becomes a list, any other JSON Lines."""
    return write_rows(examples, path, row_of=_row)


def _example(row: dict[str, Json], media: Media, origin: str) -> Example:
    refuse_media(row, _OWN)
    texts = turns_in(row, "texts")
    refuse_foreign(row)
    shown = tuple(media.image(entry) for entry in entries_of(row, "image"))
    turns: list[Turn] = []
    sources: list[Json] = []
    for number, value in enumerate(texts):
        said = keyed(value, f"text {number}")
        refuse_turn(said, f"text {number}")
        asked, answer = (words(said.get(who), f"the {who}'s words of text {number}") for who in ("user", "assistant"))
        question = (Text(asked),) if asked else ()
        turns += [Turn("user", question if turns else (*shown, *question)), Turn("assistant", (Text(answer),))]
        sources.append(said.get("source"))
    check_turns(turns)
    skills, facts = split_others(row, _OWN)
    if sources[0] is not None and "source" not in facts and all(source == sources[0] for source in sources):
        facts = {"source": sources[0], **facts}
    return Example(id=id_of(row, origin), turns=tuple(turns), origin=origin, skills=skills, facts=facts)


def _row(example: Example, shelf: ImageShelf) -> Json:
    turns = example.turns
    if not turns or [turn.role for turn in turns] != ["user", "assistant"] * (len(turns) // 2):
        raise bad("this layout holds questions and their answers, and no system turn. Write messages instead.")
    images = image_names(example, shelf)
    parts = [part for turn in turns for part in turn.parts]
    if any(isinstance(part, VideoRef) for part in parts):
        raise bad("this layout holds no videos. Cut them into frames first.")
    if sum(isinstance(part, ImageRef) for part in turns[0].parts[: len(images)]) < len(images):
        raise bad("this layout holds images in front of the first question only. Write messages instead.")
    return {
        "id": example.id,
        "images": images,
        "texts": [
            {"user": text_of(asked), "assistant": text_of(reply)}
            for asked, reply in zip(turns[::2], turns[1::2], strict=True)
        ],
        **join_others(example, _OWN),
    }


FORMAT = row_format(
    with_media(_example),
    write=write,
    about="The Cauldron and FineVision: pictures in front, then texts of user and assistant",
    options=MEDIA_OPTIONS,
    cannot=("chat", "images", *(CANNOT - {"marks"})),
)
