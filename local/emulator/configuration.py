"""The configuration of the server process, which it reads from standard input."""

from dataclasses import dataclass, field

CONTROL_PATH = "/_local/"
TOKEN_HEADER = "X-Local-Token"  # noqa: S105 (a name)


@dataclass(frozen=True)
class Configuration:
    """The configuration of a server; port 0 takes any free port."""

    template: str
    run_dir: str
    stack_name: str = "image-pipeline"
    region: str = "us-east-1"
    aws_port: int = 0
    api_port: int = 0
    parameters: dict[str, str] = field(default_factory=dict)
    per_function: int = 2
    total: int = 4
    wait_scale: float = 1.0
    """Factor on the waits between retries, so that tests need not wait."""
    warm: bool = False
    """Whether to start a process for each function at once, not at its first invocation."""
    controls: bool = False
    """Whether requests below `CONTROL_PATH` may change what runs, for tests."""
    packages: list[str] = field(default_factory=list)
    """Packages that most functions import; they are imported once."""
    control_token: str = field(default="", repr=False)
    """The token that requests below `CONTROL_PATH` must have."""
