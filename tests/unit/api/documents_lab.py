"""Texts of documents for the tests of their operations."""

import json
from typing import Any

import pytest
from tests.unit.api.harness import AnswerError, Api

SHELL = {
    "action": "aws:runShellScript",
    "name": "greet",
    "inputs": {"runCommand": ["echo '{{ word }}'"], "timeoutSeconds": "60"},
}


def value(**changes: Any) -> dict[str, Any]:
    """A document of schema 2.2 with one parameter and one step."""
    made = {
        "schemaVersion": "2.2",
        "description": "says a word",
        "parameters": {"word": {"type": "String", "default": "hello", "allowedPattern": "[a-z]+"}},
        "mainSteps": [SHELL],
    }
    return {key: member for key, member in (made | changes).items() if member is not None}


def text(**changes: Any) -> str:
    return json.dumps(value(**changes))


YAML = """\
# kept, as all the rest is
schemaVersion: "2.2"
mainSteps:
- action: aws:runPowerShellScript
  name: greet
  precondition: {StringEquals: [platformType, Windows]}
  inputs:
    runCommand: ["Write-Output é"]
"""


def refused(api: Api, operation: str, **members: Any) -> AnswerError:
    with pytest.raises(AnswerError) as refusal:
        api(operation, **members)
    return refusal.value
