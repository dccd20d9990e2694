"""`python -m local`: see `local.cli`."""

import sys
from pathlib import Path

# The core is a layer; on this machine it is found where it is written.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "core"))

if __name__ == "__main__":
    from local.cli import main

    sys.exit(main())
