"""MIRB: 11 sets of questions about relations of images: knowledge, reasoning, perception and multi-hop.

Source: Zhao et al. 2024 (arXiv:2406.12742), VLLMs/MIRB: ``SET.json`` with {images, questions, answers}, pictures in
``images.zip`` or unpacked. Instruction and order as in the authors' code: the set's instruction, each image on a line,
the question. Letters are compared there by probability; here the reply says one. ``published`` is the authors' reading
of replies. The total is theirs: the mean of four categories, each the mean of its sets, which differ in size.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from triptych.core.records import Example, ImageRef, Json, Text
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of, fact
from triptych.evaluate.question.question_rows import Source, choice, files_of, free, letter_at, read_questions
from triptych.evaluate.reading import scorers

WORD, SYMBOL, NUMBER = "Answer with a single word.", "Answer with the option symbol.", "Answer with a single number."
TITLE = "Answer with the paper title."
SCENE = "The following images are different views of the same 3D scene. Answer with a single number."
SETS = {
    "food": ("knowledge", SYMBOL),
    "sightseeing": ("knowledge", WORD),
    "codeu": ("reasoning", SYMBOL),
    "plot_code": ("reasoning", WORD),
    "analogy": ("reasoning", WORD),
    "3d_scene": ("reasoning", SCENE),
    "image_jigsaw": ("perception", SYMBOL),
    "count": ("perception", NUMBER),
    "attribute": ("perception", WORD),
    "visual_chain": ("multi-hop", WORD),
    "arxiv": ("multi-hop", TITLE),
}
"""Set -> its category and instruction."""
FORMER_NAMES = {
    "foods": "food",
    "places": "sightseeing",
    "plot": "plot_code",
    "domain": "attribute",
    "image_needles": "visual_chain",
}
"""What the authors' code called sets before."""
LETTERS = 5
"""A to E are what the authors compare."""
_COUNTED = ("count", "visual_chain", "3d_scene")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_DIGITS = {word: str(at) for words in (_NUMBERS, _ORDINALS) for at, word in enumerate(words)}


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of all sets in a folder, or of one file."""
    for file in files_of(path, ("*.json",)):
        if file == path or _set_of(file) in SETS:  # Beside the sets lie variants of them, with merged images or text.
            yield from read_questions(file, _build, files=(), root=path)


def published(question: Example, reply: str) -> float:
    """Score a reply as the authors' code does: its first line or sentence, by the rule of its set."""
    said, wanted, kind = _first(reply), scorers.reference_of(question).lower(), fact(question, "kind")
    if kind in ("analogy", "attribute", "sightseeing") and wanted in ("yes", "no"):
        return float(("yes" in said.lower()) == (wanted == "yes"))
    if kind == "sightseeing":
        return float(wanted in said.lower())
    if kind in _COUNTED:
        number = re.search(r"\d+", said)
        said = number[0] if number else _DIGITS.get(said.lower(), "")
    return float(said.lower() == wanted)


def suite_score(marked: Sequence[tuple[Example, float]]) -> float:
    """Return the unweighted mean over categories of the unweighted means over their sets."""
    found: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for question, value in marked:
        found[fact(question, "category")][fact(question, "kind")].append(value)
    return fmean(fmean(map(fmean, sets.values())) for sets in found.values())


def _build(source: Source) -> Iterator[Example]:
    kind = _set_of(source.file)
    if kind not in SETS:
        raise bad(f"{kind!r} is no set of MIRB. There are: {', '.join(SETS)}.")
    category, instruction = SETS[kind]
    text, answer = source.text("questions"), source.answer("answers")
    asked: list[Text | ImageRef] = [Text(f"{instruction}\n")]
    for image in source.images("images"):
        asked += [image, Text("\n")]
    asked.append(Text(text))
    facts: dict[str, Json] = {"kind": kind, "category": category, "question": text, "scenario": "images"}
    name = f"{kind}/{source.number}"
    if instruction == SYMBOL:
        at = letter_at(answer, LETTERS)
        yield choice(source, asked, name=name, options=[""] * LETTERS, right=at, reply=answer, **facts)
    elif answer.lower() in ("yes", "no"):
        right = ("yes", "no").index(answer.lower())
        yield choice(source, asked, name=name, options=["yes", "no"], right=right, reply=answer, **facts)
    else:
        yield free(source, asked, name=name, reply=answer, **facts)


def _set_of(file: Path) -> str:
    return FORMER_NAMES.get(file.stem, file.stem)


def _first(reply: str) -> str:
    said = reply.strip()
    for end in ("\n", "."):
        if (at := said.find(end)) > 0:
            return said[:at]
    return said


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    published=published,
    chance=chance_of,
    cite="Zhao, Zong, Zhang, Hospedales 2024 (arXiv:2406.12742)",
    about="11 sets of relations between images in four categories; mean over categories",
    task_count=len(SETS),
    images="2 and more",
    source="hub: VLLMs/MIRB",
    licence="MIT",
    statistic=suite_score,
    mean_of_means=True,
    items=925,
    max_tokens=15,
)
