"""What was said and what it took: one reply, what its questions show of a teacher, and the sum of many.

Not what may be spent (``spend``), nor where replies lie (``replies``).
"""

from __future__ import annotations

from dataclasses import dataclass

from triptych.infer.endpoint.limits import Cost

LONGEST_TOKEN_BYTES = 16
"""Over a whole question, no tokenizer has more bytes of words for a token on average."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the questions to a teacher have shown of what it takes, in tokens."""

    added: int | None = None
    """Most that the server adds to every question; None: nothing is known."""
    over_in: int = 0
    """Most that a question cost beyond what was thought the most, as where its images cost more."""
    over_out: int = 0
    """Most that a reply cost beyond what it may have, as where hidden thoughts are not counted."""

    def after(self, most: Cost, spent: Cost) -> Learnt:
        """Return what is known after one more question, which cost ``spent`` of at most ``most``."""
        added = max(0, spent.tokens_in - most.tokens_in // LONGEST_TOKEN_BYTES)
        return Learnt(
            added if self.added is None else min(added, self.added),
            max(self.over_in, spent.tokens_in - most.tokens_in),
            max(self.over_out, spent.tokens_out - most.tokens_out),
        )

    @property
    def numbers(self) -> tuple[int | None, int, int]:
        """The three, to be written down."""
        return self.added, self.over_in, self.over_out

    def and_of(self, other: Learnt) -> Learnt:
        """Return what both together show."""
        known = [each for each in (self.added, other.added) if each is not None]
        return Learnt(
            min(known) if known else None,
            max(self.over_in, other.over_in),
            max(self.over_out, other.over_out),
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What a teacher said, and what it took."""

    text: str
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    learnt: Learnt = Learnt()
    """What is known by then of what questions to this teacher take."""
    cut: bool = False
    """Whether it ran into its token limit."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What one teacher has taken so far, over all starts of a run."""

    replies: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    """Time that its replies took, added up, in seconds."""
    lost_tokens: int = 0
    """Most tokens that requests without a reply may have cost."""
    lost_usd: float = 0.0
    learnt: Learnt = Learnt()

    @property
    def tokens(self) -> int:
        """All tokens, and those that may have been."""
        return self.tokens_in + self.tokens_out + self.lost_tokens

    def __add__(self, other: Totals) -> Totals:
        """Return both together."""
        return Totals(
            self.replies + other.replies,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.usd + other.usd,
            self.seconds + other.seconds,
            self.lost_tokens + other.lost_tokens,
            self.lost_usd + other.lost_usd,
            self.learnt.and_of(other.learnt),
        )

    @property
    def all_usd(self) -> float:
        """All money, and what may have been."""
        return self.usd + self.lost_usd
