"""One file = one or more commands of a group, named GROUP_NAME; its ``COMMANDS`` are added by ``cli/GROUP.py``."""
