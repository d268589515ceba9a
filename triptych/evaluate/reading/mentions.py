"""Where a text names the options of a question: by letter or by words, affirmed or denied.

Not which option a reply chooses (``choices``), not which words name one (``option_words``). The longest words win
where options contain each other. A letter counts where it cannot be a word: in brackets, with a full stop, after
"option"; "A cat" and "I think" name no option. An option's own words deny nothing, whatever they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from triptych.evaluate.reading.letters import (
    AFTER_SAYS,
    BARE,
    BRACKETED,
    BULLET,
    ITEM,
    LABEL,
    NAMED,
    OR,
    goes_on,
    letter_contexts,
    letter_in,
    several_at,
)
from triptych.evaluate.reading.option_words import (
    is_all,
    letter_of,
    own_words,
    patterns_of,
    places_of,
    plain_names,
    plain_words,
    tails_of,
    without_article,
)
from triptych.evaluate.reading.phrases import (
    CLAUSE_ENDS,
    COMPARES,
    DENIES,
    IS_DENIED,
    JUST_DENIED,
    LEADS,
    LIKEWISE,
    NAMES_IT,
    REASONS,
    SO,
    STRONGLY,
    SUPPOSES,
    VERDICT,
    WORDS,
)
from triptych.evaluate.reading.signs import with_minus

BEYOND = -1
"""A letter that no option has."""
SEVERAL = -2
"""Two options at once, or a letter with another option's words."""
_NEAR = 300
"""Characters before a mention that may deny it."""
_COUNTED = re.compile(
    r"\b(?:image|picture|photo|frame|view|tile|box|panel|figure|option|step|number|no\.?) ?#?\d+\b|^\W*\d+[.)](?=\s)",
    re.I,
)
"""A number that names something and counts nothing."""


