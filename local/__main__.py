"""`python -m local`: see `local.cli`."""

import sys

from image_pipeline_cli.interruption import leave_on_ctrl_c

if __name__ == "__main__":
    leave_on_ctrl_c()
    from pathlib import Path

    # The core is a layer; on this machine it is found where it is written.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "core"))
    from local.cli import main

    code = main()
    leave_on_ctrl_c()
    sys.exit(code)
