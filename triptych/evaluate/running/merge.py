"""Parts of an evaluation, asked by several processes or machines, put together and scored without the model.

Nothing is asked here. Parts belong together when they asked the same questions of the same responder in the same way;
what does not is refused, in the folder of the whole too. A reply wins over a failure; two replies to one question are
the same question asked twice, and the first is kept. Of verdicts every one is. What is right is as the parts say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from triptych.core.errors import DataError, NotFoundError
from triptych.core.files import only_one, read_json_lines, write_atomically
from triptych.core.log import say
from triptych.core.plugins import find
from triptych.core.records import Example, Json
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.reading.answers import ANSWERS, Line, line_to_json, read_lines
from triptych.evaluate.reading.judge import VERDICTS
from triptych.evaluate.running.asked import ASKED, LOCK, Asked, read_asked, write_asked
from triptych.evaluate.running.result import Result, result_of, score_all
from triptych.evaluate.running.writing import write_result


def merge(folders: Sequence[Path], *, out: Path) -> Result | None:
    """Put the parts' replies into one folder, and score them if every question has one.

    Args:
        folders: each an evaluation's folder, or one that holds its ``shard-K-of-N`` folders.
        out: the folder of the whole; it may be one of them, and the replies that it holds stay.

    Returns:
        The result; None: questions are without a reply yet, or a judge is to mark them, and it is said which.

    Raises:
        NotFoundError: a folder holds no evaluation.
        DataError: the parts do not belong together, or ``out`` holds another evaluation.
        RunError: another process works in ``out``.
    """
    parts = [part for folder in folders for part in _parts_in(folder)]
    what = _one_asking(parts)
    _check_whole(out, what)
    sources = [out, *(part for part in parts if part.resolve() != out.resolve())]
    with only_one(out / LOCK):
        lines = _first_replies(sources)
        for part in reversed(parts):  # facts and references of an earlier merge may have been mended since
            for key, line in read_lines(part / ANSWERS).items():
                lines[key] = replace(lines[key], question=line.question)
        _write(out / ANSWERS, [line_to_json(line) for line in lines.values()])
        if verdicts := _verdicts(sources):
            _write(out / VERDICTS, verdicts)
        write_asked(out, what)
        return _scored(what, lines, parts, out)


def _scored(what: Asked, lines: Mapping[str, Line], parts: Sequence[Path], out: Path) -> Result | None:
    """Return the result, or None and say why there is none."""
    open_ones = [name for name, key in what.keys.items() if key not in lines]
    say(f"{len(what.keys) - len(open_ones)} of {len(what.keys)} questions have a line in {out / ANSWERS}")
    if open_ones:
        some = ", ".join(open_ones[:3]) + ("..." if len(open_ones) > 3 else "")
        say(f"not asked yet: {some}; parts here: {_shards_of(parts)}")
        return None
    if what.judged or not what.benchmark:
        why = "a judge marks these replies" if what.judged else "a program of one's own asked"
        say(f"{why}: evaluate again with this folder as --out. It asks the model nothing, and scores.")
        return None
    return _score(what, lines, out)


def _score(what: Asked, lines: Mapping[str, Line], folder: Path) -> Result:
    benchmark = find("benchmark", what.benchmark, expected=Benchmark)
    replied: list[tuple[Example, Line]] = [(lines[key].question, lines[key]) for key in what.keys.values()]
    scored = score_all(benchmark, replied, judge=None, folder=folder)
    result = result_of(
        scored,
        benchmark,
        groups=what.groups,
        refused=len(what.refused),
        responder=what.responder,
        blind=what.blind,
    )
    write_result(folder, scored, refused=what.refused, result=result, max_tokens=what.max_tokens)
    return result


def _parts_in(folder: Path) -> list[Path]:
    # A part that no question fell to has no answers.
    parts = [path for path in [folder, *sorted(folder.glob("shard-*-of-*"))] if (path / ASKED).is_file()]
    if not parts:
        raise NotFoundError(f"{folder}: no {ASKED} there, nor in a folder shard-K-of-N of it.")
    return parts


def _one_asking(parts: Sequence[Path]) -> Asked:
    whats = [replace(read_asked(part), shard="") for part in parts]
    for part, what in zip(parts, whats, strict=True):
        if difference := _difference(what, whats[0]):
            raise DataError(f"{part} does not belong to {parts[0]}: {difference}. Merge parts of one evaluation only.")
    return whats[0]


def _check_whole(out: Path, what: Asked) -> None:
    """Refuse a folder of another evaluation. Raises DataError."""
    if not (out / ASKED).is_file():
        return
    there = read_asked(out)  # an older version did not write all of it
    there = replace(
        there, max_tokens=there.max_tokens or what.max_tokens, references=there.references or what.references
    )
    if difference := _difference(there, what):
        raise DataError(f"{out} holds another evaluation: {difference}. Name another folder with --out.")


def _difference(what: Asked, other: Asked) -> str:
    """Return in words in what two parts were not asked alike; empty: in nothing."""
    for field in ("benchmark", "responder", "max_tokens", "blind", "judged"):
        if (here := getattr(what, field)) != (there := getattr(other, field)):
            return f"{field} is {here!r}, not {there!r}"
    if what.fingerprint != other.fingerprint:
        return f"{what.responder} had other weights or settings ({what.fingerprint}, not {other.fingerprint})"
    if alone := sorted(what.keys.keys() ^ other.keys.keys()):
        return f"{len(alone)} questions are in one of them only, as {alone[0]!r}"
    if changed := [name for name, key in what.keys.items() if key != other.keys[name]]:
        return f"{len(changed)} questions have other words or pictures, as {changed[0]!r}"
    if what.references != other.references:
        return "their questions are the same, but not what is right: the data were of another version"
    return "" if tuple(what.keys) == tuple(other.keys) else "their questions are in another order"


def _first_replies(folders: Iterable[Path]) -> dict[str, Line]:
    """Return of each key the first reply, else a failure."""
    found: dict[str, Line] = {}
    for folder in folders:
        for key, line in read_lines(folder / ANSWERS).items():
            if key not in found or (found[key].failed and not line.failed):
                found[key] = line
    return found


def _verdicts(folders: Sequence[Path]) -> list[dict[str, Json]]:
    """Return all that a judge said in the parts, in order, each once: only a benchmark knows which can be read."""
    found: dict[str, dict[str, Json]] = {}
    for folder in folders:
        for record in read_json_lines(folder / VERDICTS) if (folder / VERDICTS).is_file() else ():
            line = json.dumps(record, sort_keys=True)
            found.pop(line, None)  # of two that can be read the last counts, as it stands in its folder
            found[line] = record
    return list(found.values())


def _write(path: Path, records: Sequence[Mapping[str, Json]]) -> None:
    write_atomically(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _shards_of(parts: Sequence[Path]) -> str:
    return ", ".join(read_asked(part).shard or "whole" for part in parts)
