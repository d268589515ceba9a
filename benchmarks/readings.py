"""Our reading of replies against what the authors of MathVista and MMMU read in those that they published. JSON.

    python benchmarks/readings.py --mathvista FOLDER --mmmu FOLDER [--out FILE] [--differences FILE]

The folders are checkouts of github.com/lupantech/MathVista and github.com/MMMU-Benchmark/MMMU. No model and no pictures
are needed: questions are those in the files of replies, and every picture is one white pixel. The replies are read as
``triptych mark`` reads them (MMMU-Pro, which is no benchmark here, by the rules for options).

MathVista's authors let GPT take an answer out of a reply; of an option they then took the one nearest in letters. A
reading is ``guessed`` where GPT took nothing, or nothing that names the option which was nearest, and ``no number``
where what it took is none. MMMU's code draws an option where it finds none: ``guessed`` too. ``agreement`` is over the
others, ``naive`` is what a plain pattern agrees there: the first capital that stands alone, or the last number.

Runs that wrote programs are left out: they are no replies. So is what a checkout lacks.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from PIL import Image

from triptych.core.records import Example, Text, Turn
from triptych.evaluate.benchmarks import mathvista, mmmu
from triptych.evaluate.metrics.mmmu import letter_given
from triptych.evaluate.reading import choices, scorers
from triptych.evaluate.reading.replies import read_replies

NO_REPLIES = ("random", "template", "_code")
"""In the names of MathVista's files that hold none."""
MODELS = ("llava1.5_13b", "qwen_vl")
PIXEL = "white.png"
LETTER = re.compile(r"\b([A-Z])\b")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reply, read twice. An option is told by its letter."""

    id: str
    reply: str
    here: object
    """None: unanswered."""
    there: object
    taken: str = ""
    """What GPT took out of the reply."""
    guessed: bool = False
    no_number: bool = False
    naive: object
    right_here: bool
    right_there: bool
    rule: str
    options: Sequence[str] = ()


def mathvista_readings(file: Path, scratch: Path) -> Iterator[Reading]:
    """Yield the readings of one published file."""
    rows = json.loads(file.read_text(encoding="utf-8"))
    replies = read_replies(file).by_id
    data = scratch / "testmini.jsonl"
    data.write_text("".join(json.dumps({**row, "image": PIXEL}) + "\n" for row in rows.values()), encoding="utf-8")
    for question in mathvista.questions(data):
        if not isinstance(question, Example):
            raise SystemExit(f"{file}: {question.message}")
        row, reply = rows[question.id], replies[question.id].text
        read = _option if scorers.is_choice(question) else _number
        yield read(question, row, reply)


def _option(question: Example, row: Mapping[str, Any], reply: str) -> Reading:
    options, taken = row["choices"], str(row.get("extraction") or "")
    there = options.index(row["prediction"])
    by_letter = re.search(r"\(([a-zA-Z])\)", taken) is not None
    found, alone = scorers.choice_of(question, reply), LETTER.search(reply)
    return Reading(
        id=question.id,
        reply=reply,
        here=_letter(found.option),
        there=_letter(there),
        taken=taken,
        guessed=not taken.strip() or not (by_letter or choices.choose(options, taken).option == there),
        naive=alone[1] if alone else None,
        right_here=mathvista.score(question, reply) == 1,
        right_there=bool(row.get("true_false")),
        rule=found.rule,
        options=options,
    )


def _number(question: Example, row: Mapping[str, Any], reply: str) -> Reading:
    taken, numbers = str(row.get("extraction") or ""), NUMBER.findall(reply)
    # The files are older than the code: of "33.5", where a whole number is asked for, it makes 33 and they have none.
    said = row.get("prediction") or (taken if re.fullmatch(r"-?\d*\.?\d+", taken) else None)
    there = None if said is None else _compared(question, said)
    return Reading(
        id=question.id,
        reply=reply,
        here=_compared(question, reply),
        there=there,
        taken=taken,
        no_number=there is None,
        naive=_compared(question, numbers[-1]) if numbers and question.facts["form"] != "list" else None,
        right_here=mathvista.score(question, reply) == 1,
        right_there=bool(row.get("true_false")),
        rule=str(question.facts["form"]),
    )


def _compared(question: Example, text: str) -> object:
    """Return what a text gives, as it is compared with the answer."""
    said = replace(question, turns=(*question.turns[:-1], Turn("assistant", (Text(text),))))
    return mathvista.label(said)


def mmmu_readings(folder: Path, model: str, scratch: Path) -> Iterator[Reading]:
    """Yield the readings of one model's multiple-choice questions; open ones are read by the authors' rule here too."""
    outputs = folder / "mmmu" / "example_outputs" / model
    rows = {row["id"]: row for file in outputs.glob("*/output.json") for row in json.loads(file.read_text("utf-8"))}
    key = json.loads((folder / "mmmu" / "answer_dict_val.json").read_text("utf-8"))
    parsed = json.loads((outputs / "total_val_output.json").read_text("utf-8"))
    replies = read_replies(outputs).by_id
    asked = [row for row in rows.values() if row["question_type"] == "multiple-choice"]
    images = {f"image_{number}": PIXEL for number in range(1, 10)}
    data = scratch / "validation.jsonl"
    with data.open("w", encoding="utf-8") as lines:
        for row in asked:
            listed = [row["index2ans"][each] for each in row["all_choices"]]
            lines.write(json.dumps({**row, **images, "question": "", "options": listed}) + "\n")
    for question in mmmu.questions(data):
        if not isinstance(question, Example):
            raise SystemExit(f"{outputs}: {question.message}")
        reply, right = replies[question.id].text, key[question.id]["ground_truth"]
        options = scorers.options_of(question)
        yield _lettered(question.id, reply, options, there=parsed[question.id], right=right)


def pro_readings(file: Path) -> Iterator[Reading]:
    """Yield the readings of one file of MMMU-Pro."""
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        listed = ast.literal_eval(str(row["options"]))
        options = [str(each[0] if isinstance(each, list) else each) for each in listed]
        reply = row["response"] if isinstance(row["response"], str) else ""
        yield _lettered(row["id"], reply, options, there=row["pred_indexs"], right=row["answer"], pro=True)


def _lettered(
    name: str, reply: str, options: Sequence[str], *, there: str, right: str | list[str], pro: bool = False
) -> Reading:
    found, alone = choices.choose(options, reply), LETTER.search(reply)
    here = _letter(found.option)
    return Reading(
        id=name,
        reply=reply,
        here=here,
        there=there,
        guessed=not pro and letter_given(options, reply) is None,
        naive=alone[1] if alone else None,
        right_here=here is not None and here in right,
        right_there=there in right,
        rule=found.rule,
        options=options,
    )


def _letter(option: int | None) -> str | None:
    return None if option is None else ascii_uppercase[option]


def summary(readings: Sequence[Reading]) -> dict[str, object]:
    """Return the numbers of one file; shares and totals in percent."""
    read = [each for each in readings if not (each.guessed or each.no_number)]
    guessed = [each for each in readings if each.guessed]
    no_number = [each for each in readings if each.no_number]
    return {
        "replies": len(readings),
        "read_there": len(read),
        "agreement": _percent([each.here == each.there for each in read]),
        "naive": _percent([each.naive == each.there for each in read]),
        "differences": sum(each.here != each.there for each in read),
        "unanswered_here": sum(each.here is None for each in readings),
        "guessed_there": len(guessed),
        "guessed_there_unanswered_here": sum(each.here is None for each in guessed),
        "no_number_there": len(no_number),
        "no_number_there_unanswered_here": sum(each.here is None for each in no_number),
        "empty_replies_read_there": sum(not each.reply.strip() for each in read),
        "same_verdict": _percent([each.right_here == each.right_there for each in readings]),
        "right_there_by_a_guess": _percent([each.right_there and each.guessed for each in readings]),
        "total_here": _percent([each.right_here for each in readings]),
        "total_there": _percent([each.right_there for each in readings]),
    }


def _percent(kept: Sequence[bool]) -> float | None:
    return round(100 * sum(kept) / len(kept), 1) if kept else None


def main() -> None:
    """Read the replies, print the numbers."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--mathvista", type=Path, help="checkout of lupantech/MathVista")
    options.add_argument("--mmmu", type=Path, help="checkout of MMMU-Benchmark/MMMU")
    options.add_argument("--out", type=Path, help="a file for the JSON, instead of stdout")
    options.add_argument("--differences", type=Path, help="a file for the differences, a line each")
    asked = options.parse_args()
    found: dict[str, list[Reading]] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        Image.new("RGB", (1, 1), "white").save(scratch / PIXEL)
        if asked.mathvista:
            for file in sorted((asked.mathvista / "results").glob("*/output_*.json")):
                if not any(word in str(file.relative_to(asked.mathvista)) for word in NO_REPLIES):
                    found[f"mathvista {file.stem.removeprefix('output_')}"] = [*mathvista_readings(file, scratch)]
        if asked.mmmu:
            for model in MODELS:
                found[f"mmmu {model}"] = [*mmmu_readings(asked.mmmu, model, scratch)]
            for file in sorted((asked.mmmu / "mmmu-pro" / "output").glob("*.jsonl")):
                found[f"mmmu-pro {file.stem}"] = [*pro_readings(file)]
    text = json.dumps({name: summary(readings) for name, readings in found.items()}, indent=2) + "\n"
    if asked.differences:
        differ = [
            {"file": name, **asdict(each)}
            for name, readings in found.items()
            for each in readings
            if each.here != each.there and not (each.guessed or each.no_number)
        ]
        lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in differ)
        asked.differences.write_text(lines, encoding="utf-8")
    if asked.out is None:
        sys.stdout.write(text)
    else:
        asked.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
