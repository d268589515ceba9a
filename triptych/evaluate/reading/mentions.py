"""Where a text names the options of a question: by letter or by words, affirmed or denied.

Not which option a reply chooses (``choices``), not which words name one (``option_words``). The longest words win
where options contain each other. A letter counts where it cannot be a word: in brackets, with a full stop, after
"option"; "A cat" and "I think" name no option. An option's own words deny nothing, whatever they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from triptych.evaluate.reading.denied import Mention, blanked, denied, longest
from triptych.evaluate.reading.letters import (
    AFTER_SAYS,
    BARE,
    BRACKETED,
    BULLET,
    ITEM,
    LABEL,
    LONE,
    NAMED,
    OR,
    goes_on,
    letter_contexts,
    letter_in,
    several_at,
)
from triptych.evaluate.reading.literals import beside_signs, literals_of, without_operands
from triptych.evaluate.reading.option_words import (
    all_of,
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
    COMPARES,
    IS_DENIED,
    LEADS,
    REASONS,
    SO,
    STRONGLY,
    SUPPOSES,
    VERDICT,
    WORDS,
)
from triptych.evaluate.reading.signs import straight, with_minus

BEYOND = -1
"""A letter that no option has."""
SEVERAL = -2
"""Two options at once, or a letter with another option's words."""
_COUNTED = re.compile(
    r"\b(?:image|picture|photo|frame|view|tile|box|panel|figure|option|step|number|no\.?) ?#?\d+\b|^\W*\d+[.)](?=\s)",
    re.I,
)
"""A number that names something and counts nothing."""


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
    literals: tuple[re.Pattern[str] | None, ...]
    """What names each option that is named only as it is written; it is among the patterns too."""
    places: re.Pattern[str]
    """What names one by its place."""
    letters: bool
    """Whether letters count."""

    def whole(self, text: str) -> int | None:
        """Return the option that a text is, with nothing beside it."""
        said = text.strip().casefold()
        if self.letters and said not in self.raw and (found := re.fullmatch(rf"\W*{BRACKETED}\W*", text)):
            return self._position(letter_in(found))
        if said not in self.raw and (alone := self._lone_letter(text)) is not None:
            return alone
        plain = plain_words(text)
        short = without_article(plain) if re.match(r"\W*an?[\s:]", text, re.I) else plain
        tried = ((self.raw, said), (self.names, plain), (self.names, short), (self.own, short), (self.tails, plain))
        for names, one in tried:
            at = names.index(one) if one and names.count(one) == 1 else None
            if at is not None and (names is self.raw or self.literals[at] is None):
                return at
        if self.letters and (lettered := self._whole_letter(text)) is not None:
            return lettered
        if self.letters and (placed := self.places.fullmatch(text)):
            return int(str(placed.lastgroup).strip("_"))
        found_in = enumerate(all_of(each, text) for each in self.patterns)
        return longest([Mention(at, *words.span()) for at, words in found_in if words])

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
        for text in (BULLET.sub("", sentence) for sentence in sentences if self.letters):
            if (item := ITEM.match(text)) is None:
                continue
            rest = text[item.end() :]
            words, option, verdict = self._words_at(rest), self._position(letter_in(item)), VERDICT.match(rest)
            after = VERDICT.match(rest, words.stop) if words else None
            own = verdict and words and (words.option, plain_words(rest[: words.stop])) == (option, self.names[option])
            if own and after is None:
                return None  # "(A) yes" of the option yes is of the question's list, and calls nothing right
            if verdict := after if own else verdict or after:
                found.append((option, verdict["right"] is not None))
        right = [option for option, is_right in found if is_right]
        return right[0] if len(found) > 1 and len(right) == 1 and right[0] >= 0 else None

    def spoken_for(self, sentence: str) -> set[int]:
        """Return the options that a sentence affirms: those it names and does not deny or only compare with."""
        if SUPPOSES.search(sentence):
            return set()
        found = self.mentions(sentence)
        affirmed = [each for each in found if not denied(sentence, each, found=found)]
        signs = [(each.start, each.stop) for each in found if each.as_written]  # with "=" of their own
        follows = [match.start() for match in SO.finditer(blanked(sentence, signs))]
        if follows and any(each.start > follows[-1] for each in affirmed):
            affirmed = [each for each in affirmed if each.start > follows[-1]]
        why = REASONS.search(sentence, affirmed[0].stop) if affirmed else None
        return {each.option for each in affirmed if why is None or each.start < why.start()}

    def mentions(self, sentence: str) -> list[Mention]:
        """Return what names an option in a sentence, in order, denied or not; the longest where they overlap."""
        counted = _COUNTED.finditer(sentence) if all(name.isdecimal() for name in self.names) else ()
        text = blanked(sentence, (match.span() for match in counted))
        outside = without_operands(text)
        by_words = [
            Mention(at, *match.span(), by_words=True, as_written=self.literals[at] is not None)
            for at, pattern in enumerate(self.patterns)
            for match in pattern.finditer(text if self.literals[at] else outside)
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
        return blanked(sentence, ((each.start, each.stop) for each in self.mentions(sentence)))

    def _lone_letter(self, text: str) -> int | None:
        """Return the option of a text that is one letter in any marks, whatever words of an option that letter is."""
        found = LONE.fullmatch(text) if self.letters else None
        if found is None or self._is_written_in(text):
            return None
        named = any(name == found[1].casefold() and not self.literals[at] for at, name in enumerate(self.names))
        position = BEYOND if named else self._plain_position(found[1])
        return None if position == BEYOND else position

    def _whole_letter(self, text: str) -> int | None:
        """Return the option of a text that is a letter, alone or with that option's words."""
        found = BARE.fullmatch(text)
        if found and self._counts(found[1], text) and not self._is_written_in(text):
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
                return self._unless_or(text, option)
            return SEVERAL if (one := self._letter_and_words(text)) is None else one
        found = LABEL.match(text) or (AFTER_SAYS.match(text) if said else None)
        if found is None:
            return self._letter_and_words(text)
        if self._goes_beyond(found, text):
            return None
        letter = letter_in(found)
        position, rest = self._position(letter), text[found.end() :].lstrip(")].:,\"' \t")
        words, stop = self._words_at(rest), found.end()
        own_stop = len(text) - len(rest) + words.stop if words and words.option == position else 0
        out = IS_DENIED.match(text, found.end())
        if out and out.end() > own_stop and not (said and re.search(r"\band\b", out[0])):
            return None  # not where "the answer is B and A can be ruled out", nor of an option "cannot be told"
        if words is not None and words.option != position:
            if letter == "A" and text[found.end() :].startswith(":"):
                return None  # "A:" as in "Q: ... A: ..."
            own = position >= 0 and self.patterns[position].match(rest)
            if not own and re.match(r"\s*(?:[.,;:!?)\n]|$)", rest[words.stop :]):
                return SEVERAL
        elif words is not None:
            stop = len(text) - len(rest) + words.stop
        return SEVERAL if goes_on(text[stop:], letter) else position

    def _goes_beyond(self, found: re.Match[str], text: str) -> bool:
        """Tell whether a letter without brackets is of an option's words: "C++", "E. coli", "-x"."""
        letter = letter_in(found)
        start = next(found.start(group) for group in range(1, found.re.groups + 1) if found[group])
        if text[start - 1 : start] in ("(", "[") and text[start + 1 : start + 2] in (")", "]"):
            return False
        begun = (pattern.match(text, start) for pattern in self.patterns)
        if any(words.end() > start + len(letter) for words in begun if words):
            return True
        around = (words for each in self.literals if each for words in each.finditer(text))
        return any(words.start() < start < words.end() for words in around)

    def _is_written_in(self, text: str) -> bool:
        """Tell whether a text holds an option with its signs."""
        return any(each is not None and each.search(text) for each in self.literals)

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
        outside, formulas = without_operands(text), any(self.literals)  # Then what is before a number counts: "√3".
        found = [
            Mention(at, start, start + match.end())
            for at, pattern in enumerate(self.patterns)
            if self.literals[at] is None and (match := pattern.match(outside[start:])) and match.end()
            if not formulas or not self.names[at].isdecimal() or pattern.match(text, start)
        ]
        for at, literal in enumerate(self.literals):
            tried = (literal.match(text, begin) for begin in range(start + 1)) if literal else ()
            found += [Mention(at, *match.span()) for match in tried if match]
        return max(found, key=lambda each: (each.stop, -each.start), default=None)

    def _unless_or(self, text: str, found: Mention) -> int:
        """Return the option that was found, or SEVERAL where another one follows: "the cat or the dog"."""
        after = OR.match(text, found.stop)
        other = self._words_at(text[after.end() :]) if after else None
        if after and other is None and (letter := re.match(r"\W*([^\W\d_])\b", text[after.end() :])):
            return SEVERAL if letter[1].casefold() in self.raw else found.option
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
    options = tuple(with_minus(straight(option)) for option in options)
    names = plain_names(options)
    raw = tuple(option.strip().casefold() for option in options)
    own = tuple(" ".join(words) for words in own_words(names, options))
    literals = literals_of(options, names, letters=letters)
    patterns = patterns_of(names, options)
    if any(literals):
        patterns = tuple(beside_signs(each, names[at], letters=letters) for at, each in enumerate(patterns))
    patterns = tuple(literal or pattern for literal, pattern in zip(literals, patterns, strict=True))
    return Reader(raw, names, own, tails_of(names), patterns, literals, places_of(names), letters)
