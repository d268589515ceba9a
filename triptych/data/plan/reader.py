"""Row number -> tokens: the rows of all sources of a stage, read, sized where that counts, brought within the budget.

Not decoding: ``step_loader`` reads pixels. Free of torch, so that it goes to worker processes as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from triptych.core.records import Example
from triptych.data.format import Refused, refusal
from triptych.data.plan.budget import OVER_BUDGET, Budget, costs_of, fit
from triptych.data.plan.corpora import Corpora, always_needs_sizes, needs_sizes_where_cut
from triptych.data.plan.costs import Fixed
from triptych.data.plan.rendering import Rendering, encode
from triptych.data.template import Encoded


@dataclass(frozen=True, slots=True)
class Read:
    """A row as tokens, or why it cannot be used."""

    row: Encoded | Refused
    act: str = ""
    """``shrunk`` or ``shortened``, where the budget changed it."""
    message: str = ""
    """What was done to it."""


class Reader:
    """Reads rows by number."""

    def __init__(
        self,
        corpora: Corpora,
        rendering: Rendering,
        *,
        budgets: Sequence[Budget | None] = (),
        shorten: bool = True,
        look: bool = False,
    ) -> None:
        """Take what rows are read with.

        Args:
            corpora: the sources.
            rendering: how rows become tokens.
            budgets: what rows are brought within, by source; None: they are left as they are. Empty: all are.
            shorten: whether early turns may go for the budget; else such a row is refused.
            look: look at every image's header, also where its size does not count.
        """
        self.corpora = corpora
        self.rendering = rendering
        self.budgets = tuple(budgets) or (None,) * len(corpora.sources)
        self.shorten = shorten
        self._asks = always_needs_sizes if look or any(self.budgets) or rendering.asks_sizes else needs_sizes_where_cut

    @property
    def digest(self) -> str:
        """Tell this way from the rows of all sources to tokens from others."""
        return hashlib.sha256(repr((self.rendering.digest, self.budgets, self.shorten)).encode()).hexdigest()

    def digest_of(self, source: int) -> str:
        """Tell this way from the rows of one source, by its number, to tokens from others, beside whatever it stands.

        Whether the sizes of its images are looked up counts, as a row is refused where one is missing.
        """
        told = (self.rendering.digest, self.budgets[source], self.shorten, self._asks is always_needs_sizes)
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def read(self, row: int) -> Read:
        """Return the row as tokens, or its refusal."""
        return self._read(row, self.corpora.example(row, self._asks))

    def read_many(self, rows: Sequence[int]) -> list[Read]:
        """Return ``read`` of each row; the headers of their images are read together."""
        return [
            self._read(row, example) for row, example in zip(rows, self.corpora.examples(rows, self._asks), strict=True)
        ]

    def portable(self) -> Reader:
        """Return the same without transformers, for another process."""
        return Reader(
            self.corpora,
            self.rendering.portable(),
            budgets=self.budgets,
            shorten=self.shorten,
            look=self._asks is always_needs_sizes,
        )

    def _read(self, row: int, example: Example | Refused) -> Read:
        if isinstance(example, Refused):
            return Read(example)
        budget = self.budgets[self.corpora.place(row)[0]]
        if budget is None:
            return Read(encode(example, self.rendering))
        fitted = fit(
            example,
            budget,
            cost=self.rendering.cost,
            count_text=self._count_text,
            numbered=self.rendering.numbers_images,
            keeps_words=self.rendering.keeps_words,
        )
        if isinstance(fitted, Refused):
            return Read(fitted)
        message = "; ".join(str(act["message"]) for act in fitted.acts)
        if fitted.outcome == "shortened" and not self.shorten:
            advice = f"it would fit only so: {message}. Raise the budget, or give it `overlong: shorten`."
            return Read(refusal(example, OVER_BUDGET, message=advice))
        encoded = encode(fitted.example, self.rendering)
        if isinstance(encoded, Refused) or fitted.outcome == "used":
            return Read(encoded)
        return Read(encoded, fitted.outcome, message)

    def _count_text(self, example: Example) -> int | None:
        """Return the tokens of all but the images; None: it cannot be rendered."""
        cost = self.rendering.cost
        short = Fixed(1, frame=None if cost.frame is None else 1, joins=cost.joins)
        encoded = encode(example, replace(self.rendering, cost=short))
        if isinstance(encoded, Refused):
            return None
        return len(encoded.ids) - sum(each.span((1, 1)) for each in costs_of(example, short))
