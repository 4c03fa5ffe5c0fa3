"""The list of version locks that dnf's plugin keeps: names that stay at their versions. Pure but for reading it."""

import configparser
import os
from typing import List, Sequence, Tuple

_CONF_NAME = "versionlock.conf"
_DEFAULT_LIST = "/etc/dnf/plugins/versionlock.list"
_MAX_BYTES = 1024 * 1024


def read(conf_folders: Sequence[str], plugins: bool) -> List[Tuple[str, bool]]:
    """The locks of this host as (pattern, whether it excludes); [] where plugins, or this one, are switched off."""
    path, enabled = _DEFAULT_LIST, plugins
    for folder in conf_folders:
        content = _content(os.path.join(folder, _CONF_NAME))
        if content:
            path, enabled = _settings(content, path, enabled)
    return parse(_content(path)) if enabled else []


def parse(content: str) -> List[Tuple[str, bool]]:
    """A lock list: a package pattern a line, `!` before those that are excluded, `#` begins a comment."""
    entries = []
    for line in content.split("\n"):
        pattern = line.split("#", 1)[0].strip()
        if pattern:
            entries.append((pattern.lstrip("!").strip(), pattern.startswith("!")))
    return [(pattern, is_exclusion) for pattern, is_exclusion in entries if pattern]


def _settings(content: str, path: str, enabled: bool) -> Tuple[str, bool]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(content)
        enabled = enabled and parser.getboolean("main", "enabled", fallback=True)
        return parser.get("main", "locklist", fallback=path), enabled
    except (configparser.Error, ValueError):
        return path, enabled


def _content(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
