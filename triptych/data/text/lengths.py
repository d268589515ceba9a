"""How many tokens each conversation has, without making them: exactly as many as ``render`` makes, and faster.

Not what an image costs: that is handed in, a function of its size. Nothing is remembered here of a conversation, only
of words (``data/text/tokenise.py``). For lengths of many conversations before the first is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

from triptych.core.records import Example, ImageRef
from triptych.data.template import RENDERED_AT_ONCE, Template
from triptych.data.text.pieces import laid_for, pieces_of
from triptych.data.text.spelling import spelling_of
from triptych.data.text.tokenise import Run, tokeniser_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def count_tokens(
    examples: Iterable[Example],
    template: Template,
    *,
    tokenizer: PreTrainedTokenizerBase,
    count_image_tokens: Callable[[ImageRef], int],
) -> list[int]:
    """Return the number of tokens of each conversation, in order; its images at their full cost.

    Raises:
        DataError: as ``render``; names the first conversation that cannot be rendered.
        ModelError: the tokenizer lacks the template's stop token.
    """
    spelling, tokeniser = spelling_of(template, tokenizer), tokeniser_of(tokenizer)
    counts: list[int] = []
    rows = iter(examples)
    while chunk := list(islice(rows, RENDERED_AT_ONCE)):
        runs: list[Run] = []
        owners: list[int] = []
        for example in chunk:
            tokens = 0
            for what, _ in laid_for(tokeniser, pieces_of(example, template, spelling), template):
                if isinstance(what, Run):
                    runs.append(what)
                    owners.append(len(counts))
                elif isinstance(what, int):
                    tokens += 1
                elif isinstance(what, ImageRef):
                    tokens += count_image_tokens(what)
            counts.append(tokens)
        for owner, count in zip(owners, tokeniser.counts(runs), strict=True):
            counts[owner] += count
    return counts
