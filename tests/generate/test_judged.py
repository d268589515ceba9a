"""A judge's score is what it says, on the scale that it was asked for; where that is in doubt there is none."""

from __future__ import annotations

import time

import pytest

from triptych.generate.stages.judged import score_in


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        *(('{"score": 5, "reason": "fine"}', 5), ('{"score": "4"}', 4), ('{"Score": 4.0}', 4), ('[{"score": 3}]', 3)),
        *(('```json\n{"score": 4}\n```', 4), ('{"verdict": {"score": 3}}', 3), ('{"score": 4, "reason": "it is', 4)),
        ('{"reason": "It would deserve score 5 if it needed both images.", "score": 1}', 1),
        *(("4", 4), ("**4**", 4), ("4/5", 4), ("4 out of 5", 4), ("4: right and clear", 4), ("It is clear.\n\n3", 3)),
        *(("Score: 2/5, odd", 2), ("**Score:** 4", 4), ("Score: **4**", 4), ("Score 1-5: 4", 4), ("Score (1-5): 4", 4)),
        *(("Images [1] and [2] differ. Score: 4", 4), ("2 images are needed. Score: 5", 5), ("Score 3", 3)),
        *(("5 would be too generous; score: 2", 2), ("Score: 4, as 2 of the images are needed", 4)),
        *(("4 because both", 4), ("4 stars", 4), ("4 stars out of 5", 4), ("4分", 4), ("Score: 4 to be fair", 4)),
        *(("Score: (4)", 4), ("Score: [4]", 4), ("Score (out of 5): 4", 4), ("Score：4", 4), ("Score（1-5）：4", 4)),
        *(('{"analysis": "ok"}\nScore: 4', 4), ('{"clarity": {"score": 5}, "score": 4}', 4)),
        *(('{"score": "4."}', 4), ('{"score": "4 (good)"}', 4), ('{"score": "4/5"}', 4), ('{"score": "**4**"}', 4)),
    ],
)
def test_a_score_is_read_however_it_is_said(reply: str, score: int) -> None:
    assert score_in(reply) == score


@pytest.mark.parametrize(
    "reply",
    [
        *("5/10", "Score: 5/10", "4 out of 10", "Score: 4 of 10", "Score: 4%", "8/10", "Score: 80", '{"score": 8}'),
        *("4.5", "4,5", "-3", "Score: 4.5", '{"score": 4.9}', '{"score": "4.5"}', '{"score": "5/10"}'),
        *("Score: 2 or 3", "Score: 4-5", "Clarity score: 5\nScore: 2", '{"score": 5}\n{"score": 2}'),
        *('{"score": 4', '{"score": true}', '{"score": null}', '{"clarity score": 5, "rating": 2}', "", "five"),
        *("3 of the images are needed, so I give it a 5", "Score 5 would need both images", "3 dogs are seen"),
        *("1. The question is clear.\n2. The answer is right.", "Score: 5 if it needed both images"),
        *("Score: 2 to 3", "Score: 5 stars would need both images", "4 stars out of 10", "5 stars would be too many"),
        *('{"score": "4 or 5"}', '{"clarity": {"score": 5}, "depth": {"score": 4}}', '{"x": 1, "y score": 4', "4½"),
    ],
)
def test_a_score_that_nobody_gave_is_none(reply: str) -> None:
    assert score_in(reply) is None


def test_a_long_reply_without_a_score_takes_no_time() -> None:
    begin = time.process_time()
    assert [score_in(each * 5000) for each in (" ", "*", "score", "score ", "Score \n", "4 stars ")] == [None] * 6
    assert time.process_time() - begin < 2
