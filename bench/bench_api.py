"""Operator's calls a second: pre-signed requests over keep-alive, 16 connections, synchronous=FULL (decisions.md 34).

The load comes from `wrk` (apt-get install wrk) on the same machine; the limit beside it is the same server process
answering /healthz, that is HTTP alone.
"""

import re
import shutil
import subprocess
import tempfile

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.figures import Figure
from bench.lab import Lab

SECONDS = 4
CONNECTIONS = 16


def _signed_script(lab: Lab, operation: str, body: str) -> str:
    """A wrk script that sends one pre-signed request."""
    request = AWSRequest(
        "POST",
        lab.url + "/",
        data=body.encode(),
        headers={"X-Amz-Target": f"AmazonSSM.{operation}", "Content-Type": "application/x-amz-json-1.1"},
    )
    SigV4Auth(Credentials(*lab.credentials()), "ssm", "local-1").add_auth(request)
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items()]
    return "\n".join(['wrk.method = "POST"', f"wrk.body = [[{body}]]", *lines])


def _load(url: str, script: str | None) -> tuple[float, float]:
    """(answers a second, median latency in ms). Raises when any answer was no 2xx."""
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
    number, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()  # type: ignore[union-attr]
    return rate, float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def measure() -> list[Figure]:
    """Reads, writes and the HTTP limit beside them."""
    if shutil.which("wrk") is None:
        raise SystemExit("bench: the load generator is missing: apt-get install wrk")
    with Lab() as lab:
        process = lab.start()
        lab.wait()
        baseline = lab.client().create_patch_baseline(Name="bench", OperatingSystem="DEBIAN")["BaselineId"]
        bare, _ = _load(f"{lab.url}/healthz", None)
        calls = {
            "GetPatchBaseline": f'{{"BaselineId":"{baseline}"}}',
            "UpdatePatchBaseline": f'{{"BaselineId":"{baseline}","Description":"bench"}}',
        }
        figures = []
        for operation, body in calls.items():
            rate, latency = _load(lab.url + "/", _signed_script(lab, operation, body))
            figures += [
                Figure(
                    name=f"API {operation}",
                    what="answers a second, verified and committed",
                    value=rate,
                    unit="1/s",
                    peer="HTTP alone",
                    peer_value=bare,
                    ratio=rate / bare,
                ),
                Figure(name=f"API {operation}, p50", what="median latency", value=latency, unit="ms"),
            ]
        lab.stop(process)
    return figures


if __name__ == "__main__":
    from bench.figures import show

    show(measure())