@dataclass(frozen=True, slots=True)
class Mention:
    """Words that name an option, and where they stand."""

    option: int
    start: int
    stop: int
    by_words: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """Finds the options of one question. Options are positions from 0; BEYOND and SEVERAL are none."""

    raw: tuple[str, ...]
    """Each option as it is, in lower case."""
    names: tuple[str, ...]
    """Each option's words, plain."""
    own: tuple[str, ...]
    """The words of each option that no other option has."""
    tails: tuple[str, ...]
    """Each option without the words with which all begin."""
    patterns: tuple[re.Pattern[str], ...]
    """What names each option, besides its letter."""
    places: re.Pattern[str]
    """What names one by its place."""
    letters: bool
    """Whether letters count."""

    def whole(self, text: str) -> int | None:
        """Return the option that a text is, with nothing beside it."""
        said = text.strip().casefold()
        if self.letters and said not in self.raw and (found := re.fullmatch(rf"\W*{BRACKETED}\W*", text)):
            return self._position(letter_in(found))
        plain = plain_words(text)
        short = without_article(plain) if re.match(r"\W*an?[\s:]", text, re.I) else plain
        for names, one in (
            (self.raw, said),
            (self.names, plain),
            (self.names, short),
            (self.own, short),
            (self.tails, plain),
        ):
            if one and names.count(one) == 1:
                return names.index(one)
        if self.letters and (lettered := self._whole_letter(text)) is not None:
            return lettered
        if self.letters and (placed := self.places.fullmatch(text)):
            return int(str(placed.lastgroup).strip("_"))
        full = [at for at, pattern in enumerate(self.patterns) if is_all(pattern, text)]
        return full[0] if len(full) == 1 else None

    def beginning(self, text: str) -> int | None:
        """Return the option with which a text begins, as its own statement: a letter, or words that end there."""
        if (labelled := self._label(text)) is not None:
            return labelled
        found = self._words_at(text)
        if found is None or not re.match(r"\s*(?:[.,;:!?)\n—–]|- (?!\d)|$)", text[found.stop :]):
            return None
        return self._unless_or(text, found)

    def stated(self, text: str) -> int | None:
        """Return the option that stands at the beginning of what follows "the answer is"."""
        for _ in range(4):
            if (labelled := self._label(text, said=True)) is not None:
                return labelled
            if (found := self._words_at(text)) is not None:
                return self._unless_or(text, found)
            if (lead := LEADS.match(text)) is None:
                return None
            text = text[lead.end() :]
        return None

    def listing(self, sentences: Sequence[str]) -> frozenset[int]:
        """Return the sentences that go through the options one by one: they describe, and choose none.

        A listing is two or more sentences that begin with different options in order, and what stands between them.
        """
        runs: list[list[tuple[int, int]]] = []
        for at, sentence in enumerate(sentences):
            option = self._opens(sentence)
            if option is None or STRONGLY.search(sentence):
                continue
            if runs and option == runs[-1][-1][1] + 1:
                runs[-1].append((at, option))
            else:
                runs.append([(at, option)])
        longest = max(runs, key=len, default=[])
        if len(longest) < 2 or longest[0][1] != 0:
            return frozenset()
        return frozenset(range(longest[0][0], longest[-1][0] + 1))

    def affirmed_item(self, sentences: Sequence[str]) -> int | None:
        """Return the one option that a listing calls right, as "A: wrong", "B: right" do; None: none, or several."""
        found: list[tuple[int, bool]] = []
        for sentence in sentences:
            text = BULLET.sub("", sentence)
            if (item := ITEM.match(text)) is None or not self.letters:
                continue
            rest = text[item.end() :]
            words = self._words_at(rest)
            verdict = VERDICT.match(rest) or (VERDICT.match(rest, words.stop) if words else None)
            if verdict:
                found.append((self._position(letter_in(item)), verdict["right"] is not None))
        right = [option for option, is_right in found if is_right]
        return right[0] if len(found) > 1 and len(right) == 1 and right[0] >= 0 else None

    def spoken_for(self, sentence: str) -> set[int]:
        """Return the options that a sentence affirms: those it names and does not deny or only compare with."""
        if SUPPOSES.search(sentence):
            return set()
        found = self.mentions(sentence)
        affirmed = [each for each in found if not _denied(sentence, each, found)]
        follows = [match.start() for match in SO.finditer(sentence)]
        if follows and any(each.start > follows[-1] for each in affirmed):
            affirmed = [each for each in affirmed if each.start > follows[-1]]
        why = REASONS.search(sentence, affirmed[0].stop) if affirmed else None
        return {each.option for each in affirmed if why is None or each.start < why.start()}

    def mentions(self, sentence: str) -> list[Mention]:
        """Return what names an option in a sentence, in order, denied or not; the longest where they overlap."""
        text = sentence
        if all(name.isdecimal() for name in self.names):
            text = _COUNTED.sub(lambda match: " " * len(match[0]), sentence)
        by_words = [
            Mention(at, *match.span(), by_words=True)
            for at, pattern in enumerate(self.patterns)
            for match in pattern.finditer(text)
        ]
        taken = bytearray(len(text))
        spans: set[tuple[int, int]] = set()
        kept: list[Mention] = []
        for each in [*sorted(by_words, key=lambda each: each.start - each.stop), *self._letters_in(text)]:
            span = (each.start, each.stop)
            if not any(taken[each.start : each.stop]) or (span in spans and each.by_words):
                kept.append(each)
                spans.add(span)
                taken[each.start : each.stop] = b"\1" * (each.stop - each.start)
        return sorted(kept, key=lambda each: each.start)

    def without_mentions(self, sentence: str) -> str:
        """Return the sentence with its options blanked."""
        return _blanked(sentence, ((each.start, each.stop) for each in self.mentions(sentence)))

    def _whole_letter(self, text: str) -> int | None:
        """Return the option of a text that is a letter, alone or with that option's words."""
        if (found := BARE.fullmatch(text)) and self._counts(found[1], text):
            bracketed = text[found.start(1) - 1 : found.start(1)] in ("(", "[")
            return self._position(found[1]) if bracketed else self._plain_position(found[1])
        if found := re.match(rf"\W*(?:{BRACKETED}|([A-Za-z])(?:[).:]|\b))\s*", text):
            position, rest = self._position(letter_in(found)), text[found.end() :]
            words = self._words_at(rest)
            if words is not None and words.option == position and not re.search(r"\w", rest[words.stop :]):
                return position
        return None

    def _label(self, text: str, *, said: bool = False) -> int | None:
        """Return the option of the letter with which a text begins; ``said``: after words that announce it."""
        if not self.letters:
            return None
        if said and (stop := several_at(text, len(self.names))):
            option = self._words_at(text)
            if option is not None and option.stop >= stop:
                return option.option
            return SEVERAL if (one := self._letter_and_words(text)) is None else one
        found = LABEL.match(text) or (AFTER_SAYS.match(text) if said else None)
        if found is None:
            return self._letter_and_words(text)
        denied = IS_DENIED.match(text, found.end())
        if denied and not (said and re.search(r"\band\b", denied[0])):  # "the answer is B and A can be ruled out"
            return None
        letter = letter_in(found)
        position, rest = self._position(letter), text[found.end() :].lstrip(")].:,\"' \t")
        words, stop = self._words_at(rest), found.end()
        if words is not None and words.option != position:
            if letter == "A" and text[found.end() :].startswith(":"):
                return None  # "A:" as in "Q: ... A: ..."
            own = position >= 0 and self.patterns[position].match(rest)
            if not own and re.match(r"\s*(?:[.,;:!?)\n]|$)", rest[words.stop :]):
                return SEVERAL
        elif words is not None:
            stop = len(text) - len(rest) + words.stop
        return SEVERAL if goes_on(text[stop:], letter) else position

    def _letter_and_words(self, text: str) -> int | None:
        plain = plain_words(text)
        for at, name in enumerate(self.names):
            if name and f"{plain} ".startswith(f"{letter_of(at).lower()} {name} "):
                return at
        return None

    def _words_at(self, text: str) -> Mention | None:
        """Return the longest words of an option at the beginning of a text."""
        skipped = re.match(r"[^\w<>=+-]*(?:the\s+)?", text, re.I)
        start = skipped.end() if skipped else 0
        found = [
            Mention(at, start, start + match.end())
            for at, pattern in enumerate(self.patterns)
            if (match := pattern.match(text[start:])) and match.end()
        ]
        return max(found, key=lambda each: each.stop, default=None)

    def _unless_or(self, text: str, found: Mention) -> int:
        """Return the option that was found, or SEVERAL where another one follows: "the cat or the dog"."""
        after = OR.match(text, found.stop)
        other = self._words_at(text[after.end() :]) if after else None
        return found.option if other is None or other.option == found.option else SEVERAL

    def _opens(self, sentence: str) -> int | None:
        """Return the option with which an item of a listing begins."""
        if self.letters and (found := ITEM.match(sentence)):
            return self._position(letter_in(found))
        words = self._words_at(BULLET.sub("", sentence))
        return None if words is None or COMPARES.search(sentence) else words.option

    def _letters_in(self, text: str) -> Iterator[Mention]:
        if not self.letters:
            return
        for match in NAMED.finditer(text):
            yield Mention(self._position(letter_in(match)), *match.span())
        for at in range(min(len(self.names), 26)):
            for match in letter_contexts(letter_of(at)).finditer(text):
                yield Mention(at, *match.span())

    def _counts(self, letter: str, text: str) -> bool:
        """Tell whether a lone letter is one: a small "a" or "i" after words may begin what was cut off."""
        return letter not in "ai" or not re.search(r"\w", text[: text.rindex(letter)])

    def _plain_position(self, letter: str) -> int:
        """Return the option of a letter without marks, which is one's words before it is one's letter."""
        return self.raw.index(letter.casefold()) if self.raw.count(letter.casefold()) == 1 else self._position(letter)

    def _position(self, letter: str) -> int:
        """Return the option of a letter; of one beyond them, the option that it is, or begins: Y of yes and no."""
        at = ord(letter.upper()) - ord("A")
        if at < len(self.names):
            return at
        small = letter.casefold()
        meant = [name for name in self.raw if name == small or (name in WORDS and name[0] == small)]
        return self.raw.index(meant[0]) if len(meant) == 1 else BEYOND


