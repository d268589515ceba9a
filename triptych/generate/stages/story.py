"""story: a teacher tells one story over all images, in their order; the question asks for it.

Sources of the task: VIST (Huang et al. 2016), AESOP, PororoSV as in M4-Instruct (arXiv:2407.07895). Not questions with
short answers: of the checks only those of words, the judge and the exchange of images say anything about a story.
"""

from __future__ import annotations

from triptych.generate.kit.written_questions import asking_stage

STAGE = asking_stage(
    skill="story",
    prompt="kit_story",
    questions=1,
    about="one story over all images in their order, with the question that asks for it",
)
