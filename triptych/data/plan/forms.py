"""A conversation without its first turns: what may go, and what becomes of words that name its images.

Not which form is taken (``budget``). When early images go, the others have new numbers. Words that name an image which
is gone, or that may mean one by its place ("the previous image"), are not mended: the row is refused. Words that name
an image which stays, by its number, are renumbered where the template writes numbers too, so that words and template
count alike; where it writes none, "image 2" may as well count from its own turn, and the row is refused. A sense that
no words show ("that cat") is not seen.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from triptych.core.records import Example, ImageRef, Text, Turn, images_of
from triptych.data.text.layout import counts_shown, images_before
from triptych.data.text.references import UnclearError, find_references, renumber
from triptych.data.text.turns import images_shown, replace_words, turns_in_order


class Forms:
    """The shorter forms of a conversation. State: what was read in its words, which come again in each form."""

    def __init__(self, example: Example, *, numbered: bool) -> None:
        """Take a conversation.

        Args:
            example: all of it.
            numbered: whether the template writes each image's number beside it.
        """
        self._example = example
        self._numbered = numbered
        self._system, self._pairs = _split(example)
        self._silent: set[tuple[str, int, int]] = set()
        """Words, and what they were read with, that name no image."""

    @property
    def units(self) -> int:
        """How many demonstrations and early pairs may be left out: all but the last pair."""
        return len(self._example.demonstrations) + max(0, len(self._pairs) - 1)

    def without(self, left_out: int) -> Example:
        """Return the example without its first demonstrations and pairs, so many of them together."""
        if not left_out:
            return self._example
        shown = self._example.demonstrations
        kept = tuple(turn for pair in self._pairs[max(0, left_out - len(shown)) :] for turn in pair)
        return replace(self._example, demonstrations=shown[left_out:], turns=self._system + kept)

    def bytes_with_numbers(self, shorter: Example) -> int:
        """Return the length of the words that name images: no more tokens can be others once they are renumbered."""
        count = len(images_of(self._example))
        texts = [part.text for turn in turns_in_order(shorter) for part in turn.parts if isinstance(part, Text)]
        return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if self._names_images(text, count))

    def renumbered(self, shorter: Example) -> tuple[Example, UnclearError | None]:
        """Return what ``without`` made, with the numbers that its images have now; or as it is, and why it stays so."""
        example = self._example
        if images_before(example)[-1]:
            return self._counted_through(shorter, example)
        # Its words count its own images: which demonstrations stand before them does not matter.
        if len(shorter.demonstrations) < len(example.demonstrations) and (said := self._counts_shown):
            return shorter, UnclearError(f"the words {said!r} may mean an image of a demonstration that goes")
        rest, unclear = self._counted_through(replace(shorter, demonstrations=()), replace(example, demonstrations=()))
        return replace(rest, demonstrations=shorter.demonstrations), unclear

    @cached_property
    def _counts_shown(self) -> str | None:
        return counts_shown(self._example)

    def _counted_through(self, shorter: Example, example: Example) -> tuple[Example, UnclearError | None]:
        """Return the same of a prompt whose words count all of its images."""
        count = len(images_of(example))
        gone = count - len(images_of(shorter))
        if not gone:
            return shorter, None
        # What the system shows stands first and keeps its numbers.
        before = sum(isinstance(part, ImageRef) for turn in self._system for part in turn.parts)
        shown = _shown(shorter, gone)

        def change(text: str, at: int) -> str:
            said = text, count, shown[at] or count
            if said in self._silent:
                return text
            mended = _mended(text, count, said[2], before, gone, self._numbered)
            if mended == text and not find_references(text, count=count, shown=said[2]):
                self._silent.add(said)
            return mended

        try:
            return replace_words(shorter, change), None
        except UnclearError as error:
            return shorter, error

    def _names_images(self, text: str, count: int) -> bool:
        if text not in self._named:
            self._named[text] = bool(find_references(text, count=count))
        return self._named[text]

    @cached_property
    def _named(self) -> dict[str, bool]:
        return {}


def _split(example: Example) -> tuple[tuple[Turn, ...], list[tuple[Turn, ...]]]:
    """Return what the system says, and the questions with their replies."""
    start = 0
    while start < len(example.turns) and example.turns[start].role == "system":
        start += 1
    pairs: list[tuple[Turn, ...]] = []
    for turn in example.turns[start:]:
        if turn.role == "user" or not pairs:
            pairs.append((turn,))
        else:
            pairs[-1] += (turn,)
    return example.turns[:start], pairs


def _shown(shorter: Example, gone: int) -> list[int]:
    """Return how many images were shown up to the end of each turn, in ``turns_in_order``, when the ``gone`` ones were
    there: behind what the system shows."""
    system = _split(shorter)[0]
    told = [turn for each in shorter.demonstrations for turn in turns_in_order(each)]
    front, end = len(system), len(system) + len(told)
    counts = images_shown([*system, *told, *shorter.turns[front:]])
    rest = [number + gone for number in counts[front:]]
    return [*rest[: end - front], *counts[:front], *rest[end - front :]]


def _mended(text: str, count: int, shown: int, before: int, gone: int, numbered: bool) -> str:
    """Return words with the numbers that images have now. Raises UnclearError."""
    last: set[int] = set()
    for reference in find_references(text, count=count, shown=shown):
        said = repr(text[reference.start : reference.stop])
        if any(before < number <= before + gone for number in reference.numbers):
            raise UnclearError(f"the words {said} in what stays mean an image that goes")
        if reference.form == "last":
            last.add(reference.start)
        elif not numbered:
            raise UnclearError(f"the words {said} in what stays count images, and the template writes no numbers")

    def new(number: int) -> int:
        return number - gone * (number > before)

    return renumber(text, new, count=count, shown=shown, now=new(shown), keep=frozenset(last))
