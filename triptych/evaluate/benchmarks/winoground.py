"""Winoground: two images and two captions of the same words in another order; which belongs to which? 400 pairs.

Source: Thrush et al. 2022 (arXiv:2204.03162), facebook/winoground: Parquet with {id, image_0, image_1, caption_0,
caption_1, tag, collapsed_tag}. Each pair is four questions: for each image its caption, for each caption its image. As
published, ``text`` is the share of pairs whose two captions are found, ``image`` that of the images, ``group`` of both.
The published scores compare a model's match scores and have no prompt; this one is ours, for models that answer in
words, whose chance of a group is 1/16 instead of 1/6.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, ImageRef, Json, Text
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, choice, fact_of, lettered, read_questions
from triptych.evaluate.reading import scorers

ENDING = "Answer with the letter."


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield four questions a row."""
    return read_questions(path, _build, files=("data/test-*.parquet", "test-*.parquet", "*.parquet", "test.jsonl"))


def _build(source: Source) -> Iterator[Example]:
    pair = source.name()
    images = [source.image("image_0"), source.image("image_1")]
    captions = [source.text("caption_0"), source.text("caption_1")]
    facts: dict[str, Json] = {"story": pair, "pair": pair, "scenario": "images"}
    facts |= {key: fact_of(source.row, key) for key in ("tag", "collapsed_tag")}
    which = "Which caption fits the image?"
    for right, image in enumerate(images):
        lines = "\n".join(["", which, *lettered(captions), ENDING])
        own: dict[str, Json] = {**facts, "kind": "text", "text_pair": pair, "question": which}
        yield choice(
            source, [image, Text(lines)], name=f"{pair}/text{right}", options=captions, right=right, reply="", **own
        )
    for right, caption in enumerate(captions):
        which = f'Which image fits the caption "{caption}"?'
        lines = "\n".join(["", which, *lettered(("Image 1", "Image 2")), ENDING])
        asked: list[Text | ImageRef] = [Text("Image 1: "), images[0], Text("\nImage 2: "), images[1], Text(lines)]
        own = {**facts, "kind": "image", "image_pair": pair, "question": which}
        yield choice(
            source, asked, name=f"{pair}/image{right}", options=["Image 1", "Image 2"], right=right, reply="", **own
        )


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    together={"text": "text_pair", "image": "image_pair", "group": "pair"},
    cite="Thrush, Jiang, Bartolo, Singh, Williams, Kiela, Ross 2022 (CVPR; arXiv:2204.03162)",
    about="captions of the same words matched to images: text, image and group score",
    items=1600,
    task_count=2,
    images="1 or 2",
    guess=0.5,
    source="hub: facebook/winoground, test (licence to be accepted)",
    licence="Winoground's own, for research; the images are Getty's",
)
