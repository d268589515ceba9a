"""``triptych recipe``: look at a recipe before it is trained: what it says, what it lacks, what it will cost.

Not the commands themselves: each file ``cli/groups/recipe_*.py`` has some, in its ``COMMANDS``.
"""

from __future__ import annotations

from triptych.cli.groups.command_group import command_group

GROUP = command_group(
    "recipe",
    help="Show, compare, check and estimate recipes.",
    order=("show", "diff", "check", "plan"),
)