@lru_cache(maxsize=1024)
def reader_of(options: tuple[str, ...], letters: bool) -> Reader:
    """Return the reader of a question's options; ``letters``: whether the question showed them."""
    options = tuple(map(with_minus, options))
    names = plain_names(options)
    raw = tuple(option.strip().casefold() for option in options)
    own = tuple(" ".join(words) for words in own_words(names))
    return Reader(raw, names, own, tails_of(names), patterns_of(names), places_of(names), letters)


def _blanked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    chars = list(text)
    for start, stop in spans:
        chars[start:stop] = " " * (stop - start)
    return "".join(chars)


def _denied(sentence: str, mention: Mention, found: Sequence[Mention]) -> bool:
    """Tell whether a mention is denied, before it ("not A", "rather than A") or after it ("A is not")."""
    if IS_DENIED.match(sentence, mention.stop):
        return True
    near = max(0, mention.start - _NEAR)
    starts = [match.end() for match in CLAUSE_ENDS.finditer(sentence, near, mention.stop)]
    start = starts[-1] if starts else near
    before = [each for each in found if near <= each.start < each.stop <= mention.start]
    head = _blanked(sentence[near : mention.start], ((each.start - near, each.stop - near) for each in before))
    lead = head + "".join(NAMES_IT.findall(sentence[mention.start : mention.stop]))
    if any(map(JUST_DENIED.search, (head, lead))):
        return True
    if before and LIKEWISE.search(lead):
        return _denied(sentence, before[-1], found)
    denial = DENIES.search(head, start - near)
    if denial is None:
        return False
    opens = not re.search(r"\w", head[start - near : denial.start()])
    between = any(each.start >= near + denial.end() for each in before)
    return not ("," in head[denial.end() :] and (opens or not between))
