"""Run `sam local invoke` against the local run: one function in the container of Lambda."""

import contextlib
import ipaddress
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from image_pipeline_cli import local_run
from local.emulator import clients
from local.emulator.relay import relay
from local.pipeline import ROOT

_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
_BUILD = ROOT / ".aws-sam" / "build"


class CannotInvokeError(Exception):
    """Something that `sam local invoke` needs is missing; the message says what to do."""


def invoke(function: str, event: Path, sam_options: list[str], run_dir: Path) -> int:
    """Run a function in its container, with the environment of the running local run.

    Args:
        function: The function's logical id.
        event: A JSON file; `${Name}` in it is replaced by an output of the stack.
        sam_options: Further options of `sam local invoke`.
        run_dir: The run folder of the local run.

    Returns:
        The exit code of `sam`; 1 if the function failed.

    Raises:
        CannotInvokeError: A tool, the build, the running copy, the function or the event is missing.
    """
    running = local_run.read(run_dir)
    if running is None:
        raise CannotInvokeError("There is no local run. Start one with `make run`.")
    if function not in running["environments"]:
        raise CannotInvokeError(
            f"The template has no function {function}; it has {', '.join(running['environments'])}."
        )
    if not event.is_file():
        raise CannotInvokeError(f"The event file {event} does not exist.")
    if shutil.which("sam") is None:
        raise CannotInvokeError("The SAM CLI is not installed. See https://aws.amazon.com/serverless/sam/.")
    if not _docker_responds():
        raise CannotInvokeError(
            "Docker does not respond. Start it: `sam local invoke` runs the function in a container."
        )
    if not (_BUILD / "template.yaml").is_file():
        raise CannotInvokeError("The application is not built. Run `make build` first.")
    with (
        _reachable(running["awsUrl"]) as endpoint_url,
        tempfile.TemporaryDirectory(prefix="invoke-", dir=run_dir) as folder,
        tempfile.NamedTemporaryFile("w", prefix="local-", suffix=".json", dir=_BUILD, encoding="utf-8") as template,
    ):
        environment = clients.variables(endpoint_url, running["region"]) | running["environments"][function]
        template.write(_template_with(environment, function))
        template.flush()
        variables = Path(folder, "environment.json")
        variables.write_text(json.dumps({function: environment}), encoding="utf-8")
        event_file = Path(folder, "event.json")
        event_file.write_text(_fill(event.read_text(encoding="utf-8"), running["outputs"]), encoding="utf-8")
        process = subprocess.run(  # noqa: S603 (a list of arguments, no shell)
            [
                *("sam", "local", "invoke", function, "--template", template.name),
                *("--event", str(event_file), "--env-vars", str(variables)),
                *("--region", running["region"]),
                *sam_options,
            ],
            cwd=ROOT,
            env=clients.environment(running["awsUrl"], running["region"]),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    print(process.stdout, end="")
    return process.returncode or int(_failed(process.stdout))


@contextlib.contextmanager
def _reachable(url: str) -> Iterator[str]:
    """Yield an address at which containers reach the local endpoint; on Linux they cannot reach loopback."""
    port = urlsplit(url).port or 80
    inspection = subprocess.run(
        ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    with contextlib.ExitStack() as stack:
        try:
            host = stack.enter_context(relay(ipaddress.ip_network(inspection.stdout.strip()), port))
        except (OSError, ValueError):  # Docker runs in a virtual machine, which resolves this name to the host
            host = stack.enter_context(relay(_LOOPBACK, port, "host.docker.internal"))
        yield f"http://{host}"


def _template_with(environment: dict[str, str], function: str) -> str:
    """Return the built template with all variables declared: the SAM CLI sets only declared variables."""
    from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

    template: dict[str, Any] = yaml_parse((_BUILD / "template.yaml").read_text(encoding="utf-8"))
    properties = template["Resources"][function]["Properties"]
    properties.setdefault("Environment", {})["Variables"] = environment
    return json.dumps(template)


def _fill(text: str, outputs: dict[str, str]) -> str:
    """Replace `${Name}` in an event by the outputs of the running stack, so that a file works for every stack."""
    return re.sub(r"\$\{(\w+)\}", lambda match: outputs.get(match[1], match[0]), text)


def _docker_responds() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    version = subprocess.run([docker, "version"], capture_output=True, check=False)  # noqa: S603
    return version.returncode == 0


def _failed(output: str) -> bool:
    """Return whether the response, which is the last line that the container prints, is an error or missing."""
    lines = output.strip().splitlines()
    if not lines:
        return True
    try:
        answer = json.loads(lines[-1])
    except ValueError:
        return False
    return isinstance(answer, dict) and "errorType" in answer
