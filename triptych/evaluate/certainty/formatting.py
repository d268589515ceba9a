"""Shares, differences and p-values as people read them: percent, points, and as many digits as matter."""

from __future__ import annotations

from triptych.evaluate.certainty.statistics import Score


def percent(share: float, digits: int = 0) -> str:
    """Return a share in percent, without the sign.

    >>> percent(0.256), percent(0.256, 1)
    ('26', '25.6')
    """
    return f"{100 * share:.{digits}f}"


def percent_with_interval(score: Score, digits: int = 0) -> str:
    """Return a score in percent with its 95% interval behind it: ``60% (41 to 77)``."""
    return f"{percent(score.score, digits)}% ({percent(score.low, digits)} to {percent(score.high, digits)})"


def points(difference: float) -> str:
    """Return a difference of two shares in points, with its sign; none where it rounds to zero.

    >>> points(0.123), points(-0.0001)
    ('+12.3', '0.0')
    """
    shown = f"{100 * difference:+.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown.replace("-", "−")


def format_p(p: float) -> str:
    """Return what stands behind ``p``: ``= 0.032``, ``< 0.001``.

    >>> format_p(0.0321), format_p(0.4), format_p(0.0002)
    ('= 0.032', '= 0.40', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"
