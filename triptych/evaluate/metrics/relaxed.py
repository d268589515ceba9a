"""Relaxed accuracy: a number may be 5% off, words must be the same. The measure of ChartQA and PlotQA.

Source: Methani et al. 2020; Masry et al. 2022 (arXiv:2203.10244), section 5.1, in the reading that evaluation kits
share: "12%" is 0.12, and a reference of 0 is compared as words. Not as there: what stands around a text in spaces or
line ends does not count, and "nan" and "inf" are words.
"""

from __future__ import annotations

import math


def relaxed(reference: str, reply: str, *, tolerance: float = 0.05) -> float:
    """Return whether the reply is right: 1 or 0.

    Args:
        reference: a number, with or without a percent sign, or words.
        reply: the whole reply.
        tolerance: largest difference that is accepted, as a share of the reference.

    >>> relaxed("100", "104"), relaxed("100", "106"), relaxed("Yes", "yes")
    (1.0, 0.0, 1.0)
    """
    wanted, said = _number(reference), _number(reply)
    if wanted and said is not None:
        return float(abs(said - wanted) / abs(wanted) <= tolerance)
    return float(reference.strip().lower() == reply.strip().lower())


def _number(text: str) -> float | None:
    plain = text.strip()
    try:
        number = float(plain.rstrip("%")) / 100 if plain.endswith("%") else float(plain)
    except ValueError:
        return None
    return number if math.isfinite(number) else None  # "nan" and "inf" are words
