"""What a question in words asks of known images, read again from the words alone, and the answer that follows.

Not the kinds' own record (``truth``): a second reading, for questions that a language model wrote, or whose record is
not to be trusted. Reads counts, which image, yes or no, what two images share. Invariant: every word of the question is
a known thing, a known image or of the few words that such a question is made of; anything else is None, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from triptych.data.text.references import CARDINALS, find_references
from triptych.data.text.wording import words_in
from triptych.generate.item import View
from triptych.generate.kit.sorts import THING, Sort, plural

_NOUN = r"(?:images?|pictures?|photos?|photographs?|frames?|views?|boxes|box)"
_BOX = re.compile(r"\bbox\s+(\d+)\b", re.IGNORECASE)
_STATEMENT = re.compile(r"^.*\btrue or false\s*[?:]\s*(?P<said>.+)$", re.IGNORECASE | re.DOTALL)
_NUMBER = rf"(?P<number>\d+|{'|'.join(CARDINALS)}|no|a|an)"
_HOLDS = re.compile(rf"(?:exactly |count |there (?:is|are) |has |have |with |shows? ){_NUMBER}(?= )")
_THINGS = {THING, "thing", "item", "block"}


_GRANTED = re.compile(
    rf"(?:\bhow many|\bwhich {_NOUN} (?:shows?|has|have|contains?))"
    rf"(?: more| of the| the| a| an| two| three| four| both| most)*(?P<thing>(?: [\w-]+){{1,3}})"
)
_GRANTED_TOO = re.compile(r"(?:,| and)(?: a| an| the| two| three| four)(?P<thing>(?: [\w-]+){1,3})")
"""What else such a question names: "... a peach and a rhino?"."""
_STOPS_SAID = (
    "are is there in on at of do does did can you see with that and or more less than have has it they image "
    "images picture pictures photo photos box boxes frame frames thing things object objects item items "
    "together exactly only largest smallest highest lowest most fewest no any some each every all first last "
    "show shows shown appear appears new number fewer different other another same kinds kind types type sorts sort "
    "animals animal creatures creature vehicles vehicle colours colour colors color shapes shape food "
    "fruits fruit plants plant buildings building parts part pieces piece legs wheels eyes sides corners rows times "
    "would could should might will be been "
)
_STOPS = frozenset(_STOPS_SAID.split())
"""Words at which the name of a thing is over, and names of whole classes, which no annotation need say."""
_PEOPLE = frozenset(["people", "person", "persons", "humans"])
_HUMAN_SAID = (
    "man men woman women boy boys girl girls child children kid kids baby babies lady guy crowd family couple someone "
    "player players worker workers rider riders surfer skier dancer singer driver teacher student students tourist "
    "tourists friend friends bride groom mother father son daughter cook chef soldier soldiers"
)
_HUMAN = _PEOPLE | frozenset(_HUMAN_SAID.split())
"""Words that say that people are there."""
_ALWAYS = "a an the of in on is are was were there these those given shown image box it and or please"
_READ = {
    "counted": "how many count number what total together all both altogether over can you see more than have has show "
    "shows contain contains do does exactly which",
    "which": "which where what find do you see has have had show shows with contain contains does not as no without "
    "but one out odd lacks only most largest highest number more than first last all going through order appear "
    "appears compare any for time seen each",
    "shared": "what which do does both have has show shows in common share that but not something lacks thing one "
    "missing find",
    "verdict": "do does can you see anywhere any each every all both same number as many exactly least one at contain "
    "contains has have show shows with count total together true that no not from",
}
"""Which words each sort of question is made of, besides things, images and one number that is asked with."""
_NUMBER_WORDS = frozenset(CARDINALS)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question in words, with what it is about."""

    text: str
    """The question in lower case, with one space between words."""
    sorts: tuple[Sort, ...]
    """The sorts of things that it names, in that order."""
    images: tuple[int, ...]
    """Numbers of the images that are named, each once, in reading order."""
    counts: tuple[int, ...]
    """How many of the first sort are in each image."""
    rest: tuple[str, ...] = ()
    """Its words that name neither a thing nor an image."""

    def is_read(self, sort: str, *, numbers: int = 0) -> bool:
        """Return whether nothing is left but words that this sort of question is made of, and so many numbers."""
        allowed = {*_ALWAYS.split(), *_READ[sort].split()}
        found = [word for word in self.rest if word.isdecimal() or (word in _NUMBER_WORDS and word not in allowed)]
        return len(found) <= numbers and all(word in allowed or word in found for word in self.rest)


def expected(text: str, views: Sequence[View]) -> str | None:
    """Return the answer that the images give to a question, or the verdict on a statement; None: it is not read.

    Args:
        text: words of the question, without options.
        views: what is known to be in the images, in order; all things of them.
    """
    statement = _STATEMENT.match(text)
    if statement:
        verdict = _verdict(_read(statement["said"], views), views)
        return None if verdict is None else "true" if verdict else "false"
    asked = _read(text, views)
    for reading in (_counted, _which, _shared, _yes_or_no):
        answer = reading(asked, views)
        if answer is not None:
            return answer
    return None


