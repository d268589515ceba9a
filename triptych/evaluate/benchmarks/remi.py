"""ReMI: 13 tasks of reasoning over several images: algebra, clocks, graphs, geometry, code; 200 questions each.

Source: Kazemi et al. 2024 (arXiv:2406.09175), mehrankazemi/ReMI: ``test.parquet`` with {question, label, task,
image_1..image_6}; image k stands at ``<imagek>``. Prompt and rules are those of the authors' notebook, read in a copy:
the reply is a JSON object whose ``answer`` counts, numbers within 1% (3% for geometry, 10 minutes for clocks). A reply
without such an object is unanswered. The total is the mean over tasks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, ImageRef, Text
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of, fact
from triptych.evaluate.question.question_rows import Source, free, read_questions

FORM = (
    ' Output only a valid JSON string with two fields: "explanation" and "answer". Do not output anything else. The'
    " explanation field contains your reasoning. The answer field "
)
NUMBER = "contains the numeric value corresponding to your final answer."
WORDS = "contains a string corresponding to your final answer."
TASKS = {
    "Collisions": f"{NUMBER} If it is a yes or no question, the answer field must be 0 for no and 1 for yes.",
    "Clocks": NUMBER,
    "Schedule": WORDS,
    "EmojiAlgebra": NUMBER,
    "Charts": "contains a string or numerical value corresponding to your final answer.",
    "CodeEdit": "contains the line of code corresponding to your final answer.",
    "GeomShape": NUMBER,
    "GeomCost": NUMBER,
    "FuncRead": "contains a string or numeric value corresponding to your final answer.",
    "RefCoco": NUMBER,
    "IQ": "contains the a string corresponding to your final choice.",
    "Isomorphism": "must be 1 if the two graphs are isomorphic and 0 otherwise.",
    "Maps": WORDS,
}
"""Task -> what is asked of its answer; the slip in IQ is published."""
CHANCES = {"Isomorphism": 0.5}
_SLOT = re.compile(r"<image(\d+)>")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a row."""
    return read_questions(path, _build, files=("test.parquet", "test-*.parquet", "data/test-*.parquet", "test.json"))


def score(question: Example, reply: str) -> float:
    """Score the answer of a reply's JSON object by the rule of its task."""
    said = _answer(reply)
    if said is None:
        return 0.0
    wanted, task = _plain(fact(question, "label")), fact(question, "kind")
    if task == "RefCoco":
        return float(said in wanted.split(","))
    if task == "Clocks":
        return float(_near(wanted, said, minutes=10))
    if task in ("GeomShape", "GeomCost"):
        return float(_near(wanted, said, share=0.03))
    brackets = said == f"({wanted})" or wanted == f"({said})"
    spaces = said.replace(" ", "") == wanted or wanted.replace(" ", "") == said
    function = said.endswith("(x)") and said in ("f(x)", "g(x)", "h(x)") and said[0] == wanted
    return float(said == wanted or brackets or spaces or function or _near(wanted, said, share=0.01))


def answered(question: Example, reply: str) -> bool:
    """Return whether the reply holds an object with an answer."""
    return _answer(reply) is not None


def _build(source: Source) -> Iterator[Example]:
    task, text, label = source.text("task"), source.text("question"), source.answer("label")
    if task not in TASKS:
        raise bad(f"{task!r} is no task of ReMI. There are: {', '.join(TASKS)}.")
    keys = [f"image_{number}" for number in range(1, 7)]
    images = [source.image(key) for key in keys if source.row.get(key) is not None]
    parts = _SLOT.split(f"Question: {text}{FORM}{TASKS[task]}")
    if [int(number) for number in parts[1::2]] != list(range(1, len(images) + 1)):
        raise bad(f"its {len(images)} images do not stand once each, in order, in the question. Leave the row out.")
    asked: list[Text | ImageRef] = []
    for at, part in enumerate(parts):
        if at % 2:
            asked.append(images[int(part) - 1])
        elif part:
            asked.append(Text(part))
    yield free(
        source,
        asked,
        name=source.numbered(task),
        reply=json.dumps({"answer": _any_of(label, task)}, ensure_ascii=False),
        kind=task,
        question=text,
        label=label,
        chance=CHANCES.get(task, 0.0),
        scenario="images",
    )


def _any_of(label: str, task: str) -> str:
    """Return an answer that is right; RefCoco lists all that are."""
    return label.partition(",")[0] if task == "RefCoco" else label


def _plain(label: str) -> str:
    return label.lower().replace("\\", "").partition("%")[0].strip()


def _answer(reply: str) -> str | None:
    """Return the answer of the JSON object in a reply, plain; None where there is none."""
    start, end = reply.find("{"), reply.rfind("}")
    try:
        held = json.loads(reply[max(start, 0) : end + 1].replace('\\"', "").replace("\\", ""))
    except (ValueError, RecursionError):
        return None
    if not isinstance(held, dict) or "answer" not in held:
        return None
    return str(held["answer"]).lower().partition("%")[0].strip()


def _near(wanted: str, said: str, *, share: float = 0.0, minutes: float = 0.0) -> bool:
    try:
        right, given = float(wanted), float(said)
    except ValueError:
        return False
    return right * (1 - share) - minutes <= given <= right * (1 + share) + minutes


BENCHMARK = Benchmark(
    questions=questions,
    score=score,
    answered=answered,
    label=lambda question: _plain(fact(question, "label")),
    chance=chance_of,
    cite="Kazemi, Dikkala, Anand et al. 2024 (NeurIPS; arXiv:2406.09175)",
    about="13 tasks of reasoning over several images; mean over tasks",
    items=2600,
    task_count=len(TASKS),
    images="2 to 6",
    source="hub: mehrankazemi/ReMI, test",
    licence="CC, which one is not said",
    aggregate="macro",
    max_tokens=512,
)
