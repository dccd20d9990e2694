"""`python -m cli`: see `cli.commands`."""

import sys
from pathlib import Path

# The core is a layer; here it is found where it is written.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "core"))

if __name__ == "__main__":
    try:
        from cli.commands import main

        sys.exit(main())
    except KeyboardInterrupt:  # before the command has begun
        sys.exit(130)
