"""What a reply supposes, asks for or hedges is no answer; what it says beside that is."""

from __future__ import annotations

import pytest

from triptych.evaluate.reading.choices import choose

PETS = ("the owl", "the fox", "the red fox")


@pytest.mark.parametrize(
    ("reply", "position"),
    [
        ("If it were an owl, the answer would be A, but the answer is B.", 1),
        ("If the lamp were lit, the answer would be A, but it is dark, so the answer is B.", 1),
        ("If it hooted, the answer would be A; it yelps, so the answer is B.", 1),
        ("If it hoots, the answer is A. However, it yelps, so the answer is B.", 1),
        ("If the lamp is lit, the answer is A, but it is dark, so the answer is C.", 2),
        ("If it hoots, the answer is A, and if it yelps, the answer is B.", None),
        ("If it hoots, so I am told, the answer is A, otherwise the answer is B.", None),
        ("If it hoots, it flies, so the answer is A. If it yelps, it runs, so the answer is B.", None),
        ("If the lamp is lit, the answer is A; when it is dark, the answer is B.", None),
        ("If it hoots, the answer is A, but if not, the answer is B.", None),
        ("If it hoots, the answer is A, but the answer is B if it yelps.", None),
        # what is not made out beside it takes nothing back
        ("If the tail is bushy, the answer is B. I cannot make out the ears.", 1),
        ("If the tail is bushy, the answer is B. I could not see its paws clearly.", 1),
        ("If the tail is bushy, the answer is B. I cannot tell.", None),
        ("If the tail is bushy, the answer is B. It is unclear whether it is.", None),
        ("If the tail is bushy, the answer is B. I am not sure.", None),
        ("If the tail is bushy, the answer is B. Without the image, this is impossible to say.", None),
    ],
)
def test_what_is_supposed_beside_an_answer_hides_none(reply: str, position: int | None) -> None:
    assert choose(PETS, reply).option == position


@pytest.mark.parametrize(
    "reply",
    [
        "If possible, please upload the picture with the fox.",
        "If needed, I can describe the fox.",
        "If more pictures are given, I can say whether it is the fox.",
        "If the picture were sharp, I could see the fox.",
        "If necessary, look at the fox again.",
        "If available, upload a picture of the fox.",
        "If anything, it might be the fox.",
        "If so, the fox is asleep.",
        "If a fox lives there, let me know about the fox.",
        "If this helps, provide the fox's picture.",
    ],
)
def test_a_request_or_a_hedge_with_a_condition_is_no_answer(reply: str) -> None:
    assert choose(PETS, reply).option is None
