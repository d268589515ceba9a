"""Numbers by themselves that may mean images: "2 is older", "Is image 1 older than 2?", the options "A. 1 B. 2".

Not numbers beside a noun (``references``). Invariant: what may be rewritten for other numbers of images holds none.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence

from triptych.core.records import Turn, text_of
from triptych.data.text.counted import VERBS, bounded
from triptych.data.text.references import CARDINALS, LETTERS, ORDINALS, Reference, find_references

_UNCOUNTED = (
    r"(?=[^\w\s'’-]|['’](?!\w)|\s*$|\s+[^\w\s\"“'‘]|\s+(?i:and|or|is|are|was|were|do|does|did|has|have|had|shows"
    r"|depicts|features|displays|contains|looks|appears|seems|because|since|as|than|then|but|not|only|in|to|for|from|on"
    r"|with|while|which|that|where|who)\b)"
)
"""Where no thing follows that is counted: "Two is older." and "A and B", not "two dogs" and "A dog"."""
_NAMED_SO = r"(?<![A-Z]{2}\s)(?<!\bWindows\s)"
"""Not behind capitals or a product: "SEASON 2"."""
_LOOSE = (
    bounded(rf"(?<![\w'’]){_NAMED_SO}(?<!\d[.,])(?P<said>\d{{1,3}})(?:st|nd|rd|th)?(?![\w%])(?!\.\d)(?!,\d{{3}})"),
    bounded(rf"(?<![\w'’-])(?<!\bthe )(?<!\bthese )(?<!\bof )(?P<said>(?i:{'|'.join(CARDINALS[1:])})){_UNCOUNTED}"),
    bounded(
        r"(?:(?:^|[^\w\s,-])\s*|\b(?i:number|no|option|answer|choice|only|just|in|from|to|than|is|and|or)\s+)"
        rf"(?P<said>(?i:one)){_UNCOUNTED}"
    ),
    bounded(rf"(?<![\w'’&])(?P<said>[AIai]){_UNCOUNTED}"),
    bounded(r"(?<![\w'’&])(?P<said>[B-HJ-Zb-hj-z])(?![\w'’]|-\w)"),
)
"""Numbers, number words and letters by themselves; "one" and "a" only where they are no pronoun and no article."""
_MAY_STAND_BEFORE = (
    *("number", "no", "option", "answer", "only", "just", "is", "than", "and", "or", "with", "from", "to", "in", "not"),
    *("but", "while", "choose", "pick", "both"),
)
_BEHIND = "|".join(rf"(?i:(?<=\b{word}\s))" for word in _MAY_STAND_BEFORE)
_SAID_ALONE = bounded(
    rf"(?<![\w'’$€£-])(?<!\d\sor\s)(?<!\d\sand\s)(?=\d|(?i:{'|'.join(CARDINALS[1:])})(?!\w))"
    rf"(?:(?<![^\n])|(?<=[.!?;:,(\"“#])|(?<=[.!?;:,]\s)|{_BEHIND})"
    rf"(?P<said>\d{{1,3}}|(?i:{'|'.join(CARDINALS[1:])}))(?![\w%°:/-])(?![.,]\d)"
    rf"(?=\s*(?:[.,;?!)]|$)|\s+(?:and|or|than|while|because|{'|'.join(sorted(VERBS))})\b)"
)
"""The same in replies of rows whose images keep their order, where more numbers are counts: "2 is darker"."""
_ITEM = re.compile(r"(?:^|\n)[ \t*]{0,4}\d{1,2}[.)](?=[* \t])")
"""The number of an item: "1. Image 1 is red."."""
_ITEM_INSIDE = re.compile(r"\((\d{1,2})\)(?=\s)")
_BARE = re.compile(
    r"\W*(?:(?:the\s+)?answer(?:\s+is)?\W*|(?:only|just|number|no\.?|option|it\s+is|it['’]s)\s+)*(?:the\s+)?"
    r"(?P<said>\d{1,2}|[a-z]|one|two|three|four|five|six|seven|eight|nine|ten|first|second|third|fourth|fifth|last)"
    r"(?:st|nd|rd|th)?(?:\s+one)?\W*",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?:^|[\n(])\s{0,8}\(?([A-Z1-9])[.):]\s{0,8}\S")
_ANY_OPTION = re.compile(r"(?:^|(?<=[\n\s(]))\(?([A-Z1-9]|[a-z](?=\)))[.):][ \t]{0,8}(?=\S)")
"""The same inside a line too: "A. cat B. dog"."""
_BODY = re.compile(
    rf"(?P<said>\d{{1,2}}|{'|'.join(CARDINALS)}|{'|'.join(ORDINALS[:10])})(?:st|nd|rd|th)?[.,;)]?", re.IGNORECASE
)
_IMAGE = r"(?:images?|pictures?|photos?|photographs?|frames?)\b"
_AMOUNT = re.compile(
    r"(?i)\bhow\s+(?:many|much|old|often|long|far|tall|big|high)\b"
    rf"|\b(?:number|amount)\s+of\b(?!\s{{1,3}}(?:the|an?)\s{{1,3}}(?:\w{{1,12}}\s{{1,3}}){{0,2}}{_IMAGE})"
    rf"|\b(?:what|which)\s{{1,3}}(?:(?!{_IMAGE})\w{{1,12}}\s{{1,3}}){{0,2}}(?:number|letter|digit|grade|year|time)\b"
    r"|\b(?:count|rate|rating|scale|grade|score)\b"
)
"""What asks for a number that is no image's: "How many dogs?", "Which letter is on the sign?"."""
_ASKS_FOR_IMAGE = re.compile(
    rf"(?i)\b(?:which|what)\s{{1,3}}(?:{_IMAGE}|(?:one\s{{1,3}})?of\s{{1,3}}(?:these|those|them)\b"
    rf"|(?:one\s{{1,3}})?of\s{{1,3}}the\s{{1,3}}(?:\w{{1,12}}\s{{1,3}}){{0,2}}{_IMAGE})"
    rf"|\b(?:choose|select|pick|identify)\s{{1,3}}the\s{{1,3}}(?:\w{{1,12}}\s{{1,3}}){{0,2}}{_IMAGE}|\bone\s{{1,3}}of\s{{1,3}}these\b"
)
_ONE = r"(?P<said>\d{1,2}|(?i:two|three|four|five|six|seven|eight|nine|ten)|[A-HJ-Z])(?!\w|[%°:/]|[.,]\d|-\w)"
_ENDS = r"(?=\s*(?:[.,;:?!)]|$))"
_LINKED = bounded(
    r"[^.?!;:\n]{0,80}?(?P<link>(?<!more )(?<!less )(?<!fewer )\bthan|\b(?:differs?|different|differing)\s+from|\bwith"
    r"|\b(?:similar|compared|identical)\s+to|\bplus|\bas\s+well\s+as|\b(?:versus|vs\.?)|\bunlike)"
    rf"\s+(?i:number\s+)?{_ONE}{_UNCOUNTED}"
)
"""Behind a reference, in its clause: "image 1 ... older than 2"."""
_JOINED = bounded(rf"[^.?!;:\n]{{0,40}}?(?P<link>\b(?:and|or))\s+{_ONE}{_ENDS}")
_MARKED = bounded(r"[^.?!;:\n]{0,80}?(?P<link>[#№])\s*(?P<said>\d{1,2})(?!\w)")
_NUMBER_BEFORE = re.compile(rf"(?:\d|\b(?:{'|'.join(CARDINALS)}))[, ]{{1,3}}\Z", re.IGNORECASE)
_NEAR = 12


