"""Calls of the SSM API and of our own, signed, by the services' models."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from patchwright.client.errors import ApiError, NotConfigured, Unreachable
from patchwright.client.shared_files import chosen_data_dir, data_path, exports

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
_VENDOR = ".amazonaws.com"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Client:
    """An account's and region's view of one server.

    `data_dir` names the server's data folder; None: see `shared_files.chosen_data_dir`. `region` None: the profile's.
    Nothing is read before the first call. Calls raise NotConfigured, Unreachable or ApiError.
    """

    def __init__(self, data_dir: Path | None = None, region: str | None = None) -> None:
        self._data_dir = data_dir
        self._region = region
        self._session: Session | None = None
        self._settings: dict[str, str] = {}
        self._services: dict[str, BaseClient] = {}

    def call(self, service: str, operation: str, **members: Any) -> dict[str, Any]:
        """One call. `service` is `ssm`, `patchwright` or `sts`; names are the API's own. Never repeated by itself."""
        import botocore.exceptions as failures  # a quarter of a second, for commands that call
        from botocore import xform_name

        try:
            method = getattr(self._service(service), xform_name(operation))
            answer: dict[str, Any] = method(**members)
        except failures.ClientError as refused:
            error = refused.response.get("Error", {})
            raise ApiError(operation, error.get("Code", "Unknown"), error.get("Message", "")) from refused
        except failures.ParamValidationError as wrong:
            raise ApiError(operation, "ValidationException", str(wrong)) from wrong
        except (failures.HTTPClientError, failures.ConnectionError) as lost:
            raise Unreachable(self._unreachable(service, lost)) from lost
        except failures.BotoCoreError as wrong:
            raise NotConfigured(f"{operation} can't be called: {wrong}") from wrong
        answer.pop("ResponseMetadata", None)
        return answer

    def pages(self, service: str, operation: str, result: str, **members: Any) -> Iterator[dict[str, Any]]:
        """The entries of the list `result` over all pages, each page fetched when it is needed."""
        token: str | None = None
        while True:
            more = {"NextToken": token} if token else {}
            answer = self.call(service, operation, **members, **more)
            yield from answer.get(result, ())
            token = answer.get("NextToken")
            if not token:
                return

    def _service(self, name: str) -> "BaseClient":
        if name not in self._services:
            self._services[name] = self._made(name)
        return self._services[name]

    def _made(self, name: str) -> "BaseClient":
        from botocore.config import Config

        session, settings = self._opened()
        options: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "read_timeout": READ_TIMEOUT_SECONDS,
            # One attempt: a repeated request could make a second key or a second command.
            "retries": {"total_max_attempts": 1, "mode": "standard"},
        }
        if urlsplit(settings.get("endpoint_url", "")).hostname in _LOOPBACK:
            # A proxy that the environment names can't reach this machine's loopback.
            options["proxies"] = {}
        region = self._region or settings.get("region")
        made = session.create_client(
            name,
            region_name=region,
            endpoint_url=settings.get("endpoint_url"),
            verify=settings.get("ca_bundle"),
            config=Config(**options),
        )
        host = urlsplit(made.meta.endpoint_url).hostname or ""
        if host.endswith(_VENDOR):
            raise NotConfigured(
                f"the AWS configuration in force names no server of yours, so this would go to {host}: "
                'give --data-dir, or run eval "$(patchwright env --data-dir DIR)"'
            )
        return made

    def _opened(self) -> tuple["Session", dict[str, str]]:
        """The session, and what its clients get told beside it."""
        if self._session is None:
            data_dir = chosen_data_dir(self._data_dir, os.environ)
            self._session = _session(data_dir)
            if data_dir is not None:
                # Said explicitly, the profile's settings win over the environment's.
                self._settings = self._session.get_scoped_config()
            elif os.environ.get("AWS_REGION"):
                # Newer clients read this name, botocore by itself only AWS_DEFAULT_REGION.
                self._settings = {"region": os.environ["AWS_REGION"]}
        return self._session, self._settings

    def _unreachable(self, service: str, failure: Exception) -> str:
        where = self._services[service].meta.endpoint_url if service in self._services else "the server"
        begin = f"--data-dir {self._data_dir}" if self._data_dir else "--data-dir DIR"
        reason = str(failure).rstrip(".")
        return f"no answer from {where}: {reason}. Is it running? `patchwright serve {begin}` starts it"


def _session(data_dir: Path | None) -> "Session":
    from botocore.session import Session

    if data_dir is None:
        session = Session()
        session.set_config_variable("data_path", data_path(os.environ))
        return session
    files = exports(data_dir, os.environ)
    # An explicit profile also keeps the keys of the environment out: they are for other servers.
    session = Session(profile="default")
    session.set_config_variable("config_file", files["AWS_CONFIG_FILE"])
    session.set_config_variable("credentials_file", files["AWS_SHARED_CREDENTIALS_FILE"])
    session.set_config_variable("data_path", files["AWS_DATA_PATH"])
    return session
