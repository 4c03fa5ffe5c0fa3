"""The server's operations as this node calls them. Source: spec/agent-protocol.md 5, 6."""

import json
import os
import re
import socket

from patchwright_agent import __version__, platform
from patchwright_agent.daemon import backoff, sigv4
from patchwright_agent.transport import ServerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

    from patchwright_agent.daemon.channel import Channel
    from patchwright_agent.daemon.clock import Clock
    from patchwright_agent.daemon.credentials import Credentials, Triple
    from patchwright_agent.daemon.identity import Identity
    from patchwright_agent.transport import Server, Signer

AGENT_NAME = "patchwright-agent"
CALL_SECONDS = 20
LONG_POLL_SECONDS = 25  # the server answers after 15 to 18
FACTS_SECONDS = 60
VISIBILITY_SECONDS = 10
CHANNEL_SECONDS = 15
_TOKEN = re.compile(rb"<TokenValue>([A-Za-z0-9._~+/=:-]{1,4096})</TokenValue>")
_MDS = "EC2WindowsMessageDeliveryService."
# Answers that say: this key or this signature, not this request.
_REJECTIONS = (
    "ExpiredTokenException",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)


class Node:
    """This node towards its server. Every method raises ServerError, Unreachable, NoCredentials."""

    def __init__(
        self,
        identity: "Identity",
        server: "Server",
        credentials: "Credentials",
        clock: "Clock",
        scan_only: bool = False,
    ) -> None:
        self._identity = identity
        self._server = server
        self._credentials = credentials
        self._clock = clock
        self._scan_only = scan_only
        self._system = platform.operating_system()
        self.channel: "Optional[Channel]" = None  # the road that replies take first
        self.instance_id = identity.instance_id

    @property
    def platform_name(self) -> str:
        return str(self._system.name or "Linux")

    @property
    def platform_version(self) -> str:
        return str(self._system.version_id)

    def send_probe(self) -> None:
        """The first heartbeat after a start: who is here, and nothing that would overwrite stored fields."""
        self._ssm(
            "UpdateInstanceInformation",
            {
                "InstanceId": self.instance_id,
                "AgentName": AGENT_NAME,
                "AgentVersion": __version__,
                "PlatformType": "Linux",
            },
        )

    def send_heartbeat(self, channel: str) -> None:
        """The full heartbeat; `channel` is "" in the first one, then "ec2messages"."""
        self._ssm(
            "UpdateInstanceInformation",
            {
                "InstanceId": self.instance_id,
                "AgentName": AGENT_NAME,
                "AgentStatus": "Active",
                "AgentVersion": __version__,
                "AvailabilityZone": "",
                "AvailabilityZoneId": "",
                "ComputerName": os.uname().nodename,
                "IPAddress": self._address(),
                "PlatformName": self.platform_name,
                "PlatformType": "Linux",
                "PlatformVersion": self.platform_version,
                "ScanOnly": self._scan_only,
                "SSMConnectionChannel": channel,
            },
        )

    def get_messages(self, timeout: float = LONG_POLL_SECONDS) -> "List[Any]":
        """Wait for messages, up to the server's long-poll limit or `timeout` seconds."""
        answer = self._mds(
            "GetMessages",
            {
                "Destination": self.instance_id,
                "MessagesRequestId": backoff.uuid4(),
                "VisibilityTimeoutInSeconds": VISIBILITY_SECONDS,
            },
            timeout,
        )
        messages = answer.get("Messages")
        return messages if isinstance(messages, list) else []

    def acknowledge(self, message_id: str) -> None:
        self._mds("AcknowledgeMessage", {"MessageId": message_id})

    def fail_message(self, message_id: str, failure_type: str) -> None:
        self._mds("FailMessage", {"MessageId": message_id, "FailureType": failure_type})

    def begin_reply(self, message_id: str, reply_id: str, payload: str) -> None:
        """Put a reply on its way, where the channel allows that; `send_reply` follows, and waits."""
        if self.channel is not None:
            self.channel.begin_reply(message_id, reply_id, payload)

    def send_reply(self, message_id: str, reply_id: str, payload: str) -> None:
        if self.channel is not None and self.channel.send_reply(message_id, reply_id, payload):
            return
        self._mds("SendReply", {"MessageId": message_id, "Payload": payload, "ReplyId": reply_id})

    def create_channel(self) -> str:
        """A token to open the push channel with."""
        body = {"MessageSchemaVersion": "1.0", "RequestId": backoff.uuid4()}
        response = self._server.post(
            self._channel_path, json.dumps(body).encode("ascii"), self._channel_signer("POST", ""), CHANNEL_SECONDS
        )
        self._learn_time()  # a wrong clock is refused as everything else is; the next attempt has the right time
        if response.status != 201:
            raise ServerError("HTTP%d" % response.status, "the server gives no push channel", response.status)
        found = _TOKEN.search(response.body)
        if found is None:
            raise ServerError("MalformedAnswer", "the server's answer holds no token", response.status)
        return found.group(1).decode("ascii")

    def upgrade_channel(self) -> "Tuple[Any, bytes]":
        """The push channel's socket, and what came right behind its opening."""
        query = "role=subscribe&stream=input"
        signer = self._channel_signer("GET", query)
        return self._server.open_websocket(self._channel_path + "?" + query, signer, CHANNEL_SECONDS)

    @property
    def _channel_path(self) -> str:
        return "/v1/control-channel/" + self.instance_id

    def _channel_signer(self, method: str, query: str) -> "Signer":
        return self._signer("ssmmessages", self._credentials.current(), (method, self._channel_path, query))

    def get_document(self, name: str, version: str) -> "Dict[str, Any]":
        """A document that an open command names, as JSON."""
        wanted = {"Name": name, "DocumentFormat": "JSON"}
        if version:
            wanted["DocumentVersion"] = version
        return self._ssm("GetDocument", wanted)

    def put_inventory(self, items: "List[Any]") -> None:
        self._signed("AmazonSSM.PutInventory", "ssm", {"InstanceId": self.instance_id, "Items": items}, FACTS_SECONDS)

    def fetch_file(self, path: str) -> bytes:
        """A file that the server gives to everyone, such as its agent."""
        return self._server.get(path)

    def report_facts(self, body: "Dict[str, Any]") -> "Dict[str, Any]":
        """Facts without a run, as after a boot."""
        return self._signed("Patchwright.ReportFacts", "patchwright", body, FACTS_SECONDS)

    def _ssm(self, operation: str, body: "Dict[str, Any]") -> "Dict[str, Any]":
        return self._signed("AmazonSSM." + operation, "ssm", body)

    def _mds(self, operation: str, body: "Dict[str, Any]", timeout: float = CALL_SECONDS) -> "Dict[str, Any]":
        return self._signed(_MDS + operation, "ec2messages", body, timeout)

    def _signed(
        self, target: str, service: str, body: "Dict[str, Any]", timeout: float = CALL_SECONDS
    ) -> "Dict[str, Any]":
        try:
            return self._signed_once(target, service, body, timeout)
        except ServerError as error:
            if error.code not in _REJECTIONS:
                raise
            return self._signed_once(target, service, body, timeout)  # with the right time, or with new keys

    def _signed_once(self, target: str, service: str, body: "Dict[str, Any]", timeout: float) -> "Dict[str, Any]":
        triple = self._credentials.current()
        try:
            answer = self._server.call(target, body, sign=self._signer(service, triple), timeout=timeout)
        except ServerError as error:
            if self._learn_time():
                raise
            if error.code in _REJECTIONS:
                self._credentials.rejected(triple)
            raise
        self._learn_time()
        return answer

    def _signer(self, service: str, triple: "Triple", request: "Tuple[str, str, str]" = sigv4.CALL) -> "Signer":
        return sigv4.hmac_signer(
            triple.access_key_id,
            triple.secret_access_key,
            triple.session_token,
            self._identity.region,
            service,
            self._clock.server_now(),
            request,
        )

    def _learn_time(self) -> bool:
        offset = self._server.clock_offset
        return offset is not None and self._clock.observe(offset)

    def _address(self) -> str:
        """The address by which this host reaches its server, "" if there is none. Nothing is sent."""
        host, port = self._server.host_and_port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((host.encode("ascii"), port))
                return str(probe.getsockname()[0])
        except (OSError, UnicodeError):
            return ""
