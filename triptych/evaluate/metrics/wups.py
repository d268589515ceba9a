"""WUPS: how near the words of a short answer are to those of the reference, by WordNet. Open-ended NExT-QA's score.

Source: Malinowski & Fritz 2014 (arXiv:1410.0210), in the form of NExT-QA's own code (Xiao et al. 2021): of each text
the product over its words of the nearest word's similarity in the other one, and the lesser of the two products. Words
are base forms without stop words; a similarity below the threshold counts a tenth. Quirk that is kept: a word that
nothing in the other text is near to is left out of the product, so an unknown word costs nothing.

Not as published: words are brought to their base form by WordNet alone, where that code also runs a tagger.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from triptych.evaluate.metrics.wordnet import WordNet, open_wordnet

_TENTH = 0.1
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_STOP_WORDS = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
it its itself they them their theirs themselves what which who whom this that these those when where why how
am is are was were be been being have has had having do does did doing can will just should now
a an the and but if or because as until while than so too very only own such some any all each most other
to from of at for with about into through during again further then here there
s t d m o y ll re ve ma don ain aren couldn didn doesn hadn hasn haven isn mightn mustn needn shan shouldn wasn weren
won wouldn
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that NExT-QA leaves out. Words of place, number and denial ("in", "both", "not") stay: they are answers."""


def wups(reference: str, reply: str, *, threshold: float = 0.0, net: WordNet | None = None) -> float:
    """Return the score of a reply: 0 to 1.

    Args:
        reference: the right answer.
        reply: the whole reply.
        threshold: a similarity below it counts a tenth; papers print 0 and 0.9.
        net: WordNet; None: from where it is kept.

    Raises:
        ConfigError: WordNet is needed and not there. Equal texts, and empty ones, need none.
    """
    wanted, said = words(reference), words(reply)
    if not wanted or not said or wanted == said:
        return float(wanted == said and bool(wanted))
    net = net or open_wordnet()
    first, second = content(wanted, net), content(said, net)
    return min(_product(second, first, net, threshold), _product(first, second, net, threshold))


def same_words(reference: str, reply: str, *, net: WordNet | None = None) -> bool:
    """Return whether two texts have the same base forms in the same order, stop words aside. Raises ConfigError.

    It is what NExT-QA asks of counts and of yes and no.
    """
    wanted, said = words(reference), words(reply)
    if wanted == said or not said:
        return wanted == said
    net = net or open_wordnet()
    return content(wanted, net) == content(said, net)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; of "don't" the parts, which are stop words both."""
    return _WORD.findall(text.lower().replace("</s>", " "))


def content(spoken: Sequence[str], net: WordNet) -> list[str]:
    """Return base forms without stop words, in order."""
    forms = (word if word in STOP_WORDS else net.base_form(word) for word in spoken)
    return [form for form in forms if form not in STOP_WORDS]


def _product(spoken: Sequence[str], others: Sequence[str], net: WordNet, threshold: float) -> float:
    nearest = [
        max((_weighed(net.similarity(word, other), threshold) for other in others), default=0.0) for word in spoken
    ]
    near = [similarity for similarity in nearest if similarity > 0]
    return math.prod(near) if near else 0.0


def _weighed(similarity: float, threshold: float) -> float:
    return similarity * (_TENTH if similarity < threshold else 1)
