"""Mutates real files through admission and engine: `make fuzz`, or `python -m tests.fuzz SECONDS [SEED]`.

Each file is damaged in a way that a seed decides, and goes through the engine under a time and a memory limit of the
operating system. Allowed ends: renditions, or an error of ours. Everything else is printed with its seed and kept in
`.fuzz/`, and the exit code is 1.
"""

from __future__ import annotations

import faulthandler
import os
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from image_pipeline.errors import RejectedError
from image_pipeline.imaging import engine
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.recipes import Recipe
from tests.corpus import BAD, GOOD, noisy

SLOWEST_SECONDS = 2.0
MOST_MEMORY = 600_000_000
LIMITS = Limits(max_pixels=20_000_000, memory_bytes=300_000_000)
RECIPES = (Recipe("small", 64, 64), Recipe("cover", 40, 40, fit="cover", formats=("png", "webp")))


def sources() -> list[bytes]:
    """Files of every kind, good and bad."""
    files = [case.make() for case in (*GOOD, *BAD)]
    return [data for data in files if 0 < len(data) < 300_000] + [
        noisy(name) for name in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "BMP")
    ]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Damage as it happens, and as an attacker would do it: flips, cuts, doubles, extreme numbers, swapped parts."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        # Most of the meaning is in the head.
        at = chance.randrange(min(len(out), chance.choice((64, 600, len(out))))) if out else 0
        kind = chance.randrange(6)
        if kind == 0:
            out[at : at + 1] = bytes((chance.randrange(256),))
        elif kind == 1:
            out[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\1"))
        elif kind == 2:
            del out[at : at + chance.choice((1, 2, 8, 500))]
        elif kind == 3:
            out[at:at] = out[at : at + chance.choice((1, 4, 64, 4000))]
        elif kind == 4:
            out[at:at] = chance.randbytes(chance.choice((1, 2, 16)))
        else:
            del out[max(1, at) :]
    return bytes(out)


def run(data: bytes) -> str:
    """How it ended: 'rendered' or the name of an error of ours.

    Raises:
        AssertionError: an end that is not allowed.
    """
    started = time.perf_counter()
    try:
        rendered = engine.render(data, RECIPES, LIMITS)
        end = "rendered"
        for rendition in rendered.renditions:
            assert rendition.data, "an empty rendition"
            assert max(rendition.width, rendition.height) <= 64, "a rendition outside its box"
    except RejectedError as error:
        end = type(error).__name__ if error.message and error.hint else "no words"
    assert end != "no words", "an error without message or hint"
    seconds = time.perf_counter() - started
    assert seconds < SLOWEST_SECONDS, f"took {seconds:.1f} s"
    return end


def fuzz(seconds: float, seed: int, most: int = sys.maxsize) -> tuple[Counter[str], list[tuple[int, str, bytes]]]:
    """Run until the time is over; how often it ended how, and (seed, what went wrong, data) of what must not be."""
    files, ends, wrong = sources(), Counter[str](), []
    until = time.monotonic() + seconds
    while time.monotonic() < until and sum(ends.values()) < most:
        chance = random.Random(seed)
        data = mutated(chance.choice(files), chance)
        try:
            ends[run(data)] += 1
        except Exception as error:
            ends["WRONG"] += 1
            wrong.append((seed, f"{type(error).__name__}: {error}", data))
        seed += 1
    return ends, wrong


def main() -> int:
    """Fuzz from the command line."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**9)
    resource.setrlimit(resource.RLIMIT_AS, (4 * MOST_MEMORY, 4 * MOST_MEMORY))
    faulthandler.enable(os.fdopen(os.dup(2), "w"))  # a decoder that crashes takes the process with it: say where
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes its complaints past Python
    print(f"files from seed {seed} on", flush=True)
    ends, wrong = fuzz(seconds, seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"{sum(ends.values())} files, peak memory {peak / 1e6:.0f} MB")
    for end, count in ends.most_common():
        print(f"  {count:6} {end}")
    for number, what, data in wrong:
        Path(".fuzz").mkdir(exist_ok=True)
        path = Path(".fuzz") / f"{number}.bin"
        path.write_bytes(data)
        print(f"seed {number}: {what}; kept as {path}")
    if peak > MOST_MEMORY:
        print(f"more than {MOST_MEMORY / 1e6:.0f} MB of memory")
    return 1 if wrong or peak > MOST_MEMORY else 0


if __name__ == "__main__":
    sys.exit(main())
