"""Ask the questions of a folder that have no reply yet; every reply is written down before the next one is awaited.

Not which questions (``run``) nor what a reply is worth (``result``). After a kill at any moment no question whose reply
was written down is asked again; what was in flight is. Equal prompts (the same words, the same pixels in their places,
the same responder and settings) are one prompt: it is asked once, and each question gets the reply on a line of its
own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from triptych.core.errors import RunError
from triptych.core.files import append_json_line
from triptych.core.log import progress, say
from triptych.core.records import Answer, Example, images_of, text_of, videos_of
from triptych.evaluate.benchmark import asked
from triptych.evaluate.reading.answers import ANSWERS, Line, line_to_json, read_lines
from triptych.infer.answer_cache import AnswerCache
from triptych.infer.responder import Failed, Responder, knows_ids, writable

Groups = Mapping[str, Sequence[Example]]
"""What is the same for equal prompts -> the questions that are asked by them."""


def collect_replies(
    prompts: Sequence[Example],
    responder: Responder,
    *,
    key_of: Mapping[str, str],
    prompt_key_of: Mapping[str, str],
    folder: Path,
    max_tokens: int,
    cache: AnswerCache | None = None,
) -> dict[str, Line]:
    """Ask every prompt that has no reply in the folder, and return the folder's lines by key.

    Args:
        prompts: the questions as they are asked, each with its reference as last turn.
        responder: who is asked.
        key_of: id -> key of its line.
        prompt_key_of: id -> `prompt_key`; of equal prompts one is asked, unless the responder knows ids.
        folder: where ``answers.jsonl`` is, or will be; the caller holds its lock.
        max_tokens: most tokens of a reply.
        cache: replies of other runs; None: there are none.

    Raises:
        RunError: the responder broke its contract.
    """
    path = folder / ANSWERS

    def write(answer: Answer | Failed, members: Sequence[Example]) -> None:
        for member in members:
            append_json_line(path, line_to_json(_line(answer, member, key_of[member.id], responder.name)))

    same = {prompt.id: prompt_key_of[prompt.id] + (prompt.id if knows_ids(responder) else "") for prompt in prompts}
    groups, answers = _missing(prompts, path, key_of=key_of, same=same)
    if not groups:
        return read_lines(path)
    with progress(folder.name, sum(map(len, groups.values()))) as advance:
        for each in [each for each in groups if each in answers]:  # killed between the lines of one reply
            write(answers[each], groups[each])
            advance(len(groups[each]))
        unanswered = {members[0].id: members for each, members in groups.items() if each not in answers}
        _report_shared(unanswered)
        failed: list[str] = []
        for answer in _answers(unanswered, responder, cache, prompt_key_of, max_tokens):
            members = unanswered[answer.id]
            write(answer, members)
            failed += [answer.reason] * len(members) if isinstance(answer, Failed) else []
            advance(len(members))
    if failed:
        say(f"{len(failed)} failed. The first: {failed[0]}")
    return read_lines(path)


def _missing(
    prompts: Sequence[Example], path: Path, *, key_of: Mapping[str, str], same: Mapping[str, str]
) -> tuple[Groups, dict[str, Answer]]:
    """Return the prompts without a reply, equal ones together, and the replies that are there, both by ``same``.

    A question that has a reply but reads otherwise now, as the data were mended, is written again with that reply:
    whoever scores again finds it mended.
    """
    known = read_lines(path)
    groups: dict[str, list[Example]] = {}
    answers: dict[str, Answer] = {}
    for prompt in prompts:
        line = known.get(key_of[prompt.id])
        if line is None or line.failed:
            groups.setdefault(same[prompt.id], []).append(prompt)
            continue
        answers.setdefault(same[prompt.id], _answer(line))
        if _unasked_facts(line.question) != _unasked_facts(prompt):
            append_json_line(path, line_to_json(replace(line, question=prompt)))
    return groups, answers


def _report_shared(unanswered: Groups) -> None:
    total = sum(map(len, unanswered.values()))
    if total > len(unanswered):
        shared = total - len(unanswered)
        say(f"{len(unanswered)} prompts for {total} questions: {shared} ask what another one asks, and share its reply")


def _answers(
    unanswered: Groups,
    responder: Responder,
    cache: AnswerCache | None,
    prompt_key_of: Mapping[str, str],
    max_tokens: int,
) -> Iterator[Answer | Failed]:
    """Yield one answer to the first question of each group: those of other runs come first, new ones are cached."""
    questions = {members[0].id: asked(members[0]) for members in unanswered.values()}
    found = {
        name: cached
        for name in questions
        if cache is not None and (cached := cache.get(prompt_key_of[name], name=name)) is not None
    }
    if found:
        say(f"{len(found)} of {len(questions)} questions were answered in other runs (cache=false asks them again)")
    yield from found.values()
    rest = {name: question for name, question in questions.items() if name not in found}
    for answer in responder.answer(list(rest.values()), max_tokens=max_tokens) if rest else ():
        if rest.pop(answer.id, None) is None:
            raise RunError(f"{responder.name} answered {answer.id!r}, which was not asked, or not again.")
        yield answer
        if cache is not None and isinstance(answer, Answer):
            cache.put(prompt_key_of[answer.id], replace(answer, text=writable(answer.text)))
    yield from (Failed(name, f"{responder.name} gave no answer to {name!r}.") for name in rest)


def _line(answer: Answer | Failed, prompt: Example, key: str, responder: str) -> Line:
    line = Line(key=key, question=prompt, responder=responder)
    if isinstance(answer, Failed):
        return replace(line, failed=writable(answer.reason))
    reply = writable(answer.text)
    return replace(line, reply=reply, tokens_in=answer.tokens_in, tokens_out=answer.tokens_out, cut=answer.cut)


def _answer(line: Line) -> Answer:
    return Answer(line.question.id, line.reply, tokens_in=line.tokens_in, tokens_out=line.tokens_out, cut=line.cut)


def _unasked_facts(question: Example) -> str:
    """Return what is known of a question besides what is asked: its reference, where its media are, its facts."""
    media = [[image.source for image in images_of(question)], [video.source for video in videos_of(question)]]
    known = [text_of(question.turns[-1]), *media, question.labels, question.skills, dict(question.facts)]
    return json.dumps(known, sort_keys=True, ensure_ascii=False)
