"""image_pipeline.imaging.memory"""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.corpus import png

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts private memory")

RENDER = """
import sys
from image_pipeline.errors import PipelineError
from image_pipeline.imaging import engine, memory
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.recipes import Recipe
from image_pipeline.settings import MEBIBYTE

Header.predicted_memory = lambda *_: 0
memory.limit(int(sys.argv[1]) * MEBIBYTE)
try:
    engine.render(sys.stdin.buffer.read(), [Recipe("small", 64, 64)], Limits())
except PipelineError as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def large_png() -> bytes:
    """An image whose pixels take 144 MB."""
    size = 6000, 6000
    return png(size, 8, 6, (b"\0" * (1 + 4 * size[0])) * size[1])


@pytest.mark.parametrize(("megabytes", "end"), [(180, "ImageTooLargeError"), (1769, "")])
def test_a_wrong_prediction_ends_as_a_rejection(large_png, megabytes, end):
    """An image that exceeds the memory of the function is rejected, and the process continues."""
    environment = {"PYTHONPATH": str(ROOT / "layers" / "core")}
    command = [sys.executable, "-c", RENDER, str(megabytes)]
    process = subprocess.run(command, input=large_png, capture_output=True, env=environment)
    assert (process.returncode, process.stdout.decode().strip()) == (0, end), process.stderr[-500:]


LIMIT = """
import resource
from image_pipeline.imaging import memory
from image_pipeline.settings import MEBIBYTE

memory.limit(1024 * MEBIBYTE)
print(resource.getrlimit(resource.RLIMIT_DATA)[0] // MEBIBYTE)
"""


def test_the_limit_leaves_memory_for_the_runtime():
    """Tens of megabytes remain for other processes and mapped files of the function."""
    environment = {"PYTHONPATH": str(ROOT / "layers" / "core")}
    process = subprocess.run([sys.executable, "-c", LIMIT], capture_output=True, env=environment, check=True)
    assert 1024 - 128 <= int(process.stdout) <= 1024 - 32
