"""The options of a question as a reply gives them beside it, and which of them its answer means.

Not how they are laid out (``question``), nor whether a checker's reply is right (``kit/verdicts``). A teacher gives
them as a list, as texts by letter, as objects with a letter and a text, in one text with letters, or each under its
letter. Invariant: options that are given are read, or it is told that they cannot be; one that comes with a letter
keeps that letter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from triptych.core.records import Json
from triptych.data.text.references import LETTERS
from triptych.generate.loose_json import TornObject, TornText

KEYS = ("options", "choices", "answer_options", "answer_choices", "alternatives")
_TEXT_KEYS = ("text", "content", "value", "option", "choice", "answer", "label")
"""Keys under which an option that is an object has its text; a letter may stand under any of them too."""
_LETTER_KEYS = ("label", "letter", "key", "id", "name", "option", "choice", "answer")
_LETTERED = re.compile(r"\(?([A-H])[).:]\s*(.+?)(?=\s?[,;]?\s?\(?[A-H][).:]\s|$)")
"""An option in a text with single spaces."""
_OWN_LETTER = re.compile(r"\(?([A-Za-z])([).:])\s+")
_INITIAL = re.compile(r"[A-Z]\.\s+[^\W\d_a-z]")
_LETTER = re.compile(r"(?:(?:option|choice|answer)[\s_-]?)?\(?([A-Za-z])[).:]?", re.IGNORECASE)
_FEW = "abcdefgh"
"""Letters that mean options as keys of their own, which ``x`` and ``y`` need not."""
_CHOSEN = re.compile(
    r"(?:(?:the )?(?:correct )?(?:answer|option|choice)(?: is)?:?\s+)?\(?([A-Z])"
    r"(?:[).:,]+(.*)|(\s+(?:because|since|as)\b.*)|$)",
    re.IGNORECASE | re.DOTALL,
)


def is_key(key: str) -> bool:
    """Return whether options are what stands under a key."""
    return key.casefold().strip() in KEYS


def options_of(record: Mapping[str, Json]) -> tuple[str, ...] | None:
    """Return the options that are given beside a question, none where none are; None: they cannot be read."""
    by_name = {key.casefold().strip(): said for key, said in record.items()}
    said = next((by_name[key] for key in KEYS if by_name.get(key) not in (None, [], {}, "")), None)
    if said is None:
        return _by_letter(by_name)
    options = _listed(said)
    return options if 2 <= len(options) <= len(LETTERS) and all(options) else None


def meant(answer: str, options: Sequence[str]) -> int | None:
    """Return which option an answer is, from 0: its very words, its letter, or both.

    None: none, or it says more, or it is one option's words and another one's letter, as "A" of O, A and AB.
    """
    plain = [_plain(option) for option in options]
    at, words = lettered(answer, options)
    by_letter = at if at is not None and _plain(words) in ("", plain[at]) else None
    if _plain(answer) not in plain:
        return by_letter
    by_words = plain.index(_plain(answer))
    return by_words if by_letter in (None, by_words) else None


def lettered(answer: str, options: Sequence[str]) -> tuple[int | None, str]:
    """Return which option's letter an answer begins with, and the words behind it; None: with none."""
    found = _CHOSEN.fullmatch(answer.strip())
    if found is None or (at := LETTERS.index(found[1].upper())) >= len(options):
        return None, ""
    return at, found[2] or found[3] or ""


def stand_in(text: str, options: Sequence[str]) -> bool:
    """Return whether a question's own words list its options, each behind its letter."""
    marks = [rf"(?<!\w)\(?{letter}[).:]" for letter in LETTERS]
    return all(  # an option that is only its letter has its words in the question
        re.search(mark + ("" if option == letter else rf"\s*{re.escape(option)}"), text, re.IGNORECASE)
        for letter, mark, option in zip(LETTERS, marks, options, strict=False)
    )


