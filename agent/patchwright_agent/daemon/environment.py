"""What a step finds in its environment. Source: spec/agent-protocol.md 10."""

import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

    from patchwright_agent.daemon.identity import Identity
    from patchwright_agent.daemon.node import Node

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
MAX_VALUE_CHARACTERS = 32 * 1024
# Meant for the daemon alone.
_DAEMONS_OWN = ("PATCHWRIGHT_ACTIVATION_CODE", "PATCHWRIGHT_TOKEN", "MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_")


def agent_path() -> str:
    """The zipapp, or the package's folder: what `python PATH patch` starts."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    archive = os.path.dirname(package)
    return archive if os.path.isfile(archive) else package


def own_environment() -> "Dict[str, str]":
    """The agent's own environment, without what is meant for the daemon alone."""
    return {name: value for name, value in os.environ.items() if name not in _DAEMONS_OWN}


def step_environment(
    node: "Node", identity: "Identity", state_dir: str, command_id: str, command_dir: str
) -> "Dict[str, str]":
    """The agent's own environment, without its secrets, plus what the protocol and the worker ask for."""
    environment = own_environment()
    environment.update(
        AWS_SSM_INSTANCE_ID=identity.instance_id,
        AWS_SSM_REGION_NAME=identity.region,
        AWS_SSM_PLATFORM_NAME=node.platform_name,
        AWS_SSM_PLATFORM_VERSION=node.platform_version,
        SSM_COMMAND_ID=command_id,
        PATCHWRIGHT_SERVER=identity.server,
        PATCHWRIGHT_CA_FILE=identity.ca_file,
        PATCHWRIGHT_STATE_DIR=state_dir,
        PATCHWRIGHT_COMMAND_DIR=command_dir,
        PATCHWRIGHT_PYTHON=sys.executable,
        PATCHWRIGHT_AGENT=agent_path(),
    )
    if identity.insecure_http:
        environment["PATCHWRIGHT_INSECURE_HTTP"] = "1"
    return environment


def of_inputs(value: "Any") -> "Dict[str, str]":
    """A step's `environment` input, checked. Raises ValueError."""
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise ValueError("the step's environment is not an object")
    for name, text in value.items():
        if not _NAME.match(name) or not isinstance(text, str) or "\0" in text or len(text) > MAX_VALUE_CHARACTERS:
            raise ValueError("the step's environment has a name or value that can't be used")
    return dict(value)
