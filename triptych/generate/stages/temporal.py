"""temporal: a teacher is asked for what changed, in which order, before and after: images as moments.

Sources of the tasks: NExT-QA, STAR, VIST in Mantis-Instruct; ordering as in Mementos. The words of the request are
``prompts/kit_temporal.md``; what is shared with the other asking stages is in ``kit/written_questions``.
"""

from __future__ import annotations

from triptych.generate.kit.written_questions import asking_stage

STAGE = asking_stage(
    skill="temporal",
    prompt="kit_temporal",
    about="what changed, in which order, before and after: images as moments",
)
