"""``triptych generate``: make instruction data: annotations and images in, checked multi-image conversations out.

Not the commands themselves: each file ``cli/groups/generate_*.py`` has some, in its ``COMMANDS``.
"""

from __future__ import annotations

from triptych.cli.groups.command_group import command_group

GROUP = command_group(
    "generate",
    help="Make instruction data with teachers, and check it.",
    order=("run", "review", "merge", "report", "list"),
)
