"""The options of a question as a reply gives them beside it, and which of them its answer means.

Not how they are laid out (``question``), nor whether a checker's reply is right (``kit/verdicts``). A teacher gives
them as a list, as texts by letter, as objects with a letter and a text, in one text with letters, or each under its
letter. Invariant: options that are given are read, or it is told that they cannot be.
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
_LETTERED = re.compile(r"\(?([A-H])[).:]\s*(.+?)(?=\s*[,;]?\s*\(?[B-H][).:]\s|$)")
_OWN_LETTER = re.compile(r"\(?([A-Za-z])[).:]\s+")
_CHOSEN = re.compile(
    r"(?:(?:the )?(?:correct )?(?:answer|option|choice)(?: is)?:?\s+)?\(?([A-Z])(?:[).:,]+\s*(.*)|$)",
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
    """Return which option an answer is, from 0: its very words, its letter, or both; None: none, or it says more."""
    plain = [_plain(option) for option in options]
    if _plain(answer) in plain:
        return plain.index(_plain(answer))
    at, words = lettered(answer, options)
    return at if at is not None and words in ("", plain[at]) else None


def lettered(answer: str, options: Sequence[str]) -> tuple[int | None, str]:
    """Return which option's letter an answer begins with, and what it says behind it; None: with none."""
    found = _CHOSEN.fullmatch(answer.strip())
    if found is None or (at := LETTERS.index(found[1].upper())) >= len(options):
        return None, ""
    return at, _plain(found[2] or "")


def stand_in(text: str, options: Sequence[str]) -> bool:
    """Return whether a question's own words list its options, each behind its letter."""
    marks = [rf"(?<!\w)\(?{letter}[).:]" for letter in LETTERS]
    return all(  # an option that is only its letter has its words in the question
        re.search(mark + ("" if option == letter else rf"\s*{re.escape(option)}"), text, re.IGNORECASE)
        for letter, mark, option in zip(LETTERS, marks, options, strict=False)
    )


def _by_letter(by_name: Mapping[str, Json]) -> tuple[str, ...]:
    """Return what stands under the keys A, B and so on."""
    options: list[str] = []
    for letter in LETTERS.lower():
        if not (said := _text(by_name.get(letter))):
            break
        options.append(said)
    return tuple(options) if len(options) > 1 else ()


def _listed(said: Json) -> tuple[str, ...]:
    if isinstance(said, TornText | TornObject):
        return ()
    if isinstance(said, dict):
        said = list(said.values())
    if isinstance(said, str):
        said = [option for _, option in _LETTERED.findall(said)]
    options = [_text(each) for each in said] if isinstance(said, list) else []
    found = [_OWN_LETTER.match(option) for option in options]
    # A first name may look like a letter; all in their order do not.
    if all(each and each[1].upper() == letter for each, letter in zip(found, LETTERS, strict=False)):
        options = [option[each.end() :] for option, each in zip(options, found, strict=True) if each]
    return tuple(options)


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
