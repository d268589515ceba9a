"""parse: a teacher's reply becomes instruction-response pairs, each an item with its conversation, images in place.

Not a judge of what they say (``filter``, ``verify``). Structured replies are JSON; others are read by tolerant rules,
as JSON or as labelled lines. Where no whole pair is found, the teacher is asked once to lay its words out anew. A pair
that lacks a part is refused, never completed. Options that the reply gives beside a question are laid out below it.
A mark ``<image 2>`` in a question becomes that image at that place, and images that no mark names stand in front;
where they would so come in another order, or too late, all stand in front and a mark is the words "image 2".
Invariant: the image that is called by a number is the one that stands at it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from random import Random
from typing import Literal

from triptych.core.records import Answer, Example, ImageRef, Json, Part, Text, Turn, VideoRef
from triptych.data.text.references import LETTERS, find_doubt, find_references
from triptych.data.transform import tidy
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.choice import chosen, is_foreign, stays
from triptych.generate.options import lettered, meant, stand_in
from triptych.generate.prompts import fill, load
from triptych.generate.question import FACT, Question, as_json, options_block
from triptych.generate.reply_pairs import Found, Pair, read_pairs
from triptych.generate.stage import Made, Request, Stage, TeacherSettings
from triptych.infer.responder import Failed

MARK = re.compile(r"<\s*(?:image|video|frame)\s*#?(\d+)\s*>", re.IGNORECASE)
_SEVERAL = re.compile(r"\b(?:images|pictures|photos|photographs|frames|views|both|others?|each|every)\b", re.IGNORECASE)
"""Words that may mean images which are not shown yet."""
REPAIR = "repair"
_SHOWN = 80
_LONGEST_NUMBER = 12


class Parse(TeacherSettings):
    """How a reply becomes conversations."""

    into: Literal["pairs", "conversation"] = "pairs"
    """pairs: one item a pair; conversation: the pairs of one conversation are the rounds of one item."""
    images: Literal["front", "numbered"] = "front"
    """front: images, then the question; numbered: each image behind ``Image 1:`` on a line of its own."""
    repair: bool = True
    """Whether a reply without whole pairs is sent back once, to be laid out anew."""
    language: str = "en"
    """Language of the pairs, two letters."""
    most: int | None = None
    """Most pairs that are taken from one reply; the others are refused. None: all."""


def ask(item: Item, settings: Parse, random: Random) -> Sequence[Request]:
    """Return one request to repair the reply, where it has words but nothing whole can be read in them."""
    del random
    found = _found(item)
    # What is torn in JSON, or was cut, is no whole pair in another layout either.
    hopeless = found.torn and (found.in_json or _is_cut(item))
    if not settings.repair or not item.reply.strip() or found.pairs or hopeless:
        return ()
    prompt = load(REPAIR)
    return [Request(REPAIR, fill(prompt, id=item.id, reply=item.reply), prompt.max_tokens, REPAIR, prompt.schema)]


def take(item: Item, settings: Parse, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
    """Return one item a pair or conversation, and a refusal for each torn one."""
    found, repaired = _found(item), False
    for reply in replies:
        if isinstance(reply, Answer):
            # Words that were cut before they were laid out anew end in a pair that was cut.
            anew = read_pairs(reply.text, cut=reply.cut or _is_cut(item))
            if anew.pairs or anew.torn:
                found, repaired = anew, True
    if not (found.pairs or found.torn):
        said = " ".join(item.reply.split())[:_SHOWN]
        failed = next((f" ({reply.reason})" for reply in replies if isinstance(reply, Failed)), "")
        return [Refusal(item, "no pairs", f"{item.id}: no question with an answer was found in {said!r}{failed}.")]
    groups = _grouped(found.pairs, settings)
    made: list[Made] = []
    for number, pairs in enumerate(groups):
        own = _own(item, number, repaired=repaired)
        if settings.most is not None and number >= settings.most:
            made.append(Refusal(own, "too many pairs", f"{own.id}: the reply has more than {settings.most} of them."))
            continue
        made.append(_item(own, item, pairs, settings))
    for number, pair in enumerate(found.torn, start=len(groups)):
        said = (pair.question or pair.answer)[:_SHOWN]
        own = _own(item, number, repaired=repaired)
        made.append(Refusal(own, "torn pair", f"{own.id}: a part is torn or missing of the pair that begins {said!r}."))
    return made


def _found(item: Item) -> Found:
    return read_pairs(item.reply, cut=_is_cut(item))


def _is_cut(item: Item) -> bool:
    asked = item.facts.get("ask")
    return isinstance(asked, dict) and asked.get("cut") is True


def _grouped(pairs: Sequence[Pair], settings: Parse) -> list[tuple[Pair, ...]]:
    if settings.into == "pairs":
        return [(pair,) for pair in pairs]
    return [tuple(same) for _, same in groupby(pairs, key=lambda pair: pair.group)]


def _own(item: Item, number: int, *, repaired: bool) -> Item:
    told: dict[str, Json] = {"repaired": True} if repaired else {}
    facts = {**item.facts, "parse": told}
    return replace(item, id=f"{item.id}/{number}", parents=(*item.parents, item.id), facts=facts)


def _item(own: Item, parent: Item, pairs: Sequence[Pair], settings: Parse) -> Made:
    for pair in pairs:
        if why := _wrong_choice(pair):
            return Refusal(own, why, f"{own.id}: {pair.answer[:_SHOWN]!r} to the options {list(pair.options)}.")
    choice = _choice(pairs[0]) if len(pairs) == 1 else None
    pairs = [_laid_out(pair) for pair in pairs]
    media = [view.media for view in own.annotation.views]
    there = {*map(str, range(1, len(media) + 1))}
    for part, said in (each for pair in pairs for each in (("question", pair.question), ("answer", pair.answer))):
        # Compared as words: a number of thousands of digits is none.
        if wrong := [mark[:_LONGEST_NUMBER] for mark in MARK.findall(said) if mark.lstrip("0") not in there]:
            return Refusal(own, "no such image", f"{own.id}: the {part} names image {wrong[0]} of {len(media)}.")
    asked = parent.facts.get("ask")
    told = asked if isinstance(asked, dict) else {}
    skills = told.get("skills")
    facts: dict[str, Json] = {
        "language": settings.language,
        "dialogue": f"{parent.id}:{pairs[0].group}",
        **{key: told[key] for key in ("prompt", "prompt_hash") if key in told},
    }
    if extra := {key: value for pair in pairs for key, value in pair.extra.items()}:
        facts["extra"] = extra
    own_facts: dict[str, Json] = {**own.facts, "language": settings.language}
    if choice is not None:
        facts |= {"options": list(choice.options), "choice": True, "chance": 1 / len(choice.options)}
        own_facts[FACT] = as_json(replace(choice, skill=str(skills[0]) if isinstance(skills, list) and skills else ""))
    example = Example(
        id=own.id,
        turns=tuple(_turns(pairs, media, settings)),
        origin=own.annotation.origin,
        skills=tuple(map(str, skills)) if isinstance(skills, list) else (),
        facts=facts,
    )
    return replace(own, example=example, reply="", facts=own_facts)


def _wrong_choice(pair: Pair) -> str:
    """Return why the answer does not go with the options beside the question; empty: it does, or there are none."""
    options = pair.options
    if len(set(map(str.casefold, options))) < len(options):
        return "options repeat"
    if not options or meant(pair.answer, options) is not None:
        return ""
    at, words = lettered(pair.answer, options)
    if at is None:
        return "" if chosen(pair.answer, options) is not None else "answer is no option"
    # "A. a dog" where the dog is B, or no option at all: nobody knows which is right.
    # "A" alone, which is not meant, is also the words of another option.
    right = words and stays(at, words, options=options) and not is_foreign(words, at, options=options)
    return "" if right else "answer is no option"


def _laid_out(pair: Pair) -> Pair:
    """Return the pair with its options below the question, and an answer that says letters as they stand there."""
    if not pair.options or stand_in(pair.question, pair.options):
        return pair
    question, at = pair.question + options_block(pair.options), meant(pair.answer, pair.options)
    if at is None:  # a sentence of its own
        return replace(pair, question=question)
    letter, option = LETTERS[at], pair.options[at]
    by, words = lettered(pair.answer, pair.options)
    answer = option if by != at else f"({letter}) {option}" if words else letter
    return replace(pair, question=question, answer=answer)


def _choice(pair: Pair) -> Question | None:
    """Return the pair as a question of multiple choice whose options may change places; None: it is none, or not so."""
    at = meant(pair.answer, pair.options) if pair.options else None
    if at is None or stand_in(pair.question, pair.options) or any(map(MARK.search, pair.options)):
        return None
    return Question(_in_words(pair.question), pair.options[at], options=pair.options, kind="written")


def _turns(pairs: Sequence[Pair], media: Sequence[ImageRef | VideoRef], settings: Parse) -> Iterator[Turn]:
    in_place = _stand_in_order(pairs, len(media))
    named = {int(mark) for pair in pairs for mark in MARK.findall(pair.question)} if in_place else set()
    shown = {*range(1, len(media) + 1)} - named
    for number, pair in enumerate(pairs):
        front: list[Part] = []
        for place, each in enumerate(media, start=1):
            if number == 0 and place not in named:
                front += [each] if settings.images == "front" else [Text(f"Image {place}: "), each, Text("\n")]
        words: list[Part] = []
        for at, piece in enumerate(MARK.split(pair.question)):
            if at % 2 == 0:
                words.append(Text(piece))
            elif int(piece) in shown:
                words.append(Text(f"image {int(piece)}"))
            else:
                shown.add(int(piece))
                words.append(media[int(piece) - 1])
        yield Turn("user", tidy([*front, *words]))
        yield Turn("assistant", (Text(_in_words(pair.answer)),))


def _stand_in_order(pairs: Sequence[Pair], count: int) -> bool:
    """Return whether images at their marks come in their order, each before or in the round that speaks of it."""
    named = {int(mark) for pair in pairs for mark in MARK.findall(pair.question)}
    shown = [place for place in range(1, count + 1) if place not in named]
    for pair in pairs:
        marks = [int(mark) for mark in MARK.findall(pair.question)]
        shown += dict.fromkeys(mark for mark in marks if mark not in shown)
        if shown != [*range(1, len(shown) + 1)]:
            return False
        said = _in_words(f"{pair.question}\n{pair.answer}")
        if len(shown) < count and not (marks and _knows_only(said, len(shown), count)):
            return False
    return True


def _knows_only(said: str, shown: int, count: int) -> bool:
    """Return whether words speak of the first images alone, as far as words tell."""
    if _SEVERAL.search(said) or find_doubt(said, count=count):
        return False
    return all(number <= shown for each in find_references(said, count=count) for number in each.numbers)


def _in_words(said: str) -> str:
    return MARK.sub(lambda mark: f"image {mark[1]}", said)


STAGE = Stage(
    settings=Parse,
    about="a reply becomes instruction-response pairs; torn ones are refused, unreadable ones repaired once",
    ask=ask,
    take=take,
    samples=({}, {"into": "conversation", "images": "numbered"}, {"repair": False}),
)
