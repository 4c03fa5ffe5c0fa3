"""A conforming node for contract tests, independent of our agent: RSA key, SigV4, plain HTTP.

Source: spec/agent-protocol.md 3 to 9. Each node calls from a loopback address of its own, as machines do: the limit on
registrations is per address.
"""

import base64
import http.client
import itertools
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MESSAGES = "EC2WindowsMessageDeliveryService"
_addresses: Iterator[int] = itertools.count(2)


@cache
def shared_key() -> rsa.RSAPrivateKey:
    """One real key for all nodes of a test run: making one takes longer than most tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_text(key: rsa.RSAPrivateKey) -> str:
    """The key as RegisterManagedInstance wants it: DER SubjectPublicKeyInfo, base64."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


class Refusal(Exception):
    """An error answer: its code, HTTP status and message."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.code: str = body["__type"]
        self.message: str = body.get("message") or body.get("Message", "")


class RsaAuth(botocore.auth.SigV4Auth):
    """The registration-key signature: SigV4's text, signed RSA-PSS, base64. Source: agent-protocol.md 3.2."""

    def __init__(self, node_id: str, key: rsa.RSAPrivateKey, region: str) -> None:
        super().__init__(Credentials(node_id, "unused"), "ssm", region)
        self._key = key

    def signature(self, string_to_sign: str, request: AWSRequest) -> str:  # noqa: ARG002 - the base class has it
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        return base64.b64encode(self._key.sign(string_to_sign.encode(), pss, hashes.SHA256())).decode()


def post(url: str, headers: dict[str, str], body: bytes, source: str = "127.0.0.1") -> dict[str, Any]:
    """One POST / with its answer. Raises Refusal."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30, source_address=(source, 0))
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        values = json.loads(answer.read())
        if answer.status != 200:
            raise Refusal(answer.status, values)
        return dict(values)
    finally:
        connection.close()


@dataclass
class Message:
    """A command as it was delivered."""

    id: str
    raw: dict[str, Any]

    @property
    def payload(self) -> dict[str, Any]:
        return dict(json.loads(self.raw["Payload"]))

    @property
    def command_id(self) -> str:
        return str(self.payload["CommandId"])

    @property
    def steps(self) -> list[dict[str, Any]]:
        return list(self.payload["DocumentContent"]["mainSteps"])

    def token(self, step: str = "PatchLinux") -> str:
        """The run token in the delivered step's environment."""
        (found,) = (s for s in self.steps if s["name"] == step)
        return str(found["inputs"]["environment"]["PATCHWRIGHT_TOKEN"])


