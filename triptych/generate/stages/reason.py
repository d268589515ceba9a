"""reason: a teacher is asked for puzzles: odd one out, counting over images, rules, charts read together.

Sources of the tasks: NLVR2, IconQA, RAVEN, VISION and text-rich VQA in Mantis-Instruct and M4-Instruct. The words of
the request are ``prompts/kit_reason.md``; what is shared with the other asking stages is in ``kit/written_questions``.
"""

from __future__ import annotations

from triptych.generate.kit.written_questions import asking_stage

STAGE = asking_stage(
    skill="reasoning",
    prompt="kit_reason",
    about="puzzles: odd one out, counting over images, rules that images follow, charts read together",
)
