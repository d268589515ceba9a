"""Q-Bench2 (pairs): which of two photographs is sharper, brighter, noisier? A1-pair-dev: 1,000 questions.

Source: Zhang et al. 2024 (arXiv:2402.07116). Two layouts: Parquet of q-future/Q-Bench2-HF {id, image1, image2,
question, option0..3 ("N/A": none), question_type 0..2, question_concern 0..3, correct_choice}; and the JSON that Mantis
makes of q-future/q-bench2 {id, question_type, question, images, options, answer}. Asked as Mantis asks it
(arXiv:2405.01483): two separate images, in front, first image first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, Json
from triptych.data.disk.rows import bad, words_or_number
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question import mantis_asking
from triptych.evaluate.question.question_rows import Source, is_missing, read_questions

FILES = ("data/dev-*.parquet", "dev-*.parquet", "q-bench2-a1-pair-dev.json", "test.json")
CONCERNS = ("global distortion", "global others", "local distortion", "local others")
TYPES = ("yes or no", "how", "what")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a row."""
    return read_questions(path, _build, files=FILES)


def _build(source: Source) -> Iterator[Example]:
    if "image1" not in source.row:
        yield mantis_asking.row_question(source, kind="pair", scenario="images")
        return
    there = [f"option{number}" for number in range(4) if not _is_none(source.row.get(f"option{number}"))]
    options = [words_or_number(source.row[key], repr(key)) for key in there]
    yield mantis_asking.question(
        source,
        text=source.text("question"),
        images=[source.image("image1"), source.image("image2")],
        options=[f"({letter}) {option}" for letter, option in zip("ABCD", options, strict=False)],
        answer=source.text("correct_choice"),
        scenario="images",
        kind=_named(source, "question_concern", CONCERNS),
        asks=_named(source, "question_type", TYPES),
    )


def _is_none(option: Json) -> bool:
    return is_missing(option) or option == "N/A"


def _named(source: Source, key: str, names: tuple[str, ...]) -> str:
    value = source.row.get(key)
    if not isinstance(value, int) or not 0 <= value < len(names):
        raise bad(f"{key!r} is {value!r}, not a whole number from 0 to {len(names) - 1}. Mend the row or leave it out.")
    return names[value]


BENCHMARK = Benchmark(
    questions=questions,
    score=mantis_asking.score,
    answered=mantis_asking.answered,
    published=mantis_asking.published,
    chance=chance_of,
    cite="Zhang, Wu, Zhang, Zhai, Lin 2024 (arXiv:2402.07116); prompt of Mantis (Jiang et al. 2024)",
    about="low-level looks of two photographs compared, as choices",
    items=1000,
    task_count=4,
    images="2",
    source="hub: q-future/Q-Bench2-HF, dev; or q-future/q-bench2 as Mantis prepares it",
    licence="MIT",
)
