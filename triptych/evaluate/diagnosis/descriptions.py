"""Sentences on a diagnosis: number of images, place of the deciding image, images left out, places of options.

The terminal (``outcome``) and the page (``page/diagnose_page``) print the same sentences.
"""

from __future__ import annotations

from triptych.core.log import counted
from triptych.evaluate.certainty.formatting import format_p, percent, percent_with_interval
from triptych.evaluate.certainty.power import ALPHA
from triptych.evaluate.diagnosis.findings import describe_place
from triptych.evaluate.diagnosis.option_bias import OptionBias, option_name
from triptych.evaluate.diagnosis.places import Groups, Importance

BY_IMAGES = "Number of images"
BY_PLACE = "Place of the deciding image"
IMPORTANCE = "Which image mattered: replies that changed without it"
OPTIONS = "Options: which place is chosen"


def describe_by_images(groups: Groups) -> str:
    """Return whether the score depends on the number of images."""
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
        f"{evidence} With {counted(first, 'image')} it scores {percent_with_interval(groups.scores[first])}, with "
        f"{counted(last, 'image')} {percent_with_interval(groups.scores[last])}."
    )


def describe_by_place(groups: Groups, known: str) -> str:
    """Return whether the score depends on the place of the deciding image.

    Args:
        groups: scores by that place, from 1.
        known: how the deciding image is known.
    """
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


def describe_importance(importance: Importance) -> str:
    """Return what leaving out one image at a time did."""
    text = (
        f"One image at a time was emptied in {counted(importance.questions, 'question')}. In "
        f"{percent(importance.none)}% no single image changed the reply, in {percent(importance.one)}% exactly one did."
    )
    if importance.deciding is not None and importance.others is not None:
        own, others = percent_with_interval(importance.deciding), percent_with_interval(importance.others)
        text += (
            f" Without the image that the question is about the reply changed in {own}, without another one in"
            f" {others}."
        )
    return text


def describe_options(bias: OptionBias) -> str:
    """Return whether the model chooses an option by what it says or by its place."""
    leaning = f"No evidence that it prefers a place ({_p(bias)})."
    if bias.p_holm < ALPHA:
        off = [
            place
            for place, share in bias.expected.items()
            if not bias.chosen[place].low <= share <= bias.chosen[place].high
        ]
        most = max(bias.surplus, key=lambda place: abs(bias.surplus[place]))
        places = [describe_place(option_name(at), bias.shares[at], right=bias.expected[at]) for at in off or [most]]
        leaning = f"It leans on a place ({_p(bias)}): {'; '.join(places)}."
    text = (
        f"{counted(bias.questions, 'question')} in {bias.orders} orders. {leaning} It chooses the same option in every "
        f"order in {percent_with_interval(bias.consistent)} of the questions, and is right in every order in "
        f"{percent_with_interval(bias.circular)} (guesses: {percent(bias.circular.chance)}%)."
    )
    if len(bias.by_place.scores) > 1:
        text += (
            f" The place of the right option matters for the score ({_p(bias.by_place)})."
            if bias.by_place.p_holm < ALPHA
            else f" No evidence that the place of the right option matters for the score ({_p(bias.by_place)})."
        )
    return text


def _p(tested: Groups | OptionBias) -> str:
    return f"corrected p {format_p(tested.p_holm)}"
