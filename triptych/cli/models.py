"""``triptych models``: which released models there are, bringing one here, and what a folder is before it is opened.

Not the commands themselves: each file ``cli/groups/models_*.py`` has some, in its ``COMMANDS``.
"""

from __future__ import annotations

from triptych.cli.groups.command_group import command_group

GROUP = command_group(
    "models",
    help="Released models: list them, bring one here; say what a folder is, and whether it is whole.",
    order=("list", "info", "get", "check"),
)
