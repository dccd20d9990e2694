"""The entry point of `python -m local`; the commands are in `local.cli`."""

import sys

from image_pipeline_cli.interruption import leave_on_ctrl_c

if __name__ == "__main__":
    leave_on_ctrl_c()
    from pathlib import Path

    # On AWS the core is a layer; a clone imports it from its source folder.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "core"))
    from local.cli import main

    code = main()
    leave_on_ctrl_c()
    sys.exit(code)
