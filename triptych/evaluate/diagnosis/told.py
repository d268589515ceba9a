"""What is said of numbers of images, of the place of the deciding one and of the places of options, in sentences.

Not where it is said: the terminal (``diagnose``) and the page (``diagnose_page``) say the same.
"""

from __future__ import annotations

from triptych.core.log import counted
from triptych.evaluate.certainty.power import ALPHA
from triptych.evaluate.certainty.statistics import Score
from triptych.evaluate.diagnosis.findings import said_of_place
from triptych.evaluate.diagnosis.option_bias import OptionBias, option_name
from triptych.evaluate.diagnosis.places import Groups, Importance
from triptych.evaluate.saved.compare import tell_p

BY_IMAGES = "Number of images"
BY_PLACE = "Place of the deciding image"
IMPORTANCE = "Which image mattered: replies that changed without it"
OPTIONS = "Options: which place is chosen"


def said_by_images(groups: Groups) -> str:
    """Return whether the number of images matters."""
    if not groups.scores:
        return "No question got a reply."
    first, last = min(groups.scores), max(groups.scores)
    if first == last:
        return f"All questions have {counted(first, 'image')}: nothing to compare."
    evidence = (
        f"The score depends on the number of images ({_p(groups)})."
        if groups.p_holm < ALPHA
        else f"No evidence that the number of images matters ({_p(groups)})."
    )
    return (
        f"{evidence} With {counted(first, 'image')} it scores {_interval(groups.scores[first])}, with "
        f"{counted(last, 'image')} {_interval(groups.scores[last])}."
    )


def said_by_place(groups: Groups, known: str) -> str:
    """Return whether it matters where the deciding image stands. ``known``: how that image is."""
    if not groups.scores:
        return (
            "No question tells, nor did any reply show, which of its images decides, other than by an option whose "
            "place may be what it chooses."
        )
    n = sum(score.n for score in groups.scores.values())
    how = f"Of {counted(n, 'question')} it is known: {known}."
    if len(groups.scores) == 1:
        return f"{how} It always stands at place {next(iter(groups.scores))}."
    evidence = (
        f"The score depends on where it stands ({_p(groups)}, among questions with as many images)."
        if groups.p_holm < ALPHA
        else f"No evidence that it matters where it stands ({_p(groups)}, among questions with as many images)."
    )
    return f"{evidence} {how}"


def said_of_importance(told: Importance) -> str:
    """Return what leaving out one image at a time did."""
    said = (
        f"One image at a time was emptied in {counted(told.questions, 'question')}. In {_percent(told.none)}% no "
        f"single image changed the reply, in {_percent(told.one)}% exactly one did."
    )
    if told.deciding is not None and told.others is not None:
        said += (
            f" Without the image that the question is about the reply changed in {_interval(told.deciding)}, without "
            f"another one in {_interval(told.others)}."
        )
    return said


def said_of_options(bias: OptionBias) -> str:
    """Return whether it chooses an option or a place."""
    leaning = f"No evidence that it prefers a place ({_p(bias)})."
    if bias.p_holm < ALPHA:
        off = [
            place
            for place, share in bias.expected.items()
            if not bias.chosen[place].low <= share <= bias.chosen[place].high
        ]
        most = max(bias.surplus, key=lambda place: abs(bias.surplus[place]))
        told = [said_of_place(option_name(at), bias.shares[at], bias.expected[at]) for at in off or [most]]
        leaning = f"It leans on a place ({_p(bias)}): {'; '.join(told)}."
    said = (
        f"{counted(bias.questions, 'question')} in {bias.orders} orders. {leaning} It chooses the same option in every "
        f"order in {_interval(bias.consistent)} of the questions, and is right in every order in "
        f"{_interval(bias.circular)} (guesses: {_percent(bias.circular.chance)}%)."
    )
    if len(bias.by_place.scores) > 1:
        said += (
            f" The place of the right option matters for the score ({_p(bias.by_place)})."
            if bias.by_place.p_holm < ALPHA
            else f" No evidence that the place of the right option matters for the score ({_p(bias.by_place)})."
        )
    return said


def _p(of: Groups | OptionBias) -> str:
    return f"corrected p {tell_p(of.p_holm)}"


def _interval(score: Score) -> str:
    return f"{_percent(score.score)}% ({_percent(score.low)} to {_percent(score.high)})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
