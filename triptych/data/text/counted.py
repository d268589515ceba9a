"""Whether a number behind "image" names an image ("in image 2 dogs play") or may count ("in this image 2 dogs play").

Not where such words stand (``references``). A rule of thumb: a digit behind a singular noun that nothing determines is
a name, whatever follows; what may be a name or a count is a doubt, and who rewrites words leaves them alone then.
"""

from __future__ import annotations

import re
from typing import NamedTuple


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BASES = _words(
    "show depict feature contain display present represent portray illustrate demonstrate showcase provide offer use"
    " include seem appear look suggest convey capture reveal highlight indicate reflect express evoke emphasize"
    " emphasise symbolize symbolise differ belong come give make take lie stand hold focus lack need want involve"
    " require refer reference draw share contrast complement exhibit utilize utilise serve help explain describe imply"
    " add play work prefer change affect influence incorporate introduce contribute combine compare relate match fit"
    " resemble remain become create bring lead point turn keep let see get go say tell mean exist begin start end sit"
)
_HAVE_ENDINGS = ("s", "sh", "ch", "x", "z", "o")
VERBS = _words("is was has does") | {
    base[:-1] + "ies"
    if base.endswith("y") and base[-2] not in "aeou"
    else base + ("es" if base.endswith(_HAVE_ENDINGS) else "s")
    for base in _BASES
}
"""What one image does: "shows", "is"."""
_UNCOUNTED = VERBS | _words(
    "and or but nor vs versus while whereas because since as than that who whose where when if though although to with"
    " for from by only also too not then instead please compared taken shown seen given depicted titled called based"
    " likely clearly both above below via through showing depicting containing using being having the an this these"
    " those his her its their my your our there here it he she they we you no all each every some any what how why did"
    " could would might may should can must will cannot in on at into of during after before under over behind beside"
    " between about alongside within without near inside outside across beyond first last next just even still already"
    " always now so which"
)
"""What cannot be a thing that is counted, nor say how it is."""
_OF_SEVERAL = _words("of are were have do")
"""Behind a number that counts: "in the image 2 of them sleep", "in this picture 2 are white"."""
_LINKS = _words("and or but vs versus while whereas to than from")
_DETERMINERS = _words(
    "the this that a an each every any another no my your his her its our their some either neither both all which"
    " whole entire full plain closer close clear clearer wide wider same given"
)
_ORDINALS = _words("first second third fourth fifth sixth seventh eighth ninth tenth last final 1st 2nd 3rd 4th 5th")
_ADJECTIVES = _DETERMINERS | _words(
    "two three four following new old other next previous left right middle central top bottom upper lower large small"
    " big bigger smaller good better best black white dark light good main single shown own aerial only very"
)
_ADJECTIVE_ENDINGS = ("ed", "al", "ful", "ous", "ic", "ive", "able", "ible")
_PREPOSITIONS = _words(
    "in on at of from with for to by within across through throughout between into like unlike than is are was were"
    " does do did has number"
)
_MAY_BE_VERB = _words("picture view views frame frames photograph photographs pictures")
_SUBJECTS = _words("i you we they")
_MODALS = _words("can could will would may might must should shall")
_WORD = re.compile(r"[A-Za-z0-9'’-]{1,20}")
_NEAR = 70
_BEHIND = re.compile(r"[ \t\n]{1,8}([a-zà-ɏ][a-zà-ɏ'’-]{0,30})")
_GLUED = re.compile(r"-[a-z]|[^\W\d_a-zA-Z]")
_LABEL_ENDS = re.compile(r"[ \t]{0,8}(?::|<\|?im)")
_LINE_STARTS = re.compile(r"(?:^|[\n(\[])[ \t*#]{0,8}\Z")
_TEXT_ENDS = re.compile(r"[)\]]?\s{0,8}\Z")


def bounded(pattern: str) -> re.Pattern[str]:
    """Return the pattern with bounded white space: a long run of it in a row must not make a search slow."""
    return re.compile(pattern.replace(r"\s+", r"\s{1,8}").replace(r"\s*", r"\s{0,8}"))


class Said(NamedTuple):
    """A number behind a noun, or a list of them."""

    start: int
    """Of the noun."""
    stop: int
    """Of the last number."""
    noun: str
    form: str
    """digits, word, letter."""
    number: int
    """The first one."""
    listed: bool
    """Whether there are several, or a further noun with a number follows."""


def is_name(text: str, said: Said) -> bool:
    """Return whether the number surely names an image; else it may count, or belong to somebody."""
    if _GLUED.match(text, said.stop):
        return False
    behind = _BEHIND.match(text, said.stop)
    word = behind[1] if behind else ""
    before = _words_before(text, said.start)
    noun = said.noun.lower()
    if before and before[-1] in _ORDINALS and not noun.endswith("s"):
        return False
    if noun in _MAY_BE_VERB and _is_done(before, said, word):
        return False
    if _LABEL_ENDS.match(text, said.stop):
        return True
    if noun.endswith("s"):
        return _is_plural_name(text, said, word, determined=_is_determined(before))
    if said.form == "letter" and said.number == 1 and word and word not in _UNCOUNTED and not _ends_in_s(word):
        return False
    if not _is_determined(before):
        return True
    return said.form == "digits" and (not word or (word in _UNCOUNTED and word not in _OF_SEVERAL))


def _is_plural_name(text: str, said: Said, word: str, *, determined: bool) -> bool:
    """Return whether numbers behind "images" are names: a list, but not "these images 2 or 3 dogs"; or one label."""
    if not said.listed:
        starts = _LINE_STARTS.search(text, max(0, said.start - 9), said.start)
        return said.form == "digits" and starts is not None and _TEXT_ENDS.match(text, said.stop) is not None
    if determined and said.form != "digits":
        return False
    either = re.search(r"\bor\b", text[said.start : said.stop], re.IGNORECASE)
    return not (determined and either and word and word not in _UNCOUNTED)


def _is_done(before: list[str], said: Said, word: str) -> bool:
    """Return whether "picture", "view" and "frame" are what somebody does: "you can view 3 rooms", "frame two dogs"."""
    subject = before[-2] if len(before) > 1 and before[-1] in _MODALS else before[-1] if before else ""
    if subject in _SUBJECTS:
        return True
    placed = bool(before) and before[-1] in _PREPOSITIONS
    return said.form == "word" and not placed and bool(word) and word not in VERBS | _LINKS


def _words_before(text: str, start: int) -> list[str]:
    near = text[max(0, start - _NEAR) : start]
    words: list[str] = []
    for word in reversed(near.rpartition("\n")[2].split()[-3:] if near[-1:] in (" ", "\t") else ()):
        if not _WORD.fullmatch(word):
            break
        words.insert(0, word.lower())
    return words


def _is_determined(before: list[str]) -> bool:
    """Return whether an article or the like stands before the noun, with at most two adjectives between."""
    for word in reversed(before[-3:]):
        if word in _DETERMINERS or word in _ORDINALS:
            return True
        if word not in _ADJECTIVES and not word.endswith(_ADJECTIVE_ENDINGS):
            return False
    return False


def _ends_in_s(word: str) -> bool:
    return word.endswith("s") and not word.endswith("ss")
