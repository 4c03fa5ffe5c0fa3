"""A strict little server of tier 0 in a thread, on loopback: what it is sent is checked, and breaches are collected.
Registration-key signatures are verified with `cryptography`, Signature Version 4 by computing it again with botocore.
Source: spec/agent-protocol.md.
"""

import base64
import contextlib
import hashlib
import json
import re
import ssl
import threading
import time
import uuid
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

ACTIVATION_ID = "6f1c6a2e-98a4-4a5e-9c9e-0d2b6c3f1a77"
ACTIVATION_CODE = "k3Jd82nQpLw5Zx7TbVc1"
REGION = "lab-1"
HOLD_SECONDS = 1.1  # an idle poll; a quicker answer would make agents pause
VISIBILITY_SECONDS = 0.5  # shortened, so that redelivery can be waited for
MEMBERS = {
    "RegisterManagedInstance": {"ActivationId", "ActivationCode", "PublicKey", "PublicKeyType", "Fingerprint"},
    "RequestManagedInstanceRoleToken": {"Fingerprint"},
    "GetMessages": {"Destination", "MessagesRequestId", "VisibilityTimeoutInSeconds"},
    "AcknowledgeMessage": {"MessageId"},
    "SendReply": {"MessageId", "Payload", "ReplyId"},
    "FailMessage": {"MessageId", "FailureType"},
    "ReportFacts": {"FactsVersion", "Digest", "CollectedAt", "Parts"},
}
SERVICES = {
    "AmazonSSM": "ssm",
    "EC2WindowsMessageDeliveryService": "ec2messages",
    "Patchwright": "patchwright",
}
REPLY_MEMBERS = {"additionalInfo", "documentStatus", "documentTraceOutput", "runtimeStatus"}
RESULT_MEMBERS = {
    *("status", "code", "name", "output", "standardOutput", "standardError", "startDateTime", "endDateTime"),
    *("outputS3BucketName", "outputS3KeyPrefix", "stepName"),
}
FINAL_STATUSES = {"Success", "Failed", "TimedOut", "Cancelled"}


class Refusal(Exception):
    """An error answer."""

    def __init__(self, code: str, message: str = "refused", status: int = 400) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


class HangUp(Exception):
    """Close the connection without an answer."""


