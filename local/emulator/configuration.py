"""What the process behind a local pipeline is told when it starts, over standard input."""

from dataclasses import dataclass, field

CONTROL_PATH = "/_local/"
TOKEN_HEADER = "X-Local-Token"  # noqa: S105 (a name)


@dataclass(frozen=True)
class Configuration:
    """What a server is started with; port 0 takes any free one."""

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
    """Waits between retries are multiplied by this, so that a test need not sit them out."""
    control_token: str = field(default="", repr=False)
    """What the calls of a test below `CONTROL_PATH` must carry; empty when there are to be none."""