def _read(text: str, views: Sequence[View]) -> _Asked:
    low = " ".join(text.lower().split())
    references = find_references(text, count=len(views))
    images = [number for each in references for number in each.numbers if number <= len(views)]
    images += [int(found) for found in _BOX.findall(text) if int(found) <= len(views)]
    sorts, rest = _sorts(low, views)
    counts = tuple(sorts[0].count(view) for view in views) if sorts else ()
    for each in reversed(find_references(rest, count=len(views))):
        rest = f"{rest[: each.start]} {rest[each.stop :]}"
    rest = re.sub(rf"\b(?:all|both) (?:{len(views)}|{CARDINALS[len(views) - 1]}) (?={_NOUN})", "all ", rest)
    rest = re.sub(rf"\b(?:box \d+|{_NOUN})\b", " image ", rest)
    return _Asked(low, sorts, tuple(dict.fromkeys(images)), counts, tuple(words_in(rest)))


def _sorts(low: str, views: Sequence[View]) -> tuple[tuple[Sort, ...], str]:
    """Return the sorts of things that words name, attributes right before a known name or "objects"; and the rest."""
    names = {thing.name for view in views for thing in view.things}
    attributes = {attribute for view in views for thing in view.things for attribute in thing.attributes}
    heads = {form: name for name in names for form in (name.lower(), plural(name).lower())}
    heads |= {form: "" for name in _THINGS - names for form in (name, plural(name))}
    if not heads:
        return (), low
    pattern = "|".join(re.escape(head) for head in sorted(heads, key=len, reverse=True))
    found, rest = [], low
    for match in re.finditer(rf"(?<![\w-])(?:(?P<attribute>[\w-]+)\s)?(?P<head>{pattern})(?![\w-])", low):
        attribute = match["attribute"] if match["attribute"] in attributes else ""
        name = heads[match["head"]]
        if (
            name
            or attribute
            or re.search(r"(?:many|number of|count the|most|more|exactly \w+) $", low[: match.start("head")])
        ):
            found.append(Sort(attribute, name))
            start = match.start("attribute") if attribute else match.start("head")
            rest = f"{rest[:start]}{' ' * (match.end() - start)}{rest[match.end() :]}"
    return tuple(found), rest


def _counted(asked: _Asked, views: Sequence[View]) -> str | None:
    if (
        not asked.sorts
        or not re.search(r"\bhow many\b|\bcount\b|\bnumber of\b", asked.text)
        or "same number" in asked.text
    ):
        return None
    if re.match(r"^(?:does|do|is|are|which|in which)\b", asked.text) or re.search(
        r"\bnever|at least|which\b", asked.text
    ):
        return None
    if len(set(asked.sorts)) > 1:
        return None
    if re.search(rf"how many (?:of the )?{_NOUN}|in how many", asked.text):
        exact = re.search(rf"exactly {_NUMBER}\b", asked.text)
        if not asked.is_read("counted", numbers=1 if exact else 0):
            return None
        wanted = _value(exact["number"]) if exact else None
        return str(sum(count == wanted if exact else count > 0 for count in asked.counts))
    if not asked.is_read("counted") or asked.rest.count("many") > 1 or "exactly" in asked.rest:
        return None
    if " more " in f" {asked.text} ":
        if len(asked.images) != 2:
            return None
        one, other = (asked.counts[number - 1] for number in asked.images)
        return str(one - other) if one > other else None
    if asked.images:
        return str(sum(asked.counts[number - 1] for number in asked.images))
    if re.search(r"\b(?:together|in total|total|all|both|altogether|over)\b", asked.text):
        return str(sum(asked.counts))
    return None


def _which(asked: _Asked, views: Sequence[View]) -> str | None:
    text, counts = asked.text, asked.counts
    if len(set(asked.sorts)) != 1 or not re.search(
        rf"\bwhich\b|\bwhere\b|in (?:image|box) .* or in|find the {_NOUN}", text
    ):
        return None
    if not asked.is_read("which"):
        return None
    numbers = range(1, len(counts) + 1)
    if len(asked.images) == 2 and re.search(r"\bmore\b", text):
        one, other = asked.images
        if counts[one - 1] == counts[other - 1]:
            return None
        return f"image {one if counts[one - 1] > counts[other - 1] else other}"
    if asked.images:
        return None
    if re.search(r"\b(?:most|largest number|highest number)\b", text):
        found = [number for number in numbers if counts[number - 1] == max(counts)]
    elif re.search(r"\b(?:no|without|lacks|does not|doesn't|odd one)\b", text):
        found = [number for number in numbers if not counts[number - 1]]
    elif re.search(r"\b(?:first|last)\b", text):
        found = [number for number in numbers if counts[number - 1]]
        found = found[:1] if "first" in text else found[-1:]
    else:
        found = [number for number in numbers if counts[number - 1]]
    return f"image {found[0]}" if len(found) == 1 else None


