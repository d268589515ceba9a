"""Ask what has no reply yet, and write every reply down before the next one is waited for.

Not which questions (``run``) nor what a reply is worth (``result``). After a kill at any moment no question whose reply
was written down is asked again; what was in flight is. ``asked.json`` says what the folder's questions are and who is
asked, so that ``merge.py`` can put parts together and score them without the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from triptych.core.errors import DataError, NotFoundError, RunError
from triptych.core.files import append_json_line, only_one, write_atomically
from triptych.core.log import progress, say
from triptych.core.records import Answer, Example, Json
from triptych.data.disk.rows import keyed, listed, words
from triptych.data.format import Refused
from triptych.evaluate.benchmark import asked
from triptych.evaluate.reading.answers import ANSWERS, Line, line_to_json, read_lines
from triptych.infer.cache import AnswerCache
from triptych.infer.responder import Failed, Responder

ASKED = "asked.json"
LOCK = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a folder's ``asked.json`` says."""

    benchmark: str
    """Its name; empty: a program of one's own asked, and alone knows."""
    responder: str
    fingerprint: str
    blind: bool
    judged: bool
    """Whether a judge marks the replies."""
    shard: str
    """``k/n``; empty: all questions."""
    keys: Mapping[str, str]
    """Of all questions, also those of other parts, in the benchmark's order: id -> key."""
    refused: tuple[Refused, ...]
    """Rows that are no questions."""


def ask(
    prompts: Sequence[Example],
    responder: Responder,
    *,
    key_of: Mapping[str, str],
    folder: Path,
    max_tokens: int,
    cache: AnswerCache | None = None,
) -> dict[str, Line]:
    """Ask every prompt that has no reply in the folder, and return the folder's lines by key.

    Args:
        prompts: as they are asked, with their references as last turns.
        responder: who is asked.
        key_of: id -> key.
        folder: where ``answers.jsonl`` is, or will be; one process at a time.
        max_tokens: most tokens of a reply.
        cache: replies of other runs; None: there are none.

    Raises:
        RunError: the responder broke its contract, or another process asks in this folder.
    """
    path = folder / ANSWERS
    with only_one(folder / LOCK):
        known = read_lines(path)
        open_ones = {
            prompt.id: prompt for prompt in prompts if key_of[prompt.id] not in known or known[key_of[prompt.id]].failed
        }
        if not open_ones:
            return known
        cache_keys = (
            {name: cache.key(asked(it), max_tokens=max_tokens) for name, it in open_ones.items()} if cache else {}
        )
        failed: list[str] = []
        with progress(folder.name, len(open_ones)) as advance:
            for said, is_new in _replies(open_ones, responder, cache, cache_keys, max_tokens):
                prompt = open_ones.pop(said.id, None)
                if prompt is None:
                    raise RunError(f"{responder.name} answered {said.id!r}, which was not asked, or not again.")
                append_json_line(path, line_to_json(_line(said, prompt, key_of[said.id], responder.name)))
                if isinstance(said, Failed):
                    failed.append(said.reason)
                elif cache is not None and is_new:
                    cache.put(cache_keys[said.id], said)
                advance(1)
        for prompt in open_ones.values():
            lost = Failed(prompt.id, f"{responder.name} gave no answer to {prompt.id!r}.")
            append_json_line(path, line_to_json(_line(lost, prompt, key_of[prompt.id], responder.name)))
        if failed:
            say(f"{len(failed)} failed. The first: {failed[0]}")
        return read_lines(path)


def write_asked(folder: Path, what: Asked) -> None:
    """Write ``asked.json``."""
    refused: list[Json] = [{"where": row.where, "reason": row.reason, "message": row.message} for row in what.refused]
    record: dict[str, Json] = {
        "benchmark": what.benchmark,
        "responder": what.responder,
        "fingerprint": what.fingerprint,
        "blind": what.blind,
        "judged": what.judged,
        "shard": what.shard,
        "refused": refused,
        "keys": dict(what.keys),
    }
    write_atomically(folder / ASKED, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_asked(folder: Path) -> Asked:
    """Return what ``asked.json`` says.

    Raises:
        NotFoundError: it is not there.
        DataError: it is none of ours.
    """
    path = folder / ASKED
    try:
        record = keyed(json.loads(path.read_text(encoding="utf-8")), ASKED)
        rows = [keyed(row, "refused") for row in listed(record["refused"], "refused")]
        return Asked(
            benchmark=words(record["benchmark"], "benchmark"),
            responder=words(record["responder"], "responder"),
            fingerprint=words(record["fingerprint"], "fingerprint"),
            blind=record["blind"] is True,
            judged=record["judged"] is True,
            shard=words(record["shard"], "shard"),
            keys={name: words(key, "a key") for name, key in keyed(record["keys"], "keys").items()},
            refused=tuple(
                Refused(words(row["where"], "where"), words(row["reason"], "reason"), words(row["message"], "message"))
                for row in rows
            ),
        )
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file; was there ever an evaluation in {folder}?") from None
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} is no record of what was asked: {error} Run the evaluation again.") from None


def _replies(
    open_ones: Mapping[str, Example],
    responder: Responder,
    cache: AnswerCache | None,
    cache_keys: Mapping[str, str],
    max_tokens: int,
) -> Iterator[tuple[Answer | Failed, bool]]:
    """Yield each reply and whether it is a new one; those of other runs come first."""
    questions = [asked(prompt) for prompt in open_ones.values()]
    found = {
        question.id: answer
        for question in questions
        if cache is not None and (answer := cache.get(cache_keys[question.id], name=question.id))
    }
    if found:
        say(f"{len(found)} of {len(questions)} questions were answered in other runs (cache=false asks them again)")
    yield from ((answer, False) for answer in found.values())
    rest = [question for question in questions if question.id not in found]
    if rest:
        yield from ((said, True) for said in responder.answer(rest, max_tokens=max_tokens))


def _line(said: Answer | Failed, prompt: Example, key: str, responder: str) -> Line:
    line = Line(key=key, question=prompt, responder=responder)
    if isinstance(said, Failed):
        return replace(line, failed=said.reason)
    return replace(line, reply=said.text, tokens_in=said.tokens_in, tokens_out=said.tokens_out)
