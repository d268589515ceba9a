"""Two rings as SVG that stands in the page: the commonest verbs within, the nouns of each around them.

Not the counting (``verbs``). No library draws this with words along the rays and colours that follow day and night in
so few bytes. An arc is as wide as its count; a word is written where its arc has room for it, and every arc says its
count when pointed at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import cos, pi, sin

from markupsafe import Markup, escape

MOST_VERBS = 20
MOST_NOUNS = 4
SIZE = 480
RINGS = ((58.0, 138.0), (140.0, 228.0))
"""Radii of the verbs' ring and the nouns', in units of the drawing."""
LETTER = 12.0
"""Height of a word."""
LETTER_WIDTH = 6.4
COLOURS = 6
"""The page has so many: ``--w0`` and on."""
GAP = 0.008
"""Gap between two arcs, in radians."""


def draw_wheel(nouns: Mapping[str, Mapping[str, int]], *, title: str) -> Markup:
    """Return the drawing.

    Args:
        nouns: verb -> noun -> count; the noun "" is drawn as a gap.
        title: what it shows, for those who cannot see it.
    """
    verbs = Counter({verb: sum(counts.values()) for verb, counts in nouns.items()}).most_common(MOST_VERBS)
    whole = sum(count for _, count in verbs)
    arcs: list[Markup] = []
    start = -pi / 2
    for number, (verb, count) in enumerate(verbs):
        stop = start + 2 * pi * count / whole
        colour = f"var(--w{number % COLOURS})"
        arcs.append(_arc(verb, f"{verb}: {count:,}", RINGS[0], start, stop, colour, 0.6))
        at = start
        shown = Counter({noun: each for noun, each in nouns[verb].items() if noun}).most_common(MOST_NOUNS)
        for noun, each in shown:
            wide = 2 * pi * each / whole
            arcs.append(_arc(noun, f"{verb} {noun}: {each:,}", RINGS[1], at, at + wide, colour, 0.3))
            at += wide
        start = stop
    return Markup('<svg class="wheel" viewBox="0 0 {0} {0}" role="img" aria-label="{1}">{2}</svg>').format(
        SIZE, title, Markup("").join(arcs)
    )


def _arc(
    word: str, told: str, ring: tuple[float, float], start: float, stop: float, colour: str, opacity: float
) -> Markup:
    inner, outer = ring
    stop = min(stop, start + 2 * pi - 1e-4)
    gap = min(GAP, (stop - start) / 4)
    start, stop = start + gap / 2, stop - gap / 2
    wide = int(stop - start > pi)
    path = (
        f"M{_at(inner, start)} L{_at(outer, start)} A{outer:g} {outer:g} 0 {wide} 1 {_at(outer, stop)}"
        f" L{_at(inner, stop)} A{inner:g} {inner:g} 0 {wide} 0 {_at(inner, start)}Z"
    )
    middle, radius = (start + stop) / 2, (inner + outer) / 2
    label = Markup("")
    if (stop - start) * radius >= LETTER:
        room = int((outer - inner - 6) / LETTER_WIDTH)
        said = word if len(word) <= room else f"{word[: room - 1]}…"
        turn = middle * 180 / pi
        turn = turn + 180 if cos(middle) < 0 else turn
        label = Markup('<text transform="translate({}) rotate({:.1f})" dy=".35em">{}</text>').format(
            _at(radius, middle), turn, said
        )
    return Markup('<g><title>{}</title><path d="{}" fill="{}" fill-opacity="{:g}"/>{}</g>').format(
        escape(told), path, colour, opacity, label
    )


def _at(radius: float, angle: float) -> str:
    return f"{SIZE / 2 + radius * cos(angle):.1f} {SIZE / 2 + radius * sin(angle):.1f}"
