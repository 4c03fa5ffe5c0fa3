"""Which server to call: the AWS shared files that `serve` keeps in its data folder, or the environment's own.

Source: decisions.md 32.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from patchwright.client.errors import NotConfigured
from patchwright.wire.model import DATA_DIRECTORY

DEFAULT_DATA_DIR = Path("./var")
_OWN_CONFIGURATION = ("AWS_CONFIG_FILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_PATCHWRIGHT")


def exports(data_dir: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables with which any AWS client calls the server of `data_dir`.

    A folder that AWS_DATA_PATH names already stays in force, behind ours. Raises NotConfigured if no server was ever
    started on `data_dir`.
    """
    folder = (data_dir / "aws").resolve()
    if not (folder / "config").exists():
        raise NotConfigured(
            f"there is no server in {data_dir}: start `patchwright serve --data-dir {data_dir}` first, "
            "or name its folder with --data-dir"
        )
    return {
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_DATA_PATH": data_path(environment),
    }


def data_path(environment: Mapping[str, str]) -> str:
    """AWS_DATA_PATH with the folder of our own service's model in front."""
    own = str(DATA_DIRECTORY)
    given = environment.get("AWS_DATA_PATH", "").split(os.pathsep)
    return os.pathsep.join([own, *(path for path in given if path and path != own)])


def chosen_data_dir(given: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The data folder whose files to use; None: the environment's AWS_* variables say which server.

    An option comes first, then PATCHWRIGHT_DATA_DIR, then the AWS_* variables, then a server's folder ./var.
    Raises NotConfigured if there is none of them.
    """
    named = environment.get("PATCHWRIGHT_DATA_DIR")
    if given is not None or named:
        return given or Path(named or "")
    if any(environment.get(name) for name in _OWN_CONFIGURATION):
        return None
    if (DEFAULT_DATA_DIR / "aws" / "config").exists():
        return DEFAULT_DATA_DIR
    raise NotConfigured(
        'no server is named: give --data-dir or PATCHWRIGHT_DATA_DIR, or run eval "$(patchwright env --data-dir DIR)"'
    )
