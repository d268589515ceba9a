"""What questions ask to be done, with what: their first verb and its noun, counted, as figures of such data show them.

Not a parser. Source: the figure of verbs and nouns in MIMIC-IT (arXiv:2306.05425) and, before it, in Self-Instruct
(arXiv:2212.10560). The words are tagged by HanTa (Wartena 2019); the noun is the head of the first group of nouns that
follows the verb. In English alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from HanTa.HanoverTagger import HanoverTagger

PACKAGE = "HanTa"
MODEL = "morphmodel_en.pgz"
LONGEST_WORDS = 60
"""Most words of a sentence that is tagged."""
_SENTENCE = re.compile(r"(?<=[.?!:])\s+|\n+")
_WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*|[0-9]+|[^\sA-Za-z0-9]")
Tagged = Sequence[tuple[str, str, str]]
"""(word, lemma, tag of the BNC's basic set) of each word."""


@dataclass
class Verbs:
    """Verbs with their nouns. State: the counts."""

    nouns: dict[str, Counter[str]] = field(default_factory=dict)
    """Verb -> its nouns; "" is a verb without one."""
    without: int = 0
    """Texts in which there is no verb."""

    @property
    def texts(self) -> int:
        """How many texts were looked at."""
        return self.without + sum(counts.total() for counts in self.nouns.values())

    def take(self, pair: tuple[str, str] | None) -> None:
        """Count one more text."""
        if pair is None:
            self.without += 1
        else:
            self.nouns.setdefault(pair[0], Counter())[pair[1]] += 1


def is_able() -> bool:
    """Tell whether the tagger is installed."""
    return find_spec(PACKAGE) is not None


def verbs_of(texts: Iterable[str]) -> Verbs:
    """Return the verbs of texts with their nouns. The tagger must be there (`is_able`)."""
    found = Verbs()
    for text in texts:
        found.take(_first_pair(text))
    return found


def verb_and_noun(tagged: Tagged) -> tuple[str, str] | None:
    """Return a sentence's first verb and the head of the first nouns behind it.

    Args:
        tagged: the words.

    Returns:
        lemmas; "" for the noun where none follows. A helping verb only where there is no other; None: no verb.
    """
    verbs = [at for at, (_, _, tag) in enumerate(tagged) if tag.startswith("V") and not tag.startswith("VM")]
    full = [at for at in verbs if tagged[at][2].startswith("VV")]
    if not verbs:
        return None
    at = (full or verbs)[0]
    noun = ""
    for _, lemma, tag in tagged[at + 1 :]:
        if tag.startswith("NN"):
            noun = lemma
        elif noun:
            break
    return tagged[at][1].lower(), noun.lower()


def _first_pair(text: str) -> tuple[str, str] | None:
    """Return the pair of the first question in a text, else of its first sentence that has a verb."""
    sentences = [sentence for sentence in _SENTENCE.split(text) if sentence]
    for sentence in sorted(sentences, key=lambda each: not each.rstrip().endswith("?")):
        words = _WORD.findall(sentence)[:LONGEST_WORDS]
        if words and (pair := verb_and_noun(_tagger().tag_sent(words))) is not None:
            return pair
    return None


@cache
def _tagger() -> HanoverTagger:
    from HanTa.HanoverTagger import HanoverTagger

    return HanoverTagger(MODEL)
