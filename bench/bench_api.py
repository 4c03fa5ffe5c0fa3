"""Operator's calls a second: pre-signed requests over keep-alive, 16 connections, synchronous=FULL (decisions.md 34).

The load comes from `wrk` (apt-get install wrk) on the same machine. Beside each call stands the same one at
`moto_server`, measured in the same run; HTTP alone is the same server process answering /healthz.
"""

import json
import re
import shutil
import subprocess
import tempfile
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.figures import Figure
from bench.lab import Lab, client
from bench.moto_peer import MotoPeer

REGION = "us-east-1"
"""One that the peer knows; here any is a partition of the data."""
SECONDS = 4
CONNECTIONS = 16
TIMES_PEER = 5.0
P99_MS = 20.0
_STEP = {"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["true"]}}
_DOCUMENT = json.dumps({"schemaVersion": "2.2", "mainSteps": [_STEP]})
CALLS: dict[str, dict[str, Any]] = {
    "GetDocument": {"Name": "bench"},
    "ListTagsForResource": {"ResourceType": "Document", "ResourceId": "bench"},
    "SendCommand": {
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["true"]},
        "Targets": [{"Key": "tag:none", "Values": ["has it"]}],
    },
    "AddTagsToResource": {
        "ResourceType": "Document",
        "ResourceId": "bench",
        "Tags": [{"Key": "bench", "Value": "bench"}],
    },
}
"""Two reads and two durable writes that both servers know, one of them a create."""


class Load(NamedTuple):
    """Answers a second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


def _signed_script(url: str, credentials: tuple[str, str], operation: str, body: str) -> str:
    """A wrk script that sends one pre-signed request."""
    request = AWSRequest(
        "POST",
        url + "/",
        data=body.encode(),
        headers={"X-Amz-Target": f"AmazonSSM.{operation}", "Content-Type": "application/x-amz-json-1.1"},
    )
    SigV4Auth(Credentials(*credentials), "ssm", REGION).add_auth(request)
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items()]
    return "\n".join(['wrk.method = "POST"', f"wrk.body = [[{body}]]", *lines])


def _load(url: str, script: str | None) -> Load:
    """Raises when any answer was no 2xx."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        arguments = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency"]
        if script is not None:
            file.write(script)
            file.flush()
            arguments += ["-s", file.name]
        out = subprocess.run([*arguments, url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out:
        raise RuntimeError(f"the server refused some of the load:\n{out}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]
    return Load(rate, _milliseconds("50%", out), _milliseconds("99%", out))


def _milliseconds(which: str, out: str) -> float:
    number, unit = re.search(rf"{which}\s+([\d.]+)(us|ms|s)", out).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def _loads(url: str, credentials: tuple[str, str]) -> dict[str, Load]:
    ssm = client(url, credentials, region=REGION)
    ssm.create_document(Name="bench", Content=_DOCUMENT, DocumentType="Command")
    return {
        operation: _load(url + "/", _signed_script(url, credentials, operation, json.dumps(body)))
        for operation, body in CALLS.items()
    }


def measure() -> list[Figure]:
    """Reads and writes beside the peer's, and HTTP alone."""
    if shutil.which("wrk") is None:
        raise SystemExit("bench: the load generator is missing: apt-get install wrk")
    with Lab() as lab:
        process = lab.start()
        lab.wait()
        bare = _load(f"{lab.url}/healthz", None)
        mine = _loads(lab.url, lab.credentials())
        lab.stop(process)
    with MotoPeer() as peer:
        others = _loads(peer.url, ("peer", "peer"))
    figures = [Figure(name="API, HTTP alone", what="answers a second of /healthz", value=bare.rate, unit="1/s")]
    for operation, load in mine.items():
        other = others[operation]
        figures += [
            Figure(
                name=f"API {operation}",
                what="answers a second, verified and committed",
                value=load.rate,
                unit="1/s",
                limit=TIMES_PEER * other.rate,
                peer="moto_server",
                peer_value=other.rate,
                ratio=load.rate / other.rate,
            ),
            Figure(name=f"API {operation}, p99", what="latency", value=load.p99, unit="ms", limit=P99_MS,
                   peer="moto_server", peer_value=other.p99, ratio=load.p99 / other.p99),
        ]  # fmt: skip
    return figures


if __name__ == "__main__":
    from bench.figures import show

    show(measure())