def find_loose(text: str, *, count: int, other: Collection[str] = ()) -> str | None:
    """Return a number, number word or letter of a reply that may mean an image by itself; None: there is none.

    Args:
        text: a reply, once images were named by number.
        count: images there are; what is above it means none.
        other: what means something else, as the letters of options do.
    """
    return next((said for said in _found(_LOOSE, text, count) if said not in other), None)


def loose_reply(asked: Sequence[str], reply: str, *, count: int) -> str | None:
    """Return what of a reply, or an option, may mean an image by its number; None: nothing.

    Args:
        asked: what was said before it.
        reply: its words.
        count: images there are.
    """
    named: set[str] = {reference.form for text in asked for reference in find_references(text, count=count)}
    return _loose_reply(named, asked[-1] if asked else "", reply, count, find_references(reply, count=count))


def find_hidden(turns: Sequence[Turn], *, count: int, amounts: bool = False) -> str | None:
    """Return a number by itself that may mean an image, of a conversation whose images get other numbers; None: none.

    Args:
        turns: of one conversation.
        count: the number of its last image.
        amounts: whether a number of a reply may mean one where it may be one of things, too: "2 dogs".
    """
    forms: set[str] = set()
    before = ""
    for turn in turns:
        text = text_of(turn)
        named = find_references(text, count=count)
        found: str | None = None
        if turn.role != "assistant":
            forms |= {reference.form for reference in named}
            found = _loose_question(forms, text, count, named)
        elif amounts:
            found = _placed_reply(forms, before, text, count, named)
        else:
            found = _loose_reply(forms, before, text, count, named)
        if found is not None:
            return found
        forms |= {reference.form for reference in named}
        before = text
    return None


def _loose_question(forms: Collection[str], text: str, count: int, named: Sequence[Reference]) -> str | None:
    """Return what of a question may mean an image by itself: linked to a reference, or all of an option."""
    for reference in named:
        for pattern in (_LINKED, _JOINED, _MARKED):
            found = pattern.match(text, reference.stop)
            if not found or _value(found["said"]) > count or any(it.start == found.start("said") for it in named):
                continue
            at = found.start("link")
            letter = found["said"].isalpha() and len(found["said"]) == 1
            if letter == (reference.form == "letter") and not _NUMBER_BEFORE.search(
                text[max(reference.stop, at - _NEAR) : at]
            ):
                return found["said"]
    if (forms or _asks(text, count)) and not _AMOUNT.search(text):
        return next((body for _, body in _options(text, named) if _is_number(body, count)), None)
    return None


