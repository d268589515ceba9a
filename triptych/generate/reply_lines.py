"""What a reply's labelled lines say: questions and answers in their order, without labels, headings and bold marks.

Not which of them make a pair (``reply_pairs``). A label is a word for question or answer in the paper's languages, with
or without numbers, bullets and bold marks; a numbered line that ends in a question mark is a question where an answer's
label follows it. Invariant: a mark of bold or italics goes only where it is the label's own, or stands around
everything that is said. A line is read in time in proportion to its length, however long a run of spaces or marks is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_QUESTION_WORDS = "questions?|instruction|human|user|q|问题|提问|问|質問|問|pregunta|frage|nutzer|질문|문|السؤال|سؤال|س"
_ANSWER_WORDS = (
    "answers?|correct[ \t]{1,3}(?:answer|option)|response|assistant|gpt|a|答案|回答|答|答え|respuesta|antwort|réponse|"
    "reponse|답변|대답|답|الإجابة|إجابة|الاجابة|اجابة|الجواب|جواب|ج"
)
_LEAD = r"[\s\ufeff\u200b-\u200f\u202a-\u202e\u2066-\u2069>*_#\-•‣(（\[]*+"
"""Bullets and marks, and signs that nobody sees: of the order of bytes, and of the direction of writing."""
_ITEM = r"(?P<item>\d++)\s*+[.．)、）:\]](?!\d)"
_LABEL = re.compile(
    rf"^(?P<lead>{_LEAD}(?:{_ITEM}\s*+)?[*_\s]*+)(?:(?P<question>{_QUESTION_WORDS})|(?P<answer>{_ANSWER_WORDS}))"
    r"\s*+[#№]?\s*+(?P<number>\d*+)(?P<behind>[*_\s)）\]]*+)[:：](?P<said>.*)$",
    re.IGNORECASE,
)
_LISTED = re.compile(rf"^(?P<lead>{_LEAD}{_ITEM})(?P<said>.*)$")
_OPTION = re.compile(rf"^{_LEAD}[A-H]\s*+[.)）]")
_SECOND_OPTION = re.compile(rf"^{_LEAD}B\s*+[:：]")
_RULE = re.compile(r"^\s*+([-*_=]{3,}|#+\s.*|`{3,}\w*)\s*$")
_GROUP = re.compile(r"^[\s#*_]*+(?:conversation|dialog(?:ue)?)\s*+[#№]?\s*+\d++\s*+[*_:：.)]*+\s*$", re.IGNORECASE)
_NUMBERED = re.compile(
    r"^[\s#*_]*+(?:(?:pair|round|q\s?&\s?a|qa)\s*+[#№]?\s*+)?\d++\s*+[*_:：.)]++\s*$",
    re.IGNORECASE,
)
"""A line that only numbers the pair that follows it."""
_HEADING = re.compile(
    r"^[\s#*_]*+(?:(?P<word>pair|round|turn|exchange|example|item|set|group|part|section|image|picture|photo|frame|view|"
    r"scene|clip|video)s?\s*+[#№]?\s*+\d++\s*+[*_:：.)]*+\s*|(?P<field>topic|theme|category|subject)\s*+\d*+[*_\s]*+[:：].{1,60})$",
    re.IGNORECASE,
)
"""A line that may say what the pairs behind it are about, where it stands directly before a question."""
_FIELD = re.compile(r"^[\s*_#•-]*+[^\W\d_]++[*_\s]*+[:：]")
_ENDED = re.compile(r"""[.!?…。！？؟]["'”’»)*_\s]*+$""")
_CHATTER = re.compile(r"^(i hope|let me know|feel free|please let me|is there anything|if you (need|want|have))", re.I)
_MARKS = re.compile(r"\*+|_+")
_WRAPPED = re.compile(r"(?P<mark>\*{1,3}|_{1,3})(?P<text>[^\s*_](?:.*[^\s*_])?)(?P=mark)", re.DOTALL)
_GOES_ON = (":", "：", ",", "、")
_MOST_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Said:
    """One question or answer of a reply."""

    is_question: bool
    text: str
    group: int
    """Number of the conversation in the reply that it belongs to."""
    number: int | None = None
    """Which question or answer it calls itself."""
    is_option: bool = False
    """It stands behind a bare ``A:`` and ``B:`` follows, so that nobody knows whether it is the answer or an option."""


@dataclass(slots=True)
class _Open:
    """A question or answer while its lines are read."""

    is_question: bool
    lines: list[str]
    group: int
    number: str = ""
    mark: str = ""
    """Bold or italics that begin before its label and end somewhere in its words."""
    is_bare: bool = False
    """Its label is the letter A."""


