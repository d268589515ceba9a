"""The command ``triptych``, and ``python -m triptych``: Ctrl-C ends it quietly while it is still loading, too."""

from __future__ import annotations

import sys


def start() -> None:
    """Run the command line (``cli/main.py``); exit with 130 after Ctrl-C."""
    try:
        from triptych.cli.main import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    start()
