"""`python -m cli`: see `cli.commands`."""

import sys

if __name__ == "__main__":
    from cli.commands import main

    sys.exit(main())
