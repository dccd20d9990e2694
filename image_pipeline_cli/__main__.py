"""The entry point of the command line; the commands are in `image_pipeline_cli.commands`."""

import sys

from image_pipeline_cli.interruption import INTERRUPTED, leave_on_ctrl_c, raise_on_ctrl_c


def main() -> int:
    """Run the command that the arguments name.

    Returns:
        The exit code.
    """
    leave_on_ctrl_c()
    from image_pipeline_cli.commands import main as run

    try:
        raise_on_ctrl_c()
        return run()
    except KeyboardInterrupt:  # before the command started
        return INTERRUPTED
    finally:
        leave_on_ctrl_c()


if __name__ == "__main__":
    leave_on_ctrl_c()
    from pathlib import Path

    # On AWS the core is a layer; a clone imports it from its source folder.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "core"))
    sys.exit(main())
