"""Ask what has no reply yet, and write every reply down before the next one is waited for.

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


def ask(
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
        prompts: as they are asked, with their references as last turns.
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
    known = read_lines(path)

    def write(said: Answer | Failed, members: Sequence[Example]) -> None:
        for member in members:
            line = _line(said, member, key_of[member.id], responder.name)
            append_json_line(path, line_to_json(line))

    groups: dict[str, list[Example]] = {}
    replies: dict[str, Answer] = {}
    for prompt in prompts:
        line = known.get(key_of[prompt.id])
        same = prompt_key_of[prompt.id] + (prompt.id if knows_ids(responder) else "")
        if line is None or line.failed:
            groups.setdefault(same, []).append(prompt)
            continue
        replies.setdefault(same, _answer(line))
        if _told(line.question) != _told(prompt):  # the data were mended: whoever scores again is to find them so
            append_json_line(path, line_to_json(replace(line, question=prompt)))
    if not groups:
        return read_lines(path)
    with progress(folder.name, sum(map(len, groups.values()))) as advance:
        for same in [same for same in groups if same in replies]:  # killed between the lines of one reply
            members = groups.pop(same)
            write(replies[same], members)
            advance(len(members))
        open_ones = {members[0].id: members for members in groups.values()}
        _tell_shared(open_ones)
        failed: list[str] = []
        for said in _replies(open_ones, responder, cache, prompt_key_of, max_tokens):
            members = open_ones.pop(said.id)
            write(said, members)
            failed += [said.reason] * len(members) if isinstance(said, Failed) else []
            advance(len(members))
    if failed:
        say(f"{len(failed)} failed. The first: {failed[0]}")
    return read_lines(path)


def _tell_shared(open_ones: Mapping[str, Sequence[Example]]) -> None:
    total = sum(map(len, open_ones.values()))
    if total > len(open_ones):
        shared = total - len(open_ones)
        say(f"{len(open_ones)} prompts for {total} questions: {shared} ask what another one asks, and share its reply")


def _replies(
    open_ones: Mapping[str, Sequence[Example]],
    responder: Responder,
    cache: AnswerCache | None,
    prompt_key_of: Mapping[str, str],
    max_tokens: int,
) -> Iterator[Answer | Failed]:
    """Yield a reply to the first of each group, exactly one; those of other runs come first, new ones are kept."""
    questions = {members[0].id: asked(members[0]) for members in open_ones.values()}
    found = {
        name: answer
        for name in questions
        if cache is not None and (answer := cache.get(prompt_key_of[name], name=name)) is not None
    }
    if found:
        say(f"{len(found)} of {len(questions)} questions were answered in other runs (cache=false asks them again)")
    yield from found.values()
    rest = {name: question for name, question in questions.items() if name not in found}
    for said in responder.answer(list(rest.values()), max_tokens=max_tokens) if rest else ():
        if rest.pop(said.id, None) is None:
            raise RunError(f"{responder.name} answered {said.id!r}, which was not asked, or not again.")
        yield said
        if cache is not None and isinstance(said, Answer):
            cache.put(prompt_key_of[said.id], replace(said, text=writable(said.text)))
    yield from (Failed(name, f"{responder.name} gave no answer to {name!r}.") for name in rest)


def _line(said: Answer | Failed, prompt: Example, key: str, responder: str) -> Line:
    line = Line(key=key, question=prompt, responder=responder)
    if isinstance(said, Failed):
        return replace(line, failed=writable(said.reason))
    reply = writable(said.text)
    return replace(line, reply=reply, tokens_in=said.tokens_in, tokens_out=said.tokens_out, cut=said.cut)


def _answer(line: Line) -> Answer:
    return Answer(line.question.id, line.reply, tokens_in=line.tokens_in, tokens_out=line.tokens_out, cut=line.cut)


def _told(question: Example) -> str:
    """Return what a question says besides what is asked: its reference, where its media are, its facts."""
    media = [[image.source for image in images_of(question)], [video.source for video in videos_of(question)]]
    beside = [text_of(question.turns[-1]), *media, question.labels, question.skills, dict(question.facts)]
    return json.dumps(beside, sort_keys=True, ensure_ascii=False)
