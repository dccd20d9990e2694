"""Every patch of moto, and nothing else. Each module has `install`, and a test that fails when moto moves.

The Step Functions engine needs one enumeration of AWS Batch. The package of Batch imports EC2, which takes a second of
CPU. So this package replaces it by one that imports nothing, before any module here imports the engine.
"""

import sys
from pathlib import Path
from types import ModuleType

import moto

if "moto.batch" not in sys.modules:
    _batch = ModuleType("moto.batch")
    _batch.__path__ = [str(Path(moto.__file__).with_name("batch"))]
    sys.modules["moto.batch"] = _batch
