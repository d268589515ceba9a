"""Letters that stand for options: where one begins a text, is one, or stands in a sentence, as patterns.

Not which option a letter is, nor an option's words (``mentions``). A letter counts where it cannot be a word: in
brackets, with a full stop, after "option", before "is correct"; "A cat" and "I think" hold none.
"""

from __future__ import annotations

import re
from functools import lru_cache

from triptych.evaluate.reading.phrases import FOLLOWS_A, LAST_WORDS, RIGHT, WRONG

LETTER_END = r"(?![A-Za-z0-9'])(?!-\w)"
"""After a letter that is no part of a word."""
NOT_JOINED = r"(?<!\bor )(?<!\band )(?<![A-Z], )(?<!/)"
"""Not the last of several letters."""
NOT_SEVERAL = r"(?![\"')]*(?:,\s*(?:and|or)|,|/|\s+and|\s+or)\s*[\"'(]?(?-i:[A-Z])(?![A-Za-z']))"
"""Not of several letters in a row."""
BRACKETED = r"(?<!\w)(?:\(\s*([A-Za-z])\s*\)|\[\s*([A-Za-z])\s*\])"
LABEL = re.compile(
    r"[^\w(\[]*(?:(?i:option|choice|answer|letter|opción|选项|選項)\s*:?\s*)?\W*?"
    rf"(?:{BRACKETED}|([A-Za-z])(?=\))|([A-Z])(?=[.:](?:\s|$)|\s*$|\s*\n|\s+[-–—]\s)"
    rf"|([B-HJ-Z])(?=\s+(?:\(|\d+ ?%))|([A-HJ-Z])(?=,|\s+(?:because|since|as|{RIGHT})\b|[\u2e80-\uffff])"
    r"|([a-z])(?=[.:](?:\s|$)|\s*$))"
)
"""A letter at the beginning of a text."""
AFTER_SAYS = re.compile(
    rf"\W*([B-HJ-Z]){LETTER_END}|\W*(A)(?=\W*$|[^\w\s'-]|\s+(?:{FOLLOWS_A})\b|[^\x00-\x7f])"
    r"|\W*([A-Za-z])(?=\W*$|[).,:;])"
)
"""A letter after words that announce it."""
NAMED = re.compile(
    rf"{BRACKETED}|(?i:\b(?:option|choice|answer|letter)(?:\s+is|:)?)\s+([A-Z]){LETTER_END}"
    rf"|{NOT_JOINED}(?<![\w'])([A-Z])(?=\s+(?:{RIGHT}|{WRONG})\b)|(?:选项|選項|選択肢|보기)\s*\(?\s*([A-Z])(?![A-Za-z])"
)
"""A letter inside a sentence."""
BARE = re.compile(
    r"\W*(?:(?:assistant|gpt|bot|response|reply|a)\s*:\s*|(?:q(?:uestion)?\s?)?1[.):]\s*)?"
    rf"(?:(?:{LAST_WORDS})\b\W*)?"
    r"(?:(?:i (?:think|believe|guess)(?: that)?|probably|perhaps|maybe|likely)\b\W*)?"
    r"(?:(?:it|this|that)(?:'s| is| must be)\W*|(?:most )?(?:likely|probably)\W*)?"
    r"(?:(?:the )?(?:correct |best |final )?(?:answer|option|choice|letter)(?: is)?\W*)?"
    r"([A-Za-z])(?:\W+\1)*\W*",
    re.I,
)
"""A text that is a letter, perhaps again and again, behind what introduces it."""
LONE = re.compile(r"[^\w+#-]*([A-Za-z])[^\w+#-]*")
"""A text that is a letter and marks of punctuation, none of them the sign of another answer."""
ITEM = re.compile(rf"(?:[-•]\s*|\d+[.)]\s*)?(?:{BRACKETED}|([A-Z])(?:[).:](?=\s)|$))")
"""A letter that begins an item of a listing."""
BULLET = re.compile(r"^(?:[-•]|\d+[.)])\s*")
OR = re.compile(r"[\s).,\]\"']*(?:\bor\b|\band\b|/|&|,|\+|\boder\b|\bou\b|\by\b|或|和|または)\s*")
_OTHER_LETTER = re.compile(
    r"(?:option |choice )?[\"'(\[]*(?:([B-HJ-Z])(?![A-Za-z'])|(A)(?=\W*$|\s*[).,;:/&]|\s+(?:or|and)\b))"
)
_LETTERS_END = r"(?=\W*$|\s*[^\w\s'-]|\s+(?:and|or|because|since|as|[A-HJ-Z])\b)"
_GLUED = re.compile(rf"\W*([A-Z]{{2,}}){_LETTERS_END}")
_BESIDE = re.compile(
    rf"\W*([A-Z])(?:[)\]\"']*\s*[&+|/]\s*[\"'(\[]*([A-Z]){LETTER_END}"
    rf"|(?:[)\]\"']*\s*;|(?=\s+[\"'(]*[A-HJ-Z]))\s*[\"'(\[]*([A-Z]){_LETTERS_END})"
    rf"|\W*([a-z])[)\]\"']*\s*(?:[&+;|,/]|\band\b|\bor\b)\s*[\"'(\[]*([a-hj-z]){_LETTERS_END}"
)
_NEXT_LABEL = re.compile(r"[^\w\n(\[]*[(\[]([A-Z])[)\]]")


@lru_cache(maxsize=64)
def letter_contexts(letter: str) -> re.Pattern[str]:
    """Return where a capital letter in a sentence is a name: quoted, labelled so, or at the end of what is said."""
    says = (
        r"(?:is|(?:it|that)'s|but(?: rather)?|guess,?|think|probably|likely|be|as|with|corresponds? to|matches|choose"
        rf"|select|pick|prefer|leaves|(?:therefore|thus|hence|so|{LAST_WORDS}),?)"
    )
    return re.compile(
        rf"(?-i:[\"']{letter}[\"'])"
        rf"|\b(?i:labell?ed|marked)\s+(?i:as\s+|with\s+|by\s+)?[\"']?(?-i:{letter}){LETTER_END}{NOT_SEVERAL}"
        rf"|\b(?i:{says})\s+(?-i:{letter})(?=\s*(?:[.,;:!?)]|$)){NOT_SEVERAL}"
    )


def letter_in(found: re.Match[str]) -> str:
    """Return the letter that a pattern found."""
    return next(str(group) for group in found.groups() if group)


def goes_on(text: str, letter: str) -> bool:
    """Tell whether another letter follows on the same line, as in "(A) or (B)", "(A) left (B) right"."""
    after = OR.match(text)
    other = _OTHER_LETTER.match(text, after.end()) if after else _NEXT_LABEL.match(text)
    return other is not None and letter_in(other) != letter


def several_at(text: str, count: int) -> int:
    """Return where two letters end with which a statement begins, as in "A & B", "A;B", "AB"; 0: there are not two.

    ``count`` is the number of options: "AB" is two letters only where options have them, in their order.
    """
    if found := _BESIDE.match(text):
        first, second = filter(None, found.groups())
        return found.end() if first != second else 0
    if (found := _GLUED.match(text)) is None:
        return 0
    word = found[1]
    return found.end() if list(word) == sorted(set(word)) and ord(word[-1]) - ord("A") < count else 0
