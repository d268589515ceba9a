"""Captions of photographs, with shots: what COCO and Flickr30K share. The layout is Karpathy's splits, the score CIDEr.

Source: Karpathy and Fei-Fei 2015 (arXiv:1412.2306): one JSON {"images": [{filename, filepath, split, sentences:
[{raw}], cocoid or imgid}]}; the ``test`` split is asked, ``train`` (of COCO without ``restval``) gives the shots. The
prompt is that of Otter's few-shot suite: the picture, then "What does the image describe?". A shot's reply is the
picture's first caption, as there. Two things there are not done here: three beams, and cutting a reply at the word
"Output".

A score is CIDEr over its top, 10; papers print CIDEr times 100, which is 1,000 times ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example, Json, Text
from triptych.data.disk.json_rows import Row
from triptych.data.disk.rows import bad, keyed, listed, words
from triptych.data.format import Refused
from triptych.evaluate.metrics.cider import TOP, Cider, corpus_cider, tokens
from triptych.evaluate.question.question_rows import Source, built, files_of, free, media_under, read_object
from triptych.evaluate.question.short_answers import answers_of
from triptych.evaluate.question.shots import shots_of, with_shots

ASKS = "What does the image describe?"
NameOf = Callable[[Source], str]
"""Where a row's picture is, from the folder."""


def read_captions(path: Path, *, file: str, image: NameOf, name: str) -> Iterator[Example | Refused]:
    """Yield a question for each picture of the test split.

    Args:
        path: the folder with the JSON, or the JSON; perhaps with ``#shots=K``.
        file: what the JSON is called.
        image: where a row's picture is.
        name: the key of a row's id.

    Raises:
        DataError: no such file, or it is none; not enough rows for the shots.
    """
    plain, shots = shots_of(path)
    (found,) = files_of(plain, (file,))
    media = media_under(found)
    rows = read_object(found).get("images")
    if not isinstance(rows, list):
        raise DataError(f"{found}: no list 'images' in it. Is it a file of Karpathy's splits?")

    def build(source: Source) -> Iterator[Example]:
        captions = _captions(source)
        facts: dict[str, Json] = {"kind": "caption", "question": ASKS, "answers": [*captions]}
        shown = source.media.image(image(source))
        yield free(source, (shown, Text(ASKS)), name=source.name(name), reply=captions[0], **facts)

    def split(value: Json) -> Json:
        return value.get("split") if isinstance(value, dict) else None

    test = (
        question
        for number, row in enumerate(rows)
        if split(row) not in {"train", "restval", "val"}
        for question in built(Row(number, row), build, file=found, media=media)
    )
    train = [
        Source(keyed(row, "the row"), found, number, media)
        for number, row in enumerate(rows)
        if split(row) == "train" and shots.count
    ]
    yield from with_shots(test, train, build=build, shots=shots, where=found)


def score(question: Example, reply: str) -> float:
    """Return CIDEr of one reply alone, with all n-grams equally rare: there is no test to count them in."""
    references = [tokens(text) for text in answers_of(question)]
    return min(1.0, Cider({0: references, 1: ["\0"]}).score(0, tokens(reply)) / TOP)


def cider(replies: Sequence[tuple[Example, str]]) -> list[float]:
    """Return CIDEr over its top of each reply, against the references of all of them; an empty one is worth 0."""
    if not replies:
        return []
    scores = corpus_cider([answers_of(question) for question, _ in replies], [reply for _, reply in replies])
    return [min(1.0, score / TOP) for score in scores]


def _captions(source: Source) -> list[str]:
    if source.row.get("split") not in {"train", "test"}:
        raise bad(f"split is {source.row.get('split')!r}. Known are train, restval, val and test.")
    sentences = [keyed(each, "a sentence") for each in listed(source.row.get("sentences"), "'sentences'")]
    captions = [words(each.get("raw"), "a caption").strip() for each in sentences]
    if not captions or not all(captions):
        raise bad("a caption is missing or empty. Mend the row or leave it out.")
    return captions
