"""MileBench: 29 data sets of long multi-image contexts, 6,440 questions: temporal, semantic, and needles in haystacks.

Source: Song et al. 2024 (arXiv:2404.18532), FreedomIntelligence/MileBench: ``NAME/NAME.json`` with {meta_data:
{task_instruction, question_type}, data: [{sample_id, task_instruction_id, task_instance: {context, images_path,
choice_list?}, response, image_quantity_level}]}, pictures in ``NAME/images/``. Prompt as in the authors' code without
its cutting: instruction, line end, context with image k at ``{image#k}`` or ``{table#k}``, and the options. Scores as
there: accuracy for choices, the ROUGE-L of the package ``rouge`` 1.0.1 for free replies, the word found for needles,
the words found for MMCoQA. Choices are read by our rules, the published number is by theirs (``metrics/milebench``).
The authors print a number a data set; the total here is the mean over data sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Text
from triptych.data.disk.json_rows import Row
from triptych.data.disk.rows import bad, keyed, listed, words
from triptych.data.format import Refused, RowError
from triptych.evaluate.benchmark import Benchmark, chance_of, fact
from triptych.evaluate.metrics.milebench import letters_at, option_read, plain
from triptych.evaluate.metrics.rouge import published_rouge_l
from triptych.evaluate.question.question_rows import Source, built, choice, files_of, free, media_under, read_object
from triptych.evaluate.reading import scorers

UNLETTERED = "GPR1200"
"""Its questions have more options than there are letters; they stand without."""
_SLOT = re.compile(r"\{(?:image|table)#(\d+)\}")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of all data sets of a folder, or of one file."""
    for file in files_of(path, ("*/*.json", "*.json")):
        if file.parent.name != file.stem and path.is_dir():
            continue
        content = read_object(file)
        try:
            rows = listed(content.get("data"), "'data'")
            instructions = keyed(content.get("meta_data"), "'meta_data'")["task_instruction"]
        except (RowError, KeyError) as error:
            raise DataError(f"{file}: not MileBench's layout ({error}). Is it the right file?") from None
        media = media_under(file)
        for number, row in enumerate(rows):
            yield from built(Row(number, row), partial(_build, instructions=instructions), file=file, media=media)


def score(question: Example, reply: str) -> float:
    """Score a reply by the measure of its data set."""
    if scorers.is_choice(question):
        return scorers.correct(question, reply)
    wanted, said = plain(scorers.reference_of(question)), plain(reply)
    match fact(question, "measure"):
        case "word":
            return float(wanted in said.split())
        case "words":
            return float(wanted in said)
    return published_rouge_l(wanted, said).f if wanted.strip(".") and said.strip(".") else 0.0


def published(question: Example, reply: str) -> float:
    """Score a reply as the authors' code does, choices too."""
    if not scorers.is_choice(question):
        return score(question, reply)
    options = scorers.options_of(question)
    right = next(at for at, option in enumerate(options) if plain(option) == plain(scorers.reference_of(question)))
    return float(option_read(options, reply) == letters_at(right))


def _build(source: Source, *, instructions: Json) -> Iterator[Example]:
    kind, instance = source.file.stem, keyed(source.row.get("task_instance"), "'task_instance'")
    context = words(instance.get("context"), "'context'")
    options = [words(each, "an option") for each in listed(instance.get("choice_list") or [], "'choice_list'")]
    if options:
        lines = [
            option if kind == UNLETTERED else f"{chr(ord('A') + at)}. {option}" for at, option in enumerate(options)
        ]
        context += "\nChoice list: \n" + "\n".join(lines) + "\nYour answer is: "
    names = [words(name, "an image") for name in listed(instance.get("images_path"), "'images_path'")]
    images = [source.media.image(f"images/{name}") for name in names]
    asked = _asked(f"{_instruction(source, instructions)}\n{context}", images)
    name, reply = f"{kind}/{source.name('sample_id')}", source.answer("response")
    facts: dict[str, Json] = {"kind": kind, "question": context, "scenario": "images"}
    if level := source.row.get("image_quantity_level"):
        facts["level"] = level
    if options:
        same = [at for at, option in enumerate(options) if plain(option) == plain(reply)]
        if len(same) != 1:
            raise bad(f"the response {reply[:40]!r} is not one of the options. Mend the row or leave it out.")
        yield choice(source, asked, name=name, options=options, right=same[0], reply=reply, **facts)
        return
    measure = "word" if "NeedleInAHaystack" in kind else "words" if "MMCoQA" in kind else "rouge_l"
    yield free(source, asked, name=name, reply=reply, measure=measure, **facts)


def _instruction(source: Source, instructions: Json) -> str:
    at = source.row.get("task_instruction_id")
    if isinstance(instructions, dict):
        return words(instructions.get(str(at)), "the task instruction")
    if isinstance(instructions, list) and isinstance(at, int) and 0 <= at < len(instructions):
        return words(instructions[at], "the task instruction")
    raise bad(f"task_instruction_id {at!r} names no instruction. Mend the row or leave it out.")


def _asked(text: str, images: list[ImageRef]) -> list[Text | ImageRef]:
    """Return the text with image k at slot k. Raises RowError: a slot has no image, or an image no slot."""
    parts = _SLOT.split(text)
    slots = [int(number) for number in parts[1::2]]
    if set(slots) != set(range(1, len(images) + 1)):
        raise bad(f"the slots {sorted(set(slots))} are not those of {len(images)} images. Mend the row.")
    asked: list[Text | ImageRef] = []
    for at, part in enumerate(parts):
        if at % 2:
            asked.append(images[int(part) - 1])
        elif part:
            asked.append(Text(part))
    return asked


BENCHMARK = Benchmark(
    questions=questions,
    score=score,
    published=published,
    chance=chance_of,
    cite="Song, Chen, Chen, Yu, Wan, Wang 2024 (arXiv:2404.18532)",
    about="29 data sets of long contexts with many images; mean over data sets",
    items=6440,
    task_count=29,
    images="2 and more",
    source="hub: FreedomIntelligence/MileBench",
    licence="CC-BY-2.0",
    metric="mixed",
    aggregate="macro",
    max_tokens=512,
)
