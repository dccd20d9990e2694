"""Only locked packages are installed: each by version and hash, with all its dependencies."""

import json
import re
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

LAYER_LOCKS = ["layers/vendor/requirements.txt", "layers/vips/requirements.txt", "layers/simd/requirements.txt"]
LOCKS = [
    *LAYER_LOCKS,
    "requirements-dev.txt",
    "requirements-audit.txt",
    "requirements-lock.txt",
    "bench/engine/requirements.txt",
]
NPM_LOCK = "bench/engine/package-lock.json"

# https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers
LAMBDA = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}
THIS_MACHINE: dict[str, str] = {}


@dataclass(frozen=True)
class Pin:
    """A package of a lock file."""

    requirement: Requirement
    hashes: list[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        (specifier,) = self.requirement.specifier
        return specifier.version


def read_lock(path: str) -> list[Pin]:
    """The packages of a lock file; any other line, such as an option, is an error."""
    lines = (ROOT / path).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    parts = [line.split(" --hash=") for line in lines]
    return [Pin(Requirement(requirement), [text.strip() for text in hashes]) for requirement, *hashes in parts]


def read_input(path: Path) -> list[Requirement]:
    """The requirements of an input file, including those of files behind `-r`."""
    requirements = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text.startswith("-r "):
            requirements += read_input(path.parent / text.removeprefix("-r "))
        elif text and not text.startswith("-c "):
            requirements.append(Requirement(text))
    return requirements


def input_of(lock: str) -> list[Requirement]:
    return read_input((ROOT / lock).with_suffix(".in"))


def applies(requirement: Requirement, environment: dict[str, str], extras: set[str]) -> bool:
    """Whether a requirement applies in an environment to a package that is required with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in {"", *extras})


def tracked_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split("\0")


def test_every_lock_is_checked_here():
    """A new lock file must be added to LOCKS, and each has an input file of the same name."""
    names = [name for name in tracked_files() if re.search(r"requirements[^/]*\.txt$|-lock\.json$|\.lock$", name)]
    assert sorted(names) == sorted([*LOCKS, NPM_LOCK])
    assert all((ROOT / lock).with_suffix(".in").exists() for lock in LOCKS)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_locked_by_version_and_hash(lock):
    """A lock file has no ranges, addresses or options, so pip accepts only these files."""
    for pin in read_lock(lock):
        (specifier,) = pin.requirement.specifier
        assert (specifier.operator, pin.requirement.url) == ("==", None), pin.name
        assert pin.hashes, f"{pin.name} has no hash: run `make lock`"
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", text) for text in pin.hashes), pin.name


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_the_packages_of_its_input(lock):
    """After a change of the input file, `make lock` must run."""
    pins = read_lock(lock)
    for requirement in input_of(lock):
        locked = [pin for pin in pins if pin.name == canonicalize_name(requirement.name)]
        assert locked, f"{requirement} is not locked: run `make lock`"
        assert all(requirement.specifier.contains(pin.version) for pin in locked), f"{requirement}: run `make lock`"


@pytest.mark.parametrize(
    ("lock", "environment"),
    [*((lock, LAMBDA) for lock in LAYER_LOCKS), ("requirements-dev.txt", THIS_MACHINE)],
)
def test_a_lock_has_every_dependency_of_its_packages(lock, environment):
    """The metadata of the installed packages lists the dependencies for the environment of the lock file."""
    extras: dict[str, set[str]] = {}
    pins = {pin.name: pin for pin in read_lock(lock) if applies(pin.requirement, environment, set())}
    for requirement in input_of(lock):
        extras.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    for name, pin in pins.items():
        distribution = metadata.distribution(name)
        assert distribution.version == pin.version, f"{name} {distribution.version} is installed: run `make clean`"
        for needed in map(Requirement, distribution.requires or []):
            if applies(needed, environment, extras.get(name, set())):
                dependency = pins.get(canonicalize_name(needed.name))
                assert dependency, f"{name} needs {needed}, which is not locked: run `make lock`"
                assert needed.specifier.contains(dependency.version, prereleases=True), f"{name} needs {needed}"


@pytest.mark.parametrize("lock", LAYER_LOCKS)
def test_tests_run_with_the_packages_that_are_deployed(lock):
    """The layers and the tests use the same versions with the same hashes."""
    tested = {(pin.name, pin.version): pin.hashes for pin in read_lock("requirements-dev.txt")}
    for pin in read_lock(lock):
        assert tested[pin.name, pin.version] == pin.hashes


def test_no_lock_contains_the_address_of_a_registry():
    """Users choose the registry or a mirror; the hashes are valid for all of them."""
    for lock in LOCKS:
        assert "://" not in (ROOT / lock).read_text(encoding="utf-8")
    assert '"resolved"' not in (ROOT / NPM_LOCK).read_text(encoding="utf-8")


def test_every_npm_package_is_locked_by_version_and_hash():
    """`npm ci` installs exactly these packages."""
    locked = json.loads((ROOT / NPM_LOCK).read_text(encoding="utf-8"))["packages"]
    dependencies = json.loads((ROOT / "bench" / "engine" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert locked.pop("")["dependencies"] == dependencies
    assert all(package["version"] and package["integrity"] for package in locked.values())


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in tracked_files()
        if re.match(r"(layers/)?Makefile$|\.ci/|\.github/workflows/|bench/.*\.py$", name)
    ],
)
def test_commands_install_only_locked_packages(name):
    """Each `pip install` requires hashes, and npm installs with `npm ci`."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert all("--require-hashes" in line for line in re.findall(r".*\bpip3? install\b.*", text))
    assert not re.search(r"npm\W+install|\bnpx\b|\buvx\b|\bpipx\b", text)
