"""compare: a teacher is asked for what two or more images have in common, and how they differ.

Sources of the task: Spot-the-Diff, Birds-to-Words, CoInstruct, DreamSim in Mantis-Instruct (arXiv:2405.01483). The
words of the request are ``prompts/kit_compare.md``; what is shared with the other asking stages is in
``kit/written_questions``.
"""

from __future__ import annotations

from triptych.generate.kit.written_questions import asking_stage

STAGE = asking_stage(
    skill="comparison",
    prompt="kit_compare",
    about="what two or more images have in common, and how they differ",
)