def said_in(reply: str) -> tuple[Said, ...]:
    """Return the questions and answers of a reply in lines, in order; none where no line is labelled."""
    lines = reply.splitlines()
    said: list[_Open] = []
    headings: set[str] = set()  # that the reply begins with
    group = 0
    for at, line in enumerate(lines):
        opened = _labelled(line, group)
        if opened is None and not (said and said[-1].is_question and any(map(str.strip, said[-1].lines))):
            opened = _listed(lines, at, group)
            if opened is not None and said and said[-1].is_question:
                said.pop()  # "Questions:", above the first of them
        if opened is not None:
            if said and opened.is_question and not said[-1].is_question:
                _drop_headings(said[-1].lines, headings)
            said.append(opened)
        elif not said and (heading := _HEADING.match(line)):
            headings.add(_kind(heading))
        elif _GROUP.match(line):
            group += bool(said)
        elif said and not (_RULE.match(line) or (not said[-1].is_question and _NUMBERED.match(line))):
            said[-1].lines.append(line)
    if said and not said[-1].is_question:
        said[-1].lines = _without_chatter(said[-1].lines)
    return tuple(map(_closed, said))


def _labelled(line: str, group: int) -> _Open | None:
    found = _LABEL.match(line)
    if found is None:
        return None
    mark = _left_open(found["lead"])
    words, mark = _words_and_mark(found["said"], "" if mark and mark in found["behind"] else mark)
    bare = (found["answer"] or "").casefold() == "a" and not found["number"]
    return _Open(found["question"] is not None, [words], group, found["number"], mark, bare)


def _listed(lines: Sequence[str], at: int, group: int) -> _Open | None:
    """Return the question that a numbered line is: it ends in a question mark, and an answer's label follows it."""
    found = _LISTED.match(lines[at])
    if found is None or not found["said"].rstrip("*_ \t").endswith(("?", "？", "؟")):
        return None
    # The options of a question may stand between it and its answer.
    after = next((line for line in lines[at + 1 :] if line.strip() and not _OPTION.match(line)), "")
    answered = _LABEL.match(after)
    if answered is None or answered["answer"] is None:
        return None
    words, mark = _words_and_mark(found["said"], _left_open(found["lead"]))
    return _Open(True, [words], group, found["item"], mark)


def _left_open(lead: str) -> str:
    """Return the mark of bold or italics that begins in what stands before words, and does not end there."""
    mark = ""
    for run in _MARKS.finditer(lead):
        if run[0] == mark:
            mark = ""
        elif not lead[run.end() : run.end() + 1].isspace():  # else a bullet
            mark = run[0]
    return mark


def _words_and_mark(said: str, mark: str) -> tuple[str, str]:
    """Return what stands behind a label without the marks that end there, and the mark that has yet to end."""
    words = said.strip()
    first = _MARKS.match(words)
    if first is None:
        return words, mark
    if mark and first[0] == mark:
        return words[first.end() :].strip(), ""
    # Two marks and a space begin nothing; one is a bullet.
    stray = not mark and len(first[0]) > 1 and words[first.end() : first.end() + 1].isspace()
    return (words[first.end() :].strip() if stray else words), mark


def _kind(heading: re.Match[str]) -> str:
    return (heading["word"] or heading["field"]).casefold()


def _drop_headings(lines: list[str], known: set[str]) -> None:
    """Take off the headings at the end of an answer, where it came to its end before them, or the reply begins so.

    What may be a list, a field among others, or all that it says, stays.
    """
    kept = [at for at, line in enumerate(lines) if line.strip()]
    headings: list[re.Match[str]] = []
    parted = False
    while len(kept) > 1 and (heading := _HEADING.match(lines[kept[-1]])):
        headings.append(heading)
        parted = kept.pop() - kept[-1] > 1
    words, last = set(map(_kind, headings)), lines[kept[-1]] if kept else ""
    a_list = len(words) < len(headings) or last.rstrip().endswith(_GOES_ON)
    fields = any(heading["field"] for heading in headings) and any(_FIELD.match(lines[at]) for at in kept)
    if headings and not a_list and not fields and (parted or _ENDED.search(last) or words <= known):
        del lines[kept[-1] + 1 :]


def _closed(each: _Open) -> Said:
    text = "\n".join(line.rstrip() for line in each.lines).strip()
    sign = re.escape(each.mark[:1])
    if each.mark and (end := re.search(rf"(?<!{sign}){re.escape(each.mark)}(?!{sign}|\w)", text)):
        text = text[: end.start()] + text[end.end() :]
    if text.count("**") % 2:  # one that nothing began or ended
        text = text.removesuffix("**") if text.endswith("**") else text.removeprefix("**")
    text = text.strip()
    if (wrapped := _WRAPPED.fullmatch(text)) and wrapped["mark"] not in wrapped["text"]:
        text = wrapped["text"]
    second = next((line for line in each.lines[1:] if line.strip()), "")
    return Said(
        each.is_question,
        text,
        each.group,
        int(each.number) if 0 < len(each.number) <= _MOST_DIGITS else None,
        each.is_bare and _SECOND_OPTION.match(second) is not None,
    )


def _without_chatter(lines: Sequence[str]) -> list[str]:
    paragraphs = "\n".join(lines).split("\n\n")
    while len(paragraphs) > 1 and _CHATTER.match(paragraphs[-1].strip()):
        paragraphs.pop()
    return "\n\n".join(paragraphs).split("\n")