class Node:
    """The node's end of the protocol."""

    def __init__(self, url: str, region: str, key: rsa.RSAPrivateKey | None = None) -> None:
        self.url = url
        self.region = region
        self.key = key or shared_key()
        self.source = f"127.0.{next(_addresses) // 250 % 250}.{2 + next(_addresses) % 250}"
        self.id = ""
        self.fingerprint = str(uuid.uuid4())
        self.session: Credentials | None = None

    def register(self, activation: dict[str, str]) -> "Node":
        body = {
            "ActivationId": activation["ActivationId"],
            "ActivationCode": activation["ActivationCode"],
            "PublicKey": public_text(self.key),
            "PublicKeyType": "Rsa",
            "Fingerprint": self.fingerprint,
        }
        answer = self._send("AmazonSSM.RegisterManagedInstance", body, None)
        self.id = answer["InstanceId"]
        return self

    def role_token(self) -> dict[str, Any]:
        auth = RsaAuth(self.id, self.key, self.region)
        answer = self._send("AmazonSSM.RequestManagedInstanceRoleToken", {"Fingerprint": self.fingerprint}, auth)
        self.session = Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
        return answer

    def heartbeat(self, **more: str) -> dict[str, Any]:
        body = {
            "InstanceId": self.id,
            "AgentName": "amazon-ssm-agent",
            "AgentStatus": "Active",
            "AgentVersion": "3.3.0.0",
            "ComputerName": "web01",
            "IPAddress": "192.0.2.17",
            "PlatformName": "Debian GNU/Linux",
            "PlatformType": "Linux",
            "PlatformVersion": "12",
        }
        return self.ssm("UpdateInstanceInformation", {**body, **more})

    def ssm(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._send(f"AmazonSSM.{operation}", body, self.auth("ssm"))

    def patchwright(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """An operation of our own service."""
        return self._send(f"Patchwright.{operation}", body, self.auth("patchwright"))

    def messages(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """An operation of the message door."""
        return self._send(f"{MESSAGES}.{operation}", body, self.auth("ec2messages"))

    def poll(self) -> list[Message]:
        """One long poll: an empty answer takes seconds."""
        body = {"Destination": self.id, "MessagesRequestId": str(uuid.uuid4()), "VisibilityTimeoutInSeconds": 10}
        answer = self.messages("GetMessages", body)
        assert answer["Destination"] == self.id
        return [Message(id=m["MessageId"], raw=m) for m in answer["Messages"]]

    def abandon_poll(self, seconds: float) -> None:
        """A poll whose sender dies after `seconds`."""
        body = {"Destination": self.id, "MessagesRequestId": str(uuid.uuid4()), "VisibilityTimeoutInSeconds": 10}
        headers, data = self._signed(f"{MESSAGES}.GetMessages", body, self.auth("ec2messages"))
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, source_address=(self.source, 0))
        connection.request("POST", "/", data, headers)
        time.sleep(seconds)
        connection.close()

    def take(self) -> Message:
        """The one message that must be there."""
        (message,) = self.poll()
        return message

    def acknowledge(self, message: Message | str) -> None:
        self.messages("AcknowledgeMessage", {"MessageId": getattr(message, "id", message)})

    def fail(self, message: Message, kind: str = "InternalHandlerException") -> None:
        self.messages("FailMessage", {"MessageId": message.id, "FailureType": kind})

    def reply(
        self,
        message: Message | str,
        status: str,
        steps: dict[str, Any] | None = None,
        *,
        trace: str = "",
        reply_id: str | None = None,
    ) -> str:
        """A reply of any kind: `steps` None is "accepted", {} or step results are later ones. Returns its id."""
        payload = {
            "additionalInfo": {"runId": "", "dateTime": "2030-01-02T03:04:06.101Z"},
            "documentStatus": status,
            "documentTraceOutput": trace,
            "runtimeStatus": steps,
        }
        return self.raw_reply(message, json.dumps(payload), reply_id or str(uuid.uuid4()))

    def raw_reply(self, message: Message | str, payload: str, reply_id: str | None = None) -> str:
        body = {"MessageId": getattr(message, "id", message), "Payload": payload}
        if reply_id is not None:
            body["ReplyId"] = reply_id
        self.messages("SendReply", body)
        return reply_id or ""

    def accept(self, message: Message) -> None:
        """Reply kind 1 and the acknowledgement, as the real agent orders them."""
        self.reply(message, "InProgress")
        self.acknowledge(message)

    def finish(self, message: Message, status: str = "Success", **result: Any) -> None:
        """Accept, report every step (one-step documents), end."""
        self.accept(message)
        name = message.steps[0]["name"]
        done = step_result(status, **result)
        self.reply(message, "InProgress", {name: done})
        self.reply(message, status, {name: done})

    def run(self, status: str = "Success", **result: Any) -> Message:
        """Take the one waiting command and bring it to an end."""
        message = self.take()
        self.finish(message, status, **result)
        return message

    def auth(self, service: str) -> botocore.auth.SigV4Auth:
        """What signs a request to `service` with the temporary triple."""
        if self.session is None:
            self.role_token()
        return botocore.auth.SigV4Auth(self.session, service, self.region)

    def _send(self, target: str, body: dict[str, Any], auth: botocore.auth.SigV4Auth | None) -> dict[str, Any]:
        headers, data = self._signed(target, body, auth)
        return post(self.url, headers, data, self.source)

    def _signed(
        self, target: str, body: dict[str, Any], auth: botocore.auth.SigV4Auth | None
    ) -> tuple[dict[str, str], bytes]:
        data = json.dumps(body).encode()
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        request = AWSRequest("POST", self.url + "/", data=data, headers=headers)
        if auth is not None:
            auth.add_auth(request)
        return dict(request.headers), data


def step_result(status: str = "Success", *, code: int | None = None, out: str = "", err: str = "") -> dict[str, Any]:
    """What a reply says of one step."""
    return {
        "status": status,
        "code": (0 if status == "Success" else 1) if code is None else code,
        "name": "aws:runShellScript",
        "output": out[:2500],
        "standardOutput": out,
        "standardError": err,
        "startDateTime": "2030-01-02T03:04:06.050Z",
        "endDateTime": "2030-01-02T03:05:09.552Z",
        "stepName": "",
    }
