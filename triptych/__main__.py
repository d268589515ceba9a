"""``python -m triptych``: the command line, where no script is installed."""

from triptych.cli.main import main

if __name__ == "__main__":
    main()
