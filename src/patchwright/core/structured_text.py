"""JSON and YAML texts from outside to plain values, and back. Hostile texts cost what their size allows, no more.

YAML is read from its events, never by a constructor: no tags, no anchors, no aliases, and plain scalars mean what they
mean in JSON (YAML 1.2's core: `yes` and `2026-01-01` are texts). Source: decisions/0026-yaml-by-its-events.md.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

MAX_DEPTH = 50
MAX_VALUES = 100_000
MAX_INTEGER = 2**63
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_ODD_CHARACTER = re.compile("[^\t\n -~\xa0-\u2027\u202a-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_WORDS = {"null": None, "~": None, "": None, "true": True, "false": False}
_WORDS |= {word.capitalize(): value for word, value in _WORDS.items()} | {"NULL": None, "TRUE": True, "FALSE": False}


class Unreadable(ValueError):
    """The text is not what it should be; the message says why and, where known, at which line."""


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises Unreadable, for a key given twice and for what is nested too deeply too."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as wrong:
        raise Unreadable(f"it is not JSON: {wrong.msg} at line {wrong.lineno}, column {wrong.colno}") from None
    except RecursionError:
        raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError as wrong:
        # Unreadable is one; the other comes from integers of thousands of digits.
        raise wrong if isinstance(wrong, Unreadable) else Unreadable("it holds a number that is too large") from None
    _check(value)
    return value


def parse_yaml(text: str) -> Any:
    """The value of a YAML text of one document, which may be JSON as well. Raises Unreadable."""
    _check(text)
    try:
        value = _Composer(yaml.parse(text, Loader=_Loader)).document()
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        said = str(getattr(wrong, "problem", None) or "a character is not allowed")[:200]
        raise Unreadable(f"it is not YAML: {said}{place}") from None
    except RecursionError:
        raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep") from None
    _check(value)
    return value


def to_json(value: Any) -> str:
    """A plain value as JSON for people: indented, in the order given."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def to_yaml(value: Any) -> str:
    """A plain value as YAML, in the order given; `parse_yaml` of it is the value again."""
    made: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return made


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # the package has no types
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Write what is there twice twice: our own reader takes no aliases."""
        return True


def _text_node(dumper: Any, text: str) -> Any:
    """Quoted where our own reader would take it for something else: `1e5` is a text in YAML 1.1 alone."""
    style = "'" if not isinstance(_scalar(text), str) else "|" if "\n" in text else None
    if _ODD_CHARACTER.search(text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)


class _Composer:
    """Values from the events of a YAML text, one document deep."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._values = 0

    def document(self) -> Any:
        found: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentEndEvent):
                continue
            if isinstance(event, yaml.DocumentStartEvent):
                if found:
                    raise Unreadable("it holds more than one YAML document")
                continue
            found.append(self._value(event, 1))
        if not found:
            raise Unreadable("it is empty")
        return found[0]

    def _value(self, event: Any, depth: int) -> Any:
        line = event.start_mark.line + 1
        self._values += 1
        if self._values > MAX_VALUES:
            raise Unreadable(f"it holds more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep, at line {line}")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise Unreadable(f"YAML anchors and aliases are not taken: line {line} has one; write the value out")
        if event.tag is not None:
            raise Unreadable(f"YAML tags are not taken: line {line} has one")
        if isinstance(event, yaml.ScalarEvent):
            return event.value if event.style else _scalar(event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            return [self._value(e, depth + 1) for e in self._until(yaml.SequenceEndEvent)]
        return self._mapping(depth)

    def _mapping(self, depth: int) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        for event in self._until(yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                raise Unreadable(f"line {line}: a key is not a text")
            if not event.style and event.value == "<<":
                raise Unreadable(f"YAML merge keys are not taken: line {line} has one")
            if event.anchor is not None or event.tag is not None:
                raise Unreadable(f"line {line}: a key has an anchor or a tag")
            if event.value in pairs:
                raise Unreadable(f"line {line}: the key {event.value[:60]!a} is there twice")
            pairs[event.value] = self._value(next(self._events), depth + 1)
        return pairs

    def _until(self, end: type) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield event


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Unreadable(f"the key {twice[:60]!a} is there twice in one object")
    return made


def _no_constant(word: str) -> Any:
    raise Unreadable(f"{word} is not JSON")


def _check(value: Any, depth: int = 1) -> None:
    """Refuse what could not be kept or sent on: deep nesting, halves of characters, NUL, numbers beyond 64 bits."""
    if depth > MAX_DEPTH:
        raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, str):
        if "\0" in value:
            raise Unreadable("it holds a NUL character")
        if _HALF_CHARACTER.search(value):
            raise Unreadable("it holds half of a character (a lone surrogate)")
    elif isinstance(value, dict):
        for key, member in value.items():
            _check(key, depth + 1)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for element in value:
            _check(element, depth + 1)
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value < MAX_INTEGER:
            raise Unreadable("it holds a number that is too large")
    elif isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise Unreadable("it holds a number that is too large")