def _by_letter(by_name: Mapping[str, Json]) -> tuple[str, ...] | None:
    """Return what stands under the keys A, B and so on; None: there are some of them, but not from A on."""
    lettered = [letter for letter in LETTERS.lower() if _text(by_name.get(letter))]
    run = [letter for letter, due in zip(lettered, LETTERS.lower(), strict=False) if letter == due]
    few = [letter for letter in lettered if letter in _FEW]
    if len(few) < 2:
        return ()
    return tuple(_text(by_name[letter]) for letter in run) if few == run[: len(_FEW)] else None


def _listed(said: Json) -> tuple[str, ...]:
    """Return the options of a list, an object or a text in the order of their letters; none: it cannot be known."""
    named = _named(said)
    letters = [letter for letter, _ in named if letter]
    options = _in_order(named) if letters else [text for _, text in named]
    own = [_OWN_LETTER.match(option) for option in options]
    found = [each[1].upper() if each else "" for each in own]
    if all(found) and _is_run(found):
        agree = not letters or found == sorted(found)
        return tuple(_in_order([(each[1].upper(), each.string[each.end() :]) for each in own if each])) if agree else ()
    sure = [each[1].upper() if each and each[2] != "." else "" for each in own]
    return () if _are_unclear(options, sure) or (not letters and _is_other_run(options, found)) else tuple(options)


def _named(said: Json) -> list[tuple[str, str]]:
    """Return each option with the letter that is given beside it, if one is."""
    if isinstance(said, str) and not isinstance(said, TornText):
        return _LETTERED.findall(" ".join(said.split()))
    if isinstance(said, dict) and not isinstance(said, TornObject):
        return [(_letter(key), _text(each)) for key, each in said.items()]
    return [(_letter_beside(each), _text(each)) for each in said] if isinstance(said, list) else []


def _in_order(named: Sequence[tuple[str, str]]) -> list[str]:
    """Return options by their letters; none where these are not A, B and so on."""
    by_letter = sorted(named, key=lambda each: each[0])
    return [text for _, text in by_letter] if _is_run([letter for letter, _ in named]) else []


def _is_run(letters: Sequence[str], *, first: str = "A") -> bool:
    """Return whether these letters follow each other in whatever order, from the first on; empty: from any on."""
    if len(letters) < 2 or not all(letters):
        return False
    at = LETTERS.index(first or min(letters))
    return sorted(letters) == list(LETTERS[at : at + len(letters)])


def _are_unclear(options: Sequence[str], letters: Sequence[str]) -> bool:
    """Return whether an option says another letter than its place's, or all are bare letters in another order."""
    places = LETTERS[: len(options)]
    bare = [option.upper() if len(option) == 1 else "" for option in options]
    moved = any(option in places and option != place for option, place in zip(bare, places, strict=False))
    return (moved and all(bare)) or any(
        letter not in ("", place) for letter, place in zip(letters, places, strict=False)
    )


def _is_other_run(options: Sequence[str], letters: Sequence[str]) -> bool:
    """Return whether options say letters that follow each other, but not from A on, and are no initials of names.

    "C. elegans" beside "E. coli" is no such run, and "J. Smith" beside "K. Jones" begins with names: no place has
    these letters.
    """
    places = LETTERS[: len(options)]
    names = all(_INITIAL.match(option) for option in options) and not set(places) & {*letters}
    return _is_run(letters, first="") and not names


def _letter(said: Json) -> str:
    found = _LETTER.fullmatch(said.strip()) if isinstance(said, str) else None
    return found[1].upper() if found else ""


def _letter_beside(option: Json) -> str:
    """Return the letter that an object says beside its option's words."""
    if not isinstance(option, dict):
        return ""
    if len(option) == 1:
        return _letter(*option)
    return next((letter for key in _LETTER_KEYS if (letter := _letter(option.get(key)))), "")


def _text(said: Json) -> str:
    if isinstance(said, dict):
        if len(said) == 1:
            return _text(*said.values())
        texts = [text for key in _TEXT_KEYS if (text := _text(said.get(key)))]
        return next((text for text in texts if len(text) > 1), texts[0] if texts else "")
    if isinstance(said, TornText) or not isinstance(said, str | int | float):
        return ""
    return " ".join(str(said).split())


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .\"'")
