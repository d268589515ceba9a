"""language: the words of a conversation must be in the language that they are said to be in.

Not a translator. Source: py3langid (langid.py, Lui and Baldwin 2012, retrained), told to choose among the paper's eight
languages and a few more; short texts are judged by their script alone, as no statistics of letters can tell "no" in
Spanish from "no" in English.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from triptych.core.errors import NotFoundError
from triptych.core.records import Text
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.checking import noted
from triptych.generate.stage import Made, Stage, StageSettings

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SCRIPTS = {
    **dict.fromkeys(("en", "es", "de", "fr", "it", "pt", "nl", "pl", "tr", "vi", "id"), ("LATIN",)),
    "zh": ("CJK",),
    "ja": ("HIRAGANA", "KATAKANA", "CJK"),
    "ko": ("HANGUL",),
    "ar": ("ARABIC",),
    "ru": ("CYRILLIC",),
    "hi": ("DEVANAGARI",),
}
"""Language -> the scripts that it is written in, by the first word of their letters' Unicode names."""


class Language(StageSettings):
    """Which languages there may be."""

    languages: tuple[str, ...] = ("en",)
    """Two-letter codes. An item whose fact ``language`` names one must be in that."""
    sure: float = Field(default=0.8, gt=0.0, le=1.0)
    """Least probability of another language to refuse for it."""
    letters: int = Field(default=24, ge=1)
    """Texts with fewer letters are judged by their script alone."""

    @field_validator("languages")
    @classmethod
    def _check_languages(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(languages) - SCRIPTS.keys()):
            raise ValueError(f"language {unknown[0]!r} is not known here. There are: {', '.join(sorted(SCRIPTS))}")
        return languages


def each(item: Item, settings: Language, random: Random) -> Sequence[Made]:
    """Return the item with the language found, or its refusal."""
    said = item.facts.get("language")
    wanted = (said,) if isinstance(said, str) and said in SCRIPTS else settings.languages
    found: list[str] = []
    for turn in item.example.turns if item.example is not None else ():
        words = " ".join(part.text for part in turn.parts if isinstance(part, Text))
        language, probability = detect(words, letters=settings.letters)
        if language and language not in wanted and probability >= settings.sure:
            return [
                Refusal(item, "another language", f"expected {'/'.join(wanted)}, found {language}: {words[-120:]!r}")
            ]
        if not _script_fits(words, wanted):
            return [
                Refusal(item, "another language", f"expected {'/'.join(wanted)}, found other letters: {words[-120:]!r}")
            ]
        found.append(language)
    return [noted(item, "languages", found=[*found])]


def detect(text: str, *, letters: int) -> tuple[str, float]:
    """Return the language of a text and its probability; empty where it has too few letters to tell.

    Raises:
        NotFoundError: py3langid is not installed.
    """
    count = sum(character.isalpha() for character in text)
    # A Chinese or Korean character says about as much as two or three letters.
    weight = count + 2 * sum(unicodedata.east_asian_width(character) == "W" for character in text)
    if weight < letters:
        return "", 0.0
    language, probability = _identifier().classify(text)
    return str(language), float(probability)


def _script_fits(text: str, wanted: Sequence[str]) -> bool:
    """Return whether at least half of the letters are of a script of a wanted language."""
    scripts = Counter(_script(character) for character in text if character.isalpha())
    allowed = {script for language in wanted for script in SCRIPTS[language]}
    fitting = sum(count for script, count in scripts.items() if script in allowed)
    return 2 * fitting >= scripts.total()


def _script(character: str) -> str:
    return unicodedata.name(character, "UNKNOWN").split(" ")[0].split("-")[0]


@cache
def look_for_identifier() -> None:
    """See that languages can be told. Raises NotFoundError: py3langid is not installed."""
    if find_spec("py3langid") is None:
        raise NotFoundError("to tell the language of a text needs py3langid; run: pip install py3langid")


@cache
def _identifier() -> LanguageIdentifier:
    look_for_identifier()
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(sorted(SCRIPTS))
    return identifier


STAGE = Stage(
    settings=Language,
    about="refuse conversations that are not in the language that they should be in",
    each=each,
    samples=({}, {"languages": ["en", "de"]}),
)
