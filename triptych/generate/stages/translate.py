"""translate: each conversation in other languages too; images, numbers and marks must survive, or it is refused.

Source: MIMIC-IT's eight languages (arXiv:2306.05425): English, Chinese, Japanese, Spanish, German, French, Korean and
Arabic. Not a check of style. A translation is a child named by its language. One into a language of Latin letters is
refused where its words are surely in another, so far as there are enough of them to tell; others by their script alone.
With ``back: true``, as a second step behind the first, each translation is translated back, and refused where that
says something else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from pydantic import Field, field_validator

from triptych.core.records import Answer, Example, Json
from triptych.generate.item import Item, Refusal
from triptych.generate.loose_json import values_in
from triptych.generate.marked_text import is_clear, likeness, marked, own_words, translated, what_was_lost
from triptych.generate.prompts import fill, load
from triptych.generate.question import FACT
from triptych.generate.stage import Made, Request, Stage, TeacherSettings
from triptych.generate.stages.ask import child
from triptych.generate.stages.language import SCRIPTS, detect, look_for_identifier
from triptych.infer.responder import Failed

PROMPT = "translate"
LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "zh": "Chinese",
    "ja": "Japanese",
    "es": "Spanish",
    "de": "German",
    "fr": "French",
    "ko": "Korean",
    "ar": "Arabic",
}


class Translate(TeacherSettings):
    """Into what."""

    into: tuple[str, ...] = ("zh", "ja", "es", "de", "fr", "ko", "ar")
    """Two letters each: en, zh, ja, es, de, fr, ko, ar."""
    original: bool = True
    """Whether the original goes on too."""
    back: bool = False
    """Translate what an earlier step of this kind made back, and refuse what comes out too different."""
    least_like: float = Field(default=0.4, ge=0.0, le=1.0)
    """For ``back``: least likeness of the original and what comes back, the F1 of character trigrams."""
    sure: float = Field(default=0.9, gt=0.0, le=1.0)
    """Least probability of another language to refuse a translation for it, where letters are Latin."""
    letters: int = Field(default=24, ge=1)
    """A turn with fewer letters is judged only together with the others of its conversation, if these have so many."""
    max_tokens: int = Field(default=1500, ge=1)
    """Most tokens of a translation."""

    @field_validator("into")
    @classmethod
    def _check_languages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [code for code in value if code not in LANGUAGES]:
            raise ValueError(f"no language is called {unknown[0]!r}. There are: {', '.join(LANGUAGES)}")
        if len(set(value)) < len(value) or not value:
            raise ValueError("give each language once, and at least one")
        return value


def ask(item: Item, settings: Translate, random: Random) -> Sequence[Request]:
    """Return one request a language; none for what has no words to translate."""
    del random
    if item.example is None or not all(map(is_clear, item.example.turns)):
        return ()
    if settings.back:
        return [_request(item.example, _language(item), _from(item), settings)] if _from(item) else ()
    if item.example.demonstrations:
        return ()  # nothing is paid for what is refused
    if any(map(_is_latin, settings.into)):
        look_for_identifier()  # nor for what cannot be looked at
    source = _language(item)
    return [_request(item.example, source, code, settings) for code in settings.into if code != source]


def take(item: Item, settings: Translate, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
    """Return the original and its translations, those that lost something as refusals."""
    example = item.example
    if example is None or not all(map(is_clear, example.turns)):
        reason = "no conversation" if example is None else "looks like a mark"
        return [Refusal(item, reason, f"{item.id}: there are no words that can be translated: {reason}.")]
    if settings.back:
        return [_come_back(item, example, settings, replies)]
    source = _language(item)
    made: list[Made] = [item] if settings.original else []
    languages = [code for code in settings.into if code != source]
    if example.demonstrations:
        why = "the conversations shown before it are not translated. Put translate before relate."
        children = [child(item, code) for code in languages]
        return [*made, *(Refusal(own, "has demonstrations", f"{own.id}: {why}") for own in children)] or [item]
    made += [_one(item, example, code, reply, settings) for code, reply in zip(languages, replies, strict=True)]
    return made or [Refusal(item, "no language left", f"{item.id}: it is {source} already, and original is false.")]


def _request(example: Example, source: str, code: str, settings: Translate) -> Request:
    prompt = load(PROMPT)
    texts = json.dumps({"texts": [marked(turn) for turn in example.turns]}, ensure_ascii=False)
    asked = fill(prompt, id=example.id, source=LANGUAGES.get(source, source), target=LANGUAGES[code], texts=texts)
    return Request(f"{PROMPT} {code}", asked, settings.max_tokens, PROMPT, prompt.schema)


def _one(item: Item, example: Example, code: str, reply: Answer | Failed, settings: Translate) -> Made:
    own = child(item, code)
    texts = _texts(reply, example)
    if isinstance(texts, tuple):
        return Refusal(own, texts[0], f"{own.id}: {texts[1]}")
    for number, (turn, text) in enumerate(zip(example.turns, texts, strict=True)):
        if lost := what_was_lost(marked(turn), text, language=code):
            return Refusal(own, lost[0], f"{own.id}: turn {number}: {lost[1]}.")
    if other := _other_language(example, texts, code, settings):
        return Refusal(own, "wrong language", f"{own.id}: it should be {code}, and {other}.")
    new = translated(example, texts, id=own.id)
    told: dict[str, Json] = {
        "from": _language(item),
        "id": item.id,
        "texts": [marked(turn) for turn in example.turns],
        "prompt_hash": load(PROMPT).hash,
    }
    # What is known of a question and its options is in its old words, by which nobody may read or change the new ones.
    kept = {key: said for key, said in new.facts.items() if key not in ("options", "choice")}
    new = replace(new, facts={**kept, "language": code, "translated_from": item.id})
    facts = {key: said for key, said in own.facts.items() if key != FACT}
    return replace(own, example=new, facts={**facts, "language": code, PROMPT: told})


def _other_language(example: Example, texts: Sequence[str], code: str, settings: Translate) -> str:
    """Return which other language a translation surely is in, a turn or all together; empty: in none, or who knows."""
    if not _is_latin(code):
        return ""
    words = [own_words(marked(turn), text) for turn, text in zip(example.turns, texts, strict=True)]
    for said in (*words, " ".join(words)):
        language, probability = detect(said, letters=settings.letters)
        if language and language != code and probability >= settings.sure:
            return f"it is {language}: {' '.join(said.split())[:80]!r}"
    return ""


def _is_latin(code: str) -> bool:
    return SCRIPTS[code] == ("LATIN",)


def _come_back(item: Item, example: Example, settings: Translate, replies: Sequence[Answer | Failed]) -> Made:
    if not replies:
        return item  # No translation: an original, or made elsewhere.
    texts = _texts(replies[0], example)
    if isinstance(texts, tuple):
        return Refusal(item, texts[0], f"{item.id}: on the way back: {texts[1]}")
    told = item.facts[PROMPT]
    assert isinstance(told, dict), "ask has seen it"
    original = told["texts"]
    assert isinstance(original, list), "this stage wrote it"
    alike = likeness("\n".join(map(str, original)), "\n".join(texts))
    if alike < settings.least_like:
        message = f"{item.id}: what comes back is only {alike:.2f} like the original: {texts[0][:80]!r}."
        return Refusal(item, "round trip differs", message)
    return replace(item, facts={**item.facts, PROMPT: {**told, "likeness": round(alike, 4)}})


def _texts(reply: Answer | Failed, example: Example) -> list[str] | tuple[str, str]:
    """Return the texts of a reply, one a turn; or the reason why there are none, and what is wrong."""
    if isinstance(reply, Failed):
        return "no reply", reply.reason
    for value in values_in(reply.text):
        listed = value.get("texts") if isinstance(value, dict) else value
        if isinstance(listed, list) and all(type(each) is str for each in listed):
            if len(listed) == len(example.turns):
                return [str(each) for each in listed]
            return "turns lost", f"{len(listed)} texts came for {len(example.turns)} turns."
    return "not JSON", f"no list of texts was found in {' '.join(reply.text.split())[:80]!r}."


def _language(item: Item) -> str:
    said = item.facts.get("language")
    return said if isinstance(said, str) else "en"


def _from(item: Item) -> str:
    told = item.facts.get(PROMPT)
    said = told.get("from") if isinstance(told, dict) else None
    return said if isinstance(said, str) else ""


def misplaced(settings: Translate, before: Sequence[str]) -> str:
    """Return why it cannot stand behind other steps: what they show before an item is not translated."""
    if "relate" not in before or settings.back:
        return ""
    return "translate stands behind relate, whose demonstrations are not translated: put it before relate"


STAGE = Stage(
    settings=Translate,
    about="conversations in the paper's eight languages; images, numbers and marks must survive",
    ask=ask,
    take=take,
    misplaced=misplaced,
    samples=({"into": ["de", "zh"]}, {"into": ["fr"], "back": True}),
)
