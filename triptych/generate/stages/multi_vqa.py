"""multi_vqa: a teacher is asked for questions that need at least two of the images, of any sort.

Source: Multi-VQA of Mantis-Instruct (arXiv:2405.01483): captions of several images, a strong language model, questions
over at least two of them. The words of the request are ``prompts/kit_multi_vqa.md``; what is shared with the other
asking stages is in ``kit/written_questions``.
"""

from __future__ import annotations

from triptych.generate.kit.written_questions import asking_stage

STAGE = asking_stage(
    skill="reasoning",
    prompt="kit_multi_vqa",
    about="questions that need at least two of the images, of any sort",
)
