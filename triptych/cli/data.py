"""``triptych data``: look at data before anything is learnt from it, and make other data of it.

Not the commands themselves: each file ``cli/groups/data_*.py`` has some, in its ``COMMANDS``.
"""

from __future__ import annotations

from triptych.cli.groups.command_group import command_group

GROUP = command_group(
    "data",
    help="Get, check, show, count and convert conversations.",
    order=(
        "get",
        "import",
        "check",
        "stats",
        "show",
        "convert",
        "transform",
        "split",
        "render",
        "plan",
        "decontaminate",
    ),
)
