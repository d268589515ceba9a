"""CIDEr: how near a caption is to what people wrote of a picture, in n-grams weighted by how rare they are.

Source: Vedantam et al. 2015 (arXiv:1411.5726) in the form that captioning papers report, CIDEr-D of the package
``pycocoevalcap``: equal to it on tokenised texts. One score depends on the references of the whole test, so it is a
class. Its scale is 0 to 10; papers print the mean times 100.

Texts are tokenised before. The package runs Stanford's PTBTokenizer in Java and drops marks of punctuation. ``tokens``
follows its rules on captions without Java: lower case, contractions in two, the same marks dropped, brackets kept as
``-lrb-``. On 1,314 sentences about images they agree on 1,312. They may differ on rare spellings: abbreviations other
than the common ones, fractions, emoticons.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

Gram = tuple[str, ...]

LONGEST_GRAM = 4
TOP = 10.0
"""The score of a reply that every reference agrees with."""
_SIGMA = 6.0
"""Words by which lengths may differ before it costs much."""

_PAIRS = re.compile(r"\b(can)(not)\b|\b(gon|wan)(na)\b|\b(got)(ta)\b|\b(gim|lem)(me)\b")
_CLITICS = re.compile(r"(?<=\w)(n't|'(?:s|m|d|re|ve|ll))(?!\w)")
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
"""Not dropped by the package: it looks for them in upper case, after all was made lower case."""
_SHORT = "mr|mrs|ms|dr|st|jr|sr|vs|etc|bros|inc|co|corp|ltd"
_TOKEN = re.compile(
    rf"""n't(?!\w) | '(?:s|m|d|re|ve|ll)(?!\w)                  # clitics
    | '\d\ds?(?!\w) | '[nN]'                                  # '90s, rock 'n' roll
    | (?:[^\W\d_]\.){{2,}} | (?:{_SHORT})\. | [b-hj-z]\.(?!\S)  # u.s., mr., the initial j.
    | www\.[^\s,;]*\w | [\w.]+@[\w.]+\w                      # addresses
    | \d+(?:[.,:/]\d+)*[^\W_]*(?:-[^\W_]+)*                   # numbers, 3.5, 10:30, 1950s, 2-story
    | [^\W_]+(?:[-'/][^\W_]+)*                               # words, with what joins them
    | [$%&\#@+=*<>|~^°£€()\[\]{{}}]                           # signs that count as words""",
    re.VERBOSE,
)


class Cider:
    """Scores replies against one test's references. State: how many items each n-gram of a reference occurs in."""

    def __init__(self, references: Mapping[Hashable, Sequence[str]]) -> None:
        """Count. Args: item -> its references, each a text of tokens with spaces between, as ``tokens`` gives it.

        Raises:
            ValueError: no items, or one without references.
        """
        if not references or not all(references.values()):
            raise ValueError("CIDEr needs items, and a reference of each.")
        self._grams = {item: [_grams(text) for text in texts] for item, texts in references.items()}
        self._items_with = Counter(gram for each in self._grams.values() for gram in set().union(*each))
        self._log_items = math.log(len(references))

    def score(self, item: Hashable, reply: str) -> float:
        """Return the score of a reply: 0 to 10.

        Args:
            item: one of the references'.
            reply: tokens with spaces between.
        """
        said = self._weighted(_grams(reply))
        references = self._grams[item]
        similar = sum(_similarity(said, self._weighted(grams)) for grams in references)
        return TOP * similar / len(references)

    def _weighted(self, grams: Counter[Gram]) -> _Weighted:
        weights: list[dict[Gram, float]] = [{} for _ in range(LONGEST_GRAM)]
        for gram, count in grams.items():
            rarity = self._log_items - math.log(max(1.0, self._items_with[gram]))
            weights[len(gram) - 1][gram] = count * rarity
        # The package counts a text's length in pairs of words.
        return _Weighted(weights, sum(count for gram, count in grams.items() if len(gram) == 2))


class _Weighted:
    """One text as vectors of weighted n-grams, one for each length."""

    def __init__(self, weights: Sequence[Mapping[Gram, float]], pairs: int) -> None:
        self.weights = weights
        self.norms = [math.sqrt(sum(weight**2 for weight in each.values())) for each in weights]
        self.pairs = pairs


def corpus_cider(references: Sequence[Sequence[str]], replies: Sequence[str]) -> list[float]:
    """Return the score, 0 to 10, of each of a test's replies, in order; texts are as people and models wrote them.

    Raises:
        ValueError: they differ in number; or as ``Cider``.
    """
    if len(references) != len(replies):
        raise ValueError(f"{len(references)} items but {len(replies)} replies")
    known = Cider({number: [tokens(text) for text in texts] for number, texts in enumerate(references)})
    return [known.score(number, tokens(reply)) for number, reply in enumerate(replies)]


def tokens(text: str) -> str:
    """Return a caption's tokens with spaces between (see the file's head).

    >>> tokens("A man's dog, isn't it?")
    "a man 's dog is n't it"
    """
    plain = text.lower().replace("’", "'")
    plain = _PAIRS.sub(lambda match: " ".join(filter(None, match.groups())), plain)
    return " ".join(_BRACKETS.get(token, token) for token in _TOKEN.findall(_CLITICS.sub(r" \1", plain)))


def _grams(text: str) -> Counter[Gram]:
    words = text.split()
    found: defaultdict[Gram, int] = defaultdict(int)
    for length in range(1, LONGEST_GRAM + 1):
        for start in range(len(words) - length + 1):
            found[tuple(words[start : start + length])] += 1
    return Counter(found)


def _similarity(said: _Weighted, wanted: _Weighted) -> float:
    """Return the mean over lengths of n-grams of the clipped cosine, less for another length: 0 to 1."""
    total = 0.0
    for said_weights, weights, said_norm, norm in zip(
        said.weights, wanted.weights, said.norms, wanted.norms, strict=True
    ):
        shared = sum(
            min(weight, weights[gram]) * weights[gram] for gram, weight in said_weights.items() if gram in weights
        )
        total += shared / (said_norm * norm) if said_norm and norm else shared
    return total / LONGEST_GRAM * math.exp(-((said.pairs - wanted.pairs) ** 2) / (2 * _SIGMA**2))