def _placed_reply(forms: set[str], asked: str, reply: str, count: int, named: Sequence[Reference]) -> str | None:
    """Return what of a reply may mean an image where images change their order, though it may be a count."""
    labels = set(_OPTION.findall(asked))
    bare = _BARE.fullmatch(reply)
    if bare and not labels and (forms or not _AMOUNT.search(asked) or bare["said"].isalpha()):
        return reply.strip()
    if not forms:
        return None
    # "(1) Image 2": then 1 may be either.
    labels = {label for label in labels if not (forms & {"letter"} if label.isalpha() else forms - {"letter"})}
    return next((said for said in _found(_LOOSE, reply, count, named) if said not in labels), None)


def _loose_reply(forms: set[str], asked: str, reply: str, count: int, named: Sequence[Reference]) -> str | None:
    """Return what of a reply may mean an image by its number, and counts nothing."""
    if not (forms or _asks(asked, count)) or _AMOUNT.search(asked):
        return None
    bare = _BARE.fullmatch(reply)
    if bare:
        is_one = _is_number(bare["said"], count) and bare["said"].upper() not in _labels(asked, count)
        return reply.strip() if is_one else None
    patterns = (_SAID_ALONE, *(_LOOSE[4:] if "letter" in forms else ()))
    found = list(_found(patterns, reply, count, named))
    labels = _labels(asked, count) if found else set()
    return next((said for said in found if said.upper() not in labels), None)


def _asks(text: str, count: int) -> bool:
    """Return whether a question asks for an image; of a single one, "which of these" asks for something else."""
    found = _ASKS_FOR_IMAGE.search(text)
    return found is not None and (count > 1 or re.search(_IMAGE, found.group(), re.IGNORECASE) is not None)


def _options(text: str, named: Sequence[Reference]) -> list[tuple[str, str]]:
    """Return the labels and the bodies of the options that stand in a text: "A. cat B. dog"; none where only one is."""
    starts = {reference.start for reference in named}
    marks = [mark for mark in _ANY_OPTION.finditer(text) if mark.start(1) not in starts]
    ends = [*(mark.start() for mark in marks[1:]), len(text)][: len(marks)]
    found = [(mark[1], text[mark.end() : end].split("\n")[0].strip()) for mark, end in zip(marks, ends, strict=True)]
    return found if len(found) > 1 else []


def _labels(asked: str, count: int) -> set[str]:
    """Return the labels of a question's options whose words are no number, and name no image in the label's form."""
    found: set[str] = set()
    for label, body in _options(asked, find_references(asked, count=count)):
        alike = (it for it in find_references(body, count=count) if (it.form == "letter") == label.isalpha())
        if not _is_number(body, count) and next(alike, None) is None:
            found.add(label.upper())
    return found


def _is_number(said: str, count: int) -> bool:
    """Return whether it is the number, letter or ordinal of one of the images."""
    if len(said) == 1 and said.isalpha():
        return _value(said) <= count
    found = _BODY.fullmatch(said)
    if found is None:
        return said.lower() == "last"
    word = found["said"].lower()
    return 1 <= (ORDINALS.index(word) + 1 if word in ORDINALS else _value(word)) <= count


def _found(
    patterns: Sequence[re.Pattern[str]], text: str, count: int, named: Sequence[Reference] | None = None
) -> Iterator[str]:
    """Yield each number up to ``count`` that is part of no reference, nor heads an item of a list."""
    named = find_references(text, count=count) if named is None else named
    starts = [reference.start for reference in named]
    items = _items(text, of_images=bool(named))
    for pattern in patterns:
        for match in pattern.finditer(text):
            said, at = match["said"], match.start("said")
            before = bisect_right(starts, at)
            if before and at < named[before - 1].stop:
                continue
            if match.end("said") + 1 not in items and 1 <= _value(said) <= count:
                yield said


def _items(text: str, *, of_images: bool) -> set[int]:
    """Return where the marks of a list's items end: "1. A dog\\n2. A cat", "(1) a dog (2) a cat"."""
    marks = [*_ITEM.finditer(text)]
    inside = list(_ITEM_INSIDE.finditer(text))
    if [int(mark[1]) for mark in inside[:2]] == [1, 2]:
        marks += inside
    return {mark.end() for mark in marks} if of_images or len(marks) > 1 else set()


def _value(said: str) -> int:
    if said.isdecimal():
        return int(said)
    return CARDINALS.index(said.lower()) + 1 if len(said) > 1 else LETTERS.index(said.upper()) + 1
