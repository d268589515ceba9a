"""coref: a teacher is asked for questions that name an image by its number or place: "image 2", "the second image".

Source of the skill: co-reference in Mantis-Instruct (arXiv:2405.01483), there made by merging single-image
conversations. The words of the request are ``prompts/kit_coref.md``; what is shared with the other asking stages is in
``kit/written_questions``.
"""

from __future__ import annotations

from triptych.generate.kit.written_questions import asking_stage

STAGE = asking_stage(
    skill="co-reference",
    prompt="kit_coref",
    about="questions that name an image by its number or place: 'image 2', 'the second image'",
)