class FakeServer:
    """Start it with `with`; set the public attributes before or in the middle of a test."""

    def __init__(self, certificate: tuple[str, str] | None = None, ca_pem: str = "") -> None:
        self.nodes: dict[str, dict[str, str]] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.messages: dict[str, dict[str, Any]] = {}
        self.replies: list[tuple[str, str, dict[str, Any]]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.heartbeats: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []
        self.worker_calls: list[tuple[str, str]] = []  # operation, Authorization
        self.violations: list[str] = []
        self.before: dict[str, Callable[[dict[str, Any]], None]] = {}  # may raise Refusal or HangUp
        self.after: dict[str, Callable[[dict[str, Any]], None]] = {}  # done, but not yet answered
        self.key_seconds = 3600.0
        self.clock_offset = 0.0
        self.ca_pem = ca_pem
        self.changed = threading.Condition()
        handler = type("Handler", (_Handler,), {"server_state": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._http.server_address[1]}"
        self._closing = False

    def __enter__(self) -> "FakeServer":
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        with self.changed:
            self.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()

    def now(self) -> float:
        return time.time() + self.clock_offset

    def send(
        self, node_id: str, payload: dict[str, Any] | str, topic: str = "sendCommand", command_id: str = ""
    ) -> str:
        """Queue a message; the command's id."""
        command_id = command_id or str(uuid.uuid4())
        message_id = f"aws.ssm.{command_id}.{node_id}"
        message = {
            "MessageId": message_id,
            "Destination": node_id,
            "Topic": f"aws.ssm.{topic}.lab.1",
            "CreatedDate": "2030-01-02T03:04:05.678Z",
            "Payload": payload if isinstance(payload, str) else json.dumps(payload),
        }
        with self.changed:
            self.messages[message_id] = {"message": message, "visible_at": 0.0, "done": False}
            self.changed.notify_all()
        return command_id

    def redeliver(self, command_id: str, node_id: str) -> None:
        with self.changed:
            self.messages[f"aws.ssm.{command_id}.{node_id}"].update(done=False, visible_at=0.0)
            self.changed.notify_all()

    def finals(self, command_id: str) -> list[tuple[str, dict[str, Any]]]:
        """(reply id, payload) of each final reply that came in, repeats included."""
        with self.changed:
            return [
                (reply_id, payload)
                for message_id, reply_id, payload in self.replies
                if f".{command_id}." in message_id and payload["documentStatus"] in FINAL_STATUSES
            ]

    def steps(self, command_id: str) -> dict[str, dict[str, Any]]:
        """Step results, gathered from all replies."""
        gathered: dict[str, dict[str, Any]] = {}
        with self.changed:
            for message_id, _, payload in self.replies:
                if f".{command_id}." in message_id:
                    gathered.update(payload["runtimeStatus"] or {})
        return gathered

    def wait_for(self, condition: Callable[[], object], seconds: float = 15.0) -> None:
        """Wait until something that a request changes is so."""
        with self.changed:
            assert self.changed.wait_for(condition, seconds), f"not in {seconds} s; calls: {[c[0] for c in self.calls]}"

    def wait_final(self, command_id: str, seconds: float = 15.0) -> dict[str, Any]:
        self.wait_for(lambda: self.finals(command_id), seconds)
        return self.finals(command_id)[0][1]

    def handle(self, target: str, body: dict[str, Any], headers: Any, raw: bytes) -> dict[str, Any]:
        prefix, _, operation = target.partition(".")
        with self.changed:
            self.calls.append((operation, body))
            self.changed.notify_all()
        if prefix == "Patchwright" and operation != "ReportFacts":
            self.worker_calls.append((operation, headers.get("Authorization", "")))
            raise Refusal("AccessDeniedException", "this server has no patch runs", 403)
        node_id = self._authenticate(prefix, operation, body, headers, raw)
        if operation in MEMBERS and set(body) != MEMBERS[operation]:
            self._breach(f"{operation} with members {sorted(body)}")
        if operation in self.before:
            self.before[operation](body)
        method = getattr(self, "_" + re.sub("(?<!^)(?=[A-Z])", "_", operation).lower(), None)
        if method is None:
            raise Refusal("UnknownOperationException")
        answer = method(node_id, body)
        if operation in self.after:
            self.after[operation](body)
        with self.changed:
            self.changed.notify_all()
        return dict(answer)

    def _breach(self, text: str) -> None:
        self.violations.append(text)
        raise Refusal("ValidationException", text)

    def _authenticate(self, prefix: str, operation: str, body: dict[str, Any], headers: Any, raw: bytes) -> str:
        if operation == "RegisterManagedInstance":
            return ""
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=(\S+)",
            headers.get("Authorization", ""),
        )
        if match is None:
            raise Refusal("IncompleteSignature", "no usable Authorization header", 403)
        access_key, date, region, service, signed_names, signature = match.groups()
        when = headers["X-Amz-Date"]
        sent_at = ssl.cert_time_to_seconds(
            time.strftime("%b %d %H:%M:%S %Y GMT", time.strptime(when, "%Y%m%dT%H%M%SZ"))
        )
        if abs(sent_at - self.now()) > 300:
            raise Refusal("InvalidSignatureException", f"Signature expired: {when} is not near now", 403)
        if region != REGION or when[:8] != date:
            self._breach(f"scope {region}/{date}")
        names = signed_names.split(";")
        is_rsa = operation == "RequestManagedInstanceRoleToken"
        if is_rsa:
            return self._verify_rsa(access_key, names, region, signature, headers, raw)
        if service != SERVICES[prefix]:
            self._breach(f"{operation} signed for {service}")
        key = self.keys.get(access_key)
        if key is None or headers.get("X-Amz-Security-Token") != key["token"]:
            raise Refusal("UnrecognizedClientException", "The security token is invalid", 403)
        if key["expires_at"] < self.now():
            raise Refusal("ExpiredTokenException", "expired", 403)
        if not {"host", "content-type", "x-amz-date", "x-amz-security-token", "x-amz-target"} <= set(names):
            self._breach(f"signed headers {names}")
        auth = SigV4Auth(Credentials(access_key, key["secret"]), service, region)
        if auth.signature(*_string_to_sign(auth, names, headers, raw)) != signature:
            raise Refusal("InvalidSignatureException", "The signature does not match", 403)
        for member in ("InstanceId", "Destination"):
            if body.get(member, key["node"]) != key["node"]:
                raise Refusal("AccessDeniedException", "another node's", 403)
        return str(key["node"])

    def _verify_rsa(self, node_id: str, names: list[str], region: str, signature: str, headers: Any, raw: bytes) -> str:
        if node_id not in self.nodes:
            raise Refusal("AccessDeniedException", "no such node", 400)
        if names != ["content-type", "host", "x-amz-date", "x-amz-target"]:
            self._breach(f"signed headers {names}")
        if headers.get("X-Amz-Content-Sha256") != hashlib.sha256(raw).hexdigest() or headers.get(
            "X-Amz-Security-Token"
        ):
            self._breach("X-Amz-Content-Sha256 is wrong, or there is a security token")
        auth = SigV4Auth(Credentials(node_id, "unused"), "ssm", region)
        text, _ = _string_to_sign(auth, names, headers, raw)
        public_key = load_der_public_key(base64.b64decode(self.nodes[node_id]["PublicKey"]))
        assert isinstance(public_key, rsa.RSAPublicKey)
        scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        try:
            public_key.verify(base64.b64decode(signature), text.encode(), scheme, hashes.SHA256())
        except InvalidSignature:
            raise Refusal("InvalidSignatureException", "The signature does not match", 403) from None
        return node_id

    def _register_managed_instance(self, _: str, body: dict[str, Any]) -> dict[str, Any]:
        if (body["ActivationId"], body["ActivationCode"]) != (ACTIVATION_ID, ACTIVATION_CODE):
            raise Refusal("InvalidActivation", "the activation is not valid")
        if body["PublicKeyType"] != "Rsa" or len(body["PublicKey"]) != 392:
            self._breach("PublicKey is not an RSA-2048 SubjectPublicKeyInfo")
        uuid.UUID(body["Fingerprint"])
        node_id = "mi-" + uuid.uuid4().hex[:17]
        self.nodes[node_id] = {"PublicKey": body["PublicKey"], "Fingerprint": body["Fingerprint"]}
        return {"InstanceId": node_id}

    def _request_managed_instance_role_token(self, node_id: str, body: dict[str, Any]) -> dict[str, Any]:
        if body["Fingerprint"] != self.nodes[node_id]["Fingerprint"]:
            raise Refusal("MachineFingerprintDoesNotMatch")
        access_key = "ASIA" + uuid.uuid4().hex[:16].upper()
        key = {
            "secret": uuid.uuid4().hex + "/+=",
            "token": "v1." + uuid.uuid4().hex,
            "node": node_id,
            "expires_at": self.now() + self.key_seconds,
        }
        self.keys[access_key] = key
        return {
            "AccessKeyId": access_key,
            "SecretAccessKey": key["secret"],
            "SessionToken": key["token"],
            "TokenExpirationDate": key["expires_at"],
            "UpdateKeyPair": False,
        }

    def _update_instance_information(self, node_id: str, body: dict[str, Any]) -> dict[str, Any]:
        del node_id
        required = {"InstanceId", "AgentName", "AgentVersion", "PlatformType"}
        kinds = {"ScanOnly": bool}
        if not required <= set(body) or not all(isinstance(v, kinds.get(name, str)) for name, v in body.items()):
            self._breach(f"UpdateInstanceInformation with {sorted(body)}")
        self.heartbeats.append(body)
        return {}

    def _report_facts(self, node_id: str, body: dict[str, Any]) -> dict[str, Any]:
        del node_id
        needed = [part["Name"] for part in body["Parts"] if "Body" not in part]
        return {"Accepted": not needed, "NeedParts": needed}

    def _get_messages(self, node_id: str, body: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + HOLD_SECONDS
        uuid.UUID(body["MessagesRequestId"])
        ready: list[dict[str, Any]] = []  # a server that closes answers at once, with nothing
        with self.changed:
            while not self._closing:
                now = time.monotonic()
                ready = [
                    entry
                    for entry in self.messages.values()
                    if entry["message"]["Destination"] == node_id and not entry["done"] and entry["visible_at"] <= now
                ]
                if ready or now >= deadline:
                    break
                self.changed.wait(0.1)
            for entry in ready:
                entry["visible_at"] = time.monotonic() + VISIBILITY_SECONDS
            messages = [entry["message"] for entry in ready]
        return {"Destination": node_id, "MessagesRequestId": body["MessagesRequestId"], "Messages": messages}

    def _own(self, node_id: str, message_id: str) -> dict[str, Any]:
        if message_id not in self.messages or not message_id.endswith("." + node_id):
            self._breach(f"a message that is not this node's: {message_id}")
        return self.messages[message_id]

    def _acknowledge_message(self, node_id: str, body: dict[str, Any]) -> dict[str, Any]:
        self._own(node_id, body["MessageId"])["done"] = True
        return {}

    def _fail_message(self, node_id: str, body: dict[str, Any]) -> dict[str, Any]:
        self._own(node_id, body["MessageId"])["done"] = True
        self.failed.append(body)
        return {}

    def _send_reply(self, node_id: str, body: dict[str, Any]) -> dict[str, Any]:
        entry = self._own(node_id, body["MessageId"])
        payload = json.loads(body["Payload"])
        uuid.UUID(body["ReplyId"])
        if set(payload) != REPLY_MEMBERS:
            self._breach(f"reply with members {sorted(payload)}")
        for result in (payload["runtimeStatus"] or {}).values():
            sizes = [len(result[name].encode()) for name in ("output", "standardOutput", "standardError")]
            if (
                set(result) != RESULT_MEMBERS
                or sizes[0] > 2500
                or max(sizes) > 24000
                or not isinstance(result["code"], int)
            ):
                self._breach(f"step result with members {sorted(result)}, sizes {sizes}")
        with self.changed:
            for _, reply_id, earlier in self.replies:
                if reply_id == body["ReplyId"] and earlier != payload:
                    self._breach("one reply id with two contents")
            self.replies.append((body["MessageId"], body["ReplyId"], payload))
        if payload["documentStatus"] in FINAL_STATUSES:
            entry["done"] = True
        return {"MessageId": body["MessageId"], "ReplyId": body["ReplyId"], "ReplyStatus": "QUEUED"}


def _string_to_sign(auth: SigV4Auth, names: list[str], headers: Any, raw: bytes) -> tuple[str, AWSRequest]:
    signed = {name: headers[name] for name in names}
    request = AWSRequest(method="POST", url="http://" + headers["Host"] + "/", data=raw, headers=signed)
    request.context["timestamp"] = headers["X-Amz-Date"]
    return auth.string_to_sign(request, auth.canonical_request(request)), request


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: FakeServer
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/ca.pem" and self.server_state.ca_pem:
            self._answer(200, self.server_state.ca_pem.encode())
        else:
            self._answer(404, b"{}")

    def do_POST(self) -> None:
        state = self.server_state
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            if self.path.startswith("/v1/control-channel/"):  # as a server without one: agents poll
                return self._answer(403, b"<AccessDeniedException><message>no</message></AccessDeniedException>")
            if self.path != "/" or self.headers["Content-Type"] != "application/x-amz-json-1.1":
                raise Refusal("ValidationException", "path or content type")
            answer = state.handle(self.headers["X-Amz-Target"], json.loads(raw), self.headers, raw)
            self._answer(200, json.dumps(answer).encode())
        except Refusal as refusal:
            body = {"__type": refusal.code, "message": refusal.message}
            self._answer(refusal.status, json.dumps(body).encode())
        except HangUp:
            self.close_connection = True

    def _answer(self, status: int, body: bytes) -> None:
        try:
            self.send_response_only(status)
            self.send_header("Date", formatdate(self.server_state.now(), usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the agent was killed meanwhile
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()
