"""A conforming node and patch worker for contract tests, independent of our agent: RSA key, SigV4, plain HTTP.

Source: spec/agent-protocol.md 3 to 9, and the worker's protocol as `docs` describe it. Each node calls from a loopback
address of its own, as machines do: the limit on registrations is per address.
"""

import base64
import hashlib
import http.client
import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.auth
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from patchwright.wire.model import DATA_DIRECTORY
from tests.contract.conftest import RunningServer

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
        return self._send(f"AmazonSSM.{operation}", body, self._auth("ssm"))

    def messages(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """An operation of the message door."""
        return self._send(f"{MESSAGES}.{operation}", body, self._auth("ec2messages"))

    def poll(self) -> list[Message]:
        """One long poll: an empty answer takes seconds."""
        body = {"Destination": self.id, "MessagesRequestId": str(uuid.uuid4()), "VisibilityTimeoutInSeconds": 10}
        answer = self.messages("GetMessages", body)
        assert answer["Destination"] == self.id
        return [Message(id=m["MessageId"], raw=m) for m in answer["Messages"]]

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

    def _auth(self, service: str) -> botocore.auth.SigV4Auth:
        if self.session is None:
            self.role_token()
        return botocore.auth.SigV4Auth(self.session, service, self.region)

    def _send(self, target: str, body: dict[str, Any], auth: botocore.auth.SigV4Auth | None) -> dict[str, Any]:
        data = json.dumps(body).encode()
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        request = AWSRequest("POST", self.url + "/", data=data, headers=headers)
        if auth is not None:
            auth.add_auth(request)
        return post(self.url, dict(request.headers), data, self.source)


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


class Worker:
    """The patch worker's end: a bearer token and three operations."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.run_id = ""

    def call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {
            "X-Amz-Target": f"Patchwright.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"Bearer {self.token}",
        }
        return post(self.url, headers, json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))

    def start(self, **more: Any) -> dict[str, Any]:
        answer = self.call("StartPatchRun", {"AgentVersion": "0.1.0", "FactsVersions": [1], "BootId": "boot-1", **more})
        self.run_id = answer["RunId"]
        return answer

    def announce(self, parts: dict[str, str], **more: Any) -> dict[str, Any]:
        """The first call: digests alone."""
        return self.put(parts, (), **more)

    def put(self, parts: dict[str, str], bodies: Any = None, **more: Any) -> dict[str, Any]:
        """PutFacts with the bodies named (None: all of them). `more` overrides members of the request."""
        named = parts if bodies is None else bodies
        rows = [
            {"Name": n, "Digest": digest_of(text), **({"Body": text} if n in named else {})}
            for n, text in sorted(parts.items())
        ]
        body = {
            "RunId": self.run_id,
            "FactsVersion": 1,
            "Digest": document_digest(parts),
            "CollectedAt": 1767225600.1,
            "Parts": rows,
            **more,
        }
        return self.call("PutFacts", body)

    def report(self, parts: dict[str, str]) -> list[str]:
        """Both calls as the protocol has them; the parts that the server asked for."""
        first = self.announce(parts)
        if first["Accepted"]:
            return []
        needed = list(first["NeedParts"])
        assert self.put(parts, needed) == {"Accepted": True, "NeedParts": []}
        return needed

    def finish(self, exit_code: int = 0, message: str = "") -> dict[str, Any]:
        body = {"RunId": self.run_id, "ExitCode": exit_code, "Message": message, "AgentVersion": "0.1.0"}
        return self.call("FinishPatchRun", body)


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def document_digest(parts: dict[str, str]) -> str:
    lines = "".join(f"{name}:{digest_of(text)}\n" for name, text in sorted(parts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, order=True)
class Repo:
    """An archive of a synthetic Debian host."""

    suite: str
    origin: str = "Debian"
    label: str = "Debian"
    site: str = "deb.debian.org"
    trusted: bool = True
    released_at: int = 1_767_000_000

    def row(self) -> list[Any]:
        return [self.origin, self.label, self.suite, "bookworm", "main", self.site, self.trusted]

    def source(self) -> dict[str, Any]:
        names = ("origin", "label", "suite", "codename", "component", "site", "trusted")
        return {**dict(zip(names, self.row(), strict=True)), "released_at": self.released_at}


MAIN = Repo("stable")
SECURITY = Repo("stable-security", label="Debian-Security", site="security.debian.org")
UPDATES = Repo("stable-updates")


@dataclass
class Package:
    """An installed package and what is newer of it: (version, repositories)."""

    version: str
    offers: tuple[tuple[str, tuple[Repo, ...]], ...] = ()
    repos: tuple[Repo, ...] = (MAIN,)
    priority: str = "optional"
    arch: str = "amd64"
    installed_at: int = 1_700_000_000
    phased: str = ""


@dataclass
class DebianHost:
    """Synthetic facts of a Debian 12 host, in the agent's own canonical form."""

    packages: dict[str, Package] = field(default_factory=dict)
    holds: tuple[str, ...] = ()
    boot_id: str = "boot-1"
    problems: tuple[dict[str, Any], ...] = ()
    reboot: bool = False
    system: dict[str, str] = field(
        default_factory=lambda: {
            "id": "debian",
            "version_id": "12",
            "codename": "bookworm",
            "name": "Debian",
            "pretty_name": "Debian GNU/Linux 12 (bookworm)",
            "id_like": "",
        }
    )
    sources: tuple[Repo, ...] = (MAIN, SECURITY, UPDATES)
    manager: str = "apt"

    def parts(self) -> dict[str, str]:
        """The four parts as JSON texts."""
        return {name: canonical(value) for name, value in self.values().items()}

    def values(self) -> dict[str, Any]:
        """The four parts as JSON values, for a test to spoil."""
        ordered = sorted(self.packages.items(), key=lambda item: (item[0], item[1].arch))
        mine = sorted({r for _, p in ordered for r in p.repos})
        theirs = sorted({r for _, p in ordered for _, repos in p.offers for r in repos})
        lines = [
            [
                f"{n}\t{p.arch}\t{p.version}",
                p.offers[-1][0],
                [f"{v}\tutils\t{p.priority}\t{n}\t{v}\t{_indexes(rs, theirs)}\t500\t{p.phased}" for v, rs in p.offers],
            ]
            for n, p in ordered
            if p.offers
        ]
        rows = [
            f"{n}\t{p.arch}\t{p.version}\tutils\t{p.priority}\t{n}\t{p.version}\t{_indexes(p.repos, mine)}"
            for n, p in ordered
        ]
        return {
            "installed": {"repositories": [r.row() for r in mine], "packages": rows},
            "upgradable": {"repositories": [r.row() for r in theirs], "lines": lines},
            "times": [p.installed_at for _, p in ordered],
            "state": {
                "manager": self.manager,
                "manager_version": "2.6.1",
                "os": self.system,
                "arch": "amd64",
                "boot_id": self.boot_id,
                "kernel": {"running": "6.1.0-18-amd64", "newest_installed": "6.1.0-18-amd64"},
                "reboot": {"required": self.reboot, "evidence": [], "packages": []},
                "holds": [f"{h}\tamd64" for h in self.holds],
                "problems": list(self.problems),
                "stale_services": [],
                "sources": [r.source() for r in self.sources],
                "sources_digest": "",
            },
        }


def _indexes(repos: tuple[Repo, ...], numbered: list[Repo]) -> str:
    return ",".join(str(numbered.index(r)) for r in sorted(repos))


def usual_host() -> DebianHost:
    """openssl has a security fix, vim only an ordinary update, bash is up to date."""
    return DebianHost(
        packages={
            "bash": Package("5.2.15-2+b2", priority="required"),
            "openssl": Package("3.0.11-1", offers=(("3.0.13-1~deb12u1", (SECURITY,)),)),
            "vim": Package("2:9.0.1378-2", offers=(("2:9.0.1378-3", (UPDATES,)),)),
        }
    )


@cache
def _session(key_id: str, secret: str) -> boto3.Session:
    """One session for all tests of a server: it keeps the parsed model, which takes longer to read than most tests."""
    session = botocore.session.Session()
    session.set_config_variable("data_path", str(DATA_DIRECTORY))
    session.set_credentials(key_id, secret)
    return boto3.Session(botocore_session=session, region_name="local-1")


class Fleet:
    """Nodes of one test's region, with the operator's clients beside them."""

    def __init__(self, server: RunningServer, region: str) -> None:
        self.server = server
        self.region = region
        self.ssm = self.client("ssm", region)

    def client(self, service: str, region: str) -> Any:
        """A client as administrator."""
        return _session(self.server.key_id, self.server.secret).client(
            service,
            region_name=region,
            endpoint_url=self.server.url,
            config=Config(retries={"max_attempts": 0}, parameter_validation=False),
        )

    @cached_property
    def patchwright(self) -> Any:
        return self.client("patchwright", self.region)

    def activation(self, limit: int = 1, **more: Any) -> dict[str, str]:
        made = self.ssm.create_activation(IamRole="service-role", RegistrationLimit=limit, **more)
        return {k: made[k] for k in ("ActivationId", "ActivationCode")}

    def add(
        self, count: int = 1, *, ping: bool = True, platform: str = "Linux", name: str | None = None, **tags: str
    ) -> list[Node]:
        """Registered nodes that have said hello, unless `ping` is off; `_` in a tag's key stands for a space."""
        more: dict[str, Any] = {"Tags": [{"Key": k.replace("_", " "), "Value": v} for k, v in tags.items()]}
        if name:
            more["DefaultInstanceName"] = name
        activation = self.activation(count, **{k: v for k, v in more.items() if v})
        nodes = [Node(self.server.url, self.region).register(activation) for _ in range(count)]
        for node in nodes if ping else ():
            node.heartbeat(PlatformType=platform)
        return nodes

    def node(self, **more: Any) -> Node:
        (node,) = self.add(**more)
        return node

    def send(self, nodes: list[Node] | None = None, **more: Any) -> str:
        """AWS-RunShellScript on the nodes, or on Targets given. Returns the command's id."""
        where = {"InstanceIds": [n.id for n in nodes]} if nodes is not None else {}
        request = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}, **where, **more}
        return str(self.ssm.send_command(**request)["Command"]["CommandId"])

    def order(self, node: Node, operation: str = "Scan", **more: str) -> Message:
        """Send AWS-RunPatchBaseline to the node, which accepts it."""
        parameters = {"Operation": [operation], **{k: [v] for k, v in more.items()}}
        self.send([node], DocumentName="AWS-RunPatchBaseline", Parameters=parameters)
        message = node.take()
        node.accept(message)
        return message

    def worker(self, node: Node, operation: str = "Scan", **more: str) -> tuple[Worker, Message]:
        """A worker that was started by a fresh command and has said hello."""
        message = self.order(node, operation, **more)
        worker = Worker(self.server.url, message.token())
        worker.start()
        return worker, message

    def scan(self, node: Node, host: DebianHost, operation: str = "Scan", **more: str) -> dict[str, Any]:
        """A whole run from command to final reply; FinishPatchRun's answer."""
        worker, message = self.worker(node, operation, **more)
        worker.report(host.parts())
        answer = worker.finish()
        self.end(node, message, str(answer["Report"]))
        return answer

    def end(self, node: Node, message: Message, out: str = "") -> None:
        """The final replies of a patch command."""
        node.reply(message, "InProgress", {"PatchLinux": step_result(out=out)})
        node.reply(message, "Success", {})