def _shared(asked: _Asked, views: Sequence[View]) -> str | None:
    if asked.sorts or len(asked.images) != 2 or not re.search(r"\bwhat\b|\bwhich thing\b", asked.text):
        return None
    if not asked.is_read("shared"):
        return None
    one, other = ({thing.name for thing in views[number - 1].things} for number in asked.images)
    if re.search(r"\bboth\b|\bin common\b|\bshare\b", asked.text):
        found = one & other
    elif re.search(r"\bbut not\b|\bdoes not\b|\blacks\b|\bmissing in\b", asked.text):
        found = one - other
    else:
        return None
    return found.pop() if len(found) == 1 else None


def _yes_or_no(asked: _Asked, views: Sequence[View]) -> str | None:
    if not re.match(r"^(?:is|are|do|does|can you see|from|in the order)\b", asked.text) or " or in " in asked.text:
        return None
    verdict = _verdict(asked, views)
    return None if verdict is None else "yes" if verdict else "no"


def _verdict(asked: _Asked, views: Sequence[View]) -> bool | None:
    """Return whether a statement, or the statement in a yes-or-no question, is true; None: it is not read."""
    text, counts = asked.text, asked.counts
    if len(set(asked.sorts)) != 1:
        return None
    if not asked.is_read("verdict", numbers=2) or re.match(r"^(?:is|are) there no\b|.*\bnot\b", text):
        return None
    if any(label in text for view in views for thing in view.things for label, _ in thing.relations):
        return None
    here = [counts[number - 1] for number in asked.images]
    if re.search(r"same number|\bas many\b", text):
        return here[0] == here[1] if len(here) == 2 else None
    if re.search(
        r"\bmore\b|\bmost\b|\bless\b|\bfewer\b|\bonly\b|\bfirst\b|\blast\b|\bno more\b|\bany more\b|\bnever\b|\bnew\b",
        text,
    ):
        return None
    said = [found["number"] for found in _HOLDS.finditer(text)]
    exact_numbers = [number for number in said if number not in ("a", "an")]
    images_counted = re.search(rf"(?:exactly )(?P<images>\d+|{'|'.join(CARDINALS)}) {_NOUN}\b", text)
    if images_counted:
        inner = re.search(rf"(?:with|have|has) (?:exactly )?{_NUMBER} ", text)
        each = inner["number"] if inner else "a"
        fits = [count > 0 if each in ("a", "an") else count == _value(each) for count in counts]
        return sum(fits) == _value(images_counted["images"])
    if re.search(r"\b(?:every|each|all)\b", text) and "in total" not in text and "together" not in text:
        return all(counts) if not re.search(r"exactly", text) else None
    exact = bool(exact_numbers)
    wanted = _value(exact_numbers[-1]) if exact else None
    if re.search(r"\bboth\b", text) and len(here) == 2 and not exact:
        return min(here) > 0
    if re.search(rf"\b(?:an? {_NOUN}|any {_NOUN}|at least one {_NOUN}|any of the|anywhere)\b", text):
        return wanted in counts if exact else any(counts)
    if exact and not here and re.search(r"\b(?:in total|together|altogether)\b", text):
        return sum(counts) == wanted
    if len(here) == 1:
        return here[0] == wanted if exact else here[0] > 0
    return None


def _value(said: str) -> int:
    if said.isdecimal():
        return int(said)
    return CARDINALS.index(said) + 1 if said in CARDINALS else 0


def presupposed(text: str, known: set[str]) -> str | None:
    """Return a thing that a question takes for granted though nobody knows of it, or None.

    "How many dogs ...?" and "Which image shows two dogs?" take dogs for granted; "Is there a dog?" does not.
    """
    low = " ".join(text.lower().split())
    granted = list(_GRANTED.finditer(low))
    if granted and low.startswith("which"):
        granted += _GRANTED_TOO.finditer(low, granted[0].start("thing"))
    for match in granted:
        for word in words_in(match["thing"]):
            if word in _STOPS:
                break
            if word in _PEOPLE and known & _HUMAN:
                continue
            if word not in known and word.removesuffix("s") not in known and not word.isdecimal():
                return word
    return None


def known_words(views: Sequence[View], *texts: str) -> set[str]:
    """Return every word that what is known of images, and some texts, say; names also in the plural."""
    known: set[str] = set()
    for view in views:
        for said in (*view.captions, view.title, *view.tags):
            known.update(words_in(said))
        for thing in view.things:
            for said in (thing.name, plural(thing.name), *thing.attributes, *(label for label, _ in thing.relations)):
                known.update(words_in(said))
    for text in texts:
        known.update(words_in(text))
    return known
