"""boto3 clients for a server of a test: the models are read once in a process, and not for each client."""

import functools
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config

from patchwright.wire.model import DATA_DIRECTORY


@functools.cache
def _models() -> Any:
    """botocore's reader of service models, ours included, which keeps what it has read: it is 80 ms of each client."""
    return botocore.loaders.create_loader(str(DATA_DIRECTORY))


def client(
    service: str, url: str, region: str, key: tuple[str, str], config: Config, verify: Path | None = None
) -> Any:
    """A client of `service` at `url` with an access key (id and secret); `verify` is the authority's certificate."""
    session = botocore.session.Session()
    session.set_config_variable("data_path", str(DATA_DIRECTORY))
    session.register_component("data_loader", _models())
    session.set_credentials(*key)
    return boto3.Session(botocore_session=session, region_name=region).client(
        service, endpoint_url=url, config=config, verify=str(verify) if verify else None
    )
