"""Service models: which operations exist, what goes in, what comes out, which errors they declare.

The SSM model is the vendor's own, read from botocore's data folder; botocore itself is not imported (it would cost a
second at start). Our own models, in the same format, add what that one has no word for: the operations of `patchwright`
and the node's doors. Source: spec/operations.md 1.1-1.4, spec/agent-protocol.md 4-6 and 11.
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from patchwright.wire.errors import UnknownOperationError
from patchwright.wire.shapes import ModelError, ShapeCompiler, StructureShape

DATA_DIRECTORY = Path(__file__).parent / "data"
"""Our own models. Also a folder for AWS_DATA_PATH: `aws patchwright ...` finds its service there."""

_SSM_MODEL = "data/ssm/2014-11-06/service-2.json"
_PATCHWRIGHT_MODEL = DATA_DIRECTORY / "patchwright" / "2026-11-01" / "service-2.json"
_NODE_SSM_MODEL = DATA_DIRECTORY / "nodes" / "ssm.service-2.json"
_NODE_MESSAGES_MODEL = DATA_DIRECTORY / "nodes" / "ec2messages.service-2.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorShape:
    """An error that a service declares.

    `status` is the HTTP status; `message_key` the member that carries the text (`Message` or `message`), None for
    shapes without one.
    """

    name: str
    status: int
    message_key: str | None
    structure: StructureShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation. `target` is its X-Amz-Target, `service` the signing name that its callers must sign for."""

    name: str
    target: str
    service: str
    input: StructureShape
    output: StructureShape
    errors: Mapping[str, ErrorShape]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownOperation:
    """A target that no model has. `service` is the signing name of its prefix, None if the prefix is unknown too.

    A value and not an exception: the signature is checked first, so that a stranger cannot tell what exists.
    """

    target: str
    service: str | None

    def error(self) -> UnknownOperationError:
        """The refusal to raise once the caller is known."""
        return UnknownOperationError()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceModel:
    """One service: its operations by name and every error shape that its model has."""

    signing_name: str
    target_prefix: str
    operations: Mapping[str, Operation]
    errors: Mapping[str, ErrorShape]

    @classmethod
    def load_ssm(cls) -> ServiceModel:
        """The public SSM model of the installed botocore together with the node's operations at the same door.

        Raises ModelError if botocore has no such model, or if it has since gained one of the node's operations.
        """
        public = cls.from_dict(_with_old_spellings(_with_emptiable_texts(_read(_botocore_file(_SSM_MODEL)))))
        return public.joined(cls.from_dict(_read(_NODE_SSM_MODEL)))

    @classmethod
    def load_messages(cls) -> ServiceModel:
        """The node's message door (polling): EC2WindowsMessageDeliveryService."""
        return cls.from_dict(_read(_NODE_MESSAGES_MODEL))

    @classmethod
    def load_patchwright(cls) -> ServiceModel:
        """Our own service."""
        return cls.from_dict(_read(_PATCHWRIGHT_MODEL))

    @classmethod
    def from_dict(cls, model: Mapping[str, Any]) -> ServiceModel:
        """Compile a model in botocore's `service-2.json` format. Raises ModelError if it is not JSON 1.1 at POST /."""
        metadata = model["metadata"]
        if metadata.get("protocol") != "json" or metadata.get("jsonVersion") != "1.1":
            raise ModelError(f"{metadata.get('serviceId')}: only JSON 1.1 services can be served")
        prefix = metadata["targetPrefix"]
        signing_name = metadata.get("signingName", metadata["endpointPrefix"])
        compiler = ShapeCompiler(model["shapes"])
        errors = {
            name: _error_shape(name, definition, compiler.structure(name))
            for name, definition in model["shapes"].items()
            if definition.get("exception")
        }
        operations = {}
        for name, definition in model["operations"].items():
            http = definition["http"]
            if http["method"] != "POST" or http["requestUri"] != "/":
                raise ModelError(f"{prefix}.{name}: only POST / can be served")
            operations[name] = Operation(
                name=name,
                target=f"{prefix}.{name}",
                service=signing_name,
                input=_structure(compiler, definition.get("input")),
                output=_structure(compiler, definition.get("output")),
                errors={reference["shape"]: errors[reference["shape"]] for reference in definition.get("errors", ())},
            )
        return cls(signing_name=signing_name, target_prefix=prefix, operations=operations, errors=errors)

    def joined(self, other: ServiceModel) -> ServiceModel:
        """This service with the operations of `other` at the same door. Raises ModelError if any name is in both."""
        if (self.signing_name, self.target_prefix) != (other.signing_name, other.target_prefix):
            raise ModelError(f"{other.target_prefix} is not the same door as {self.target_prefix}")
        twice = sorted(self.operations.keys() & other.operations.keys())
        if twice:
            raise ModelError(f"{self.target_prefix}: modelled twice: {', '.join(twice)}")
        return replace(self, operations={**self.operations, **other.operations}, errors={**other.errors, **self.errors})


class Models:
    """Every service that this server speaks, looked up by X-Amz-Target."""

    def __init__(self, services: Iterable[ServiceModel]) -> None:
        self.services: Mapping[str, ServiceModel] = {service.target_prefix: service for service in services}
        self._by_target = {
            operation.target: operation
            for service in self.services.values()
            for operation in service.operations.values()
        }

    @classmethod
    def load(cls) -> Models:
        """All models of an installation."""
        return cls((ServiceModel.load_ssm(), ServiceModel.load_patchwright(), ServiceModel.load_messages()))

    def lookup(self, target: str) -> Operation | UnknownOperation:
        """The operation that an X-Amz-Target header names ("" if the header is absent)."""
        operation = self._by_target.get(target)
        if operation is not None:
            return operation
        service = self.services.get(target.partition(".")[0])
        return UnknownOperation(target=target, service=service.signing_name if service else None)

    def errors_of(self, operation: Operation) -> Mapping[str, ErrorShape]:
        """Every error shape of the operation's service: the declared ones and those that any operation may meet."""
        return self.services[operation.target.partition(".")[0]].errors


def _structure(compiler: ShapeCompiler, reference: Mapping[str, str] | None) -> StructureShape:
    if reference is not None:
        return compiler.structure(reference["shape"])
    return ShapeCompiler({"Empty": {"type": "structure", "members": {}}}).structure("Empty")


def _error_shape(name: str, definition: Mapping[str, Any], structure: StructureShape) -> ErrorShape:
    default = 500 if definition.get("fault") else 400
    key = next((key for key in ("Message", "message") if key in structure.members), None)
    status = definition.get("error", {}).get("httpStatusCode", default)
    return ErrorShape(name=name, status=status, message_key=key, structure=structure)


_EMPTIABLE = (("UpdatePatchBaselineRequest", "Description"),)
"""Texts that the managed service lets an update empty although its model gives them a minimum: Terraform sends `""`.

Source: spec/client-expectations.md, as run with the provider 5.100.0.
"""


def _with_emptiable_texts(model: dict[str, Any]) -> dict[str, Any]:
    shapes = model["shapes"]
    for structure, member in _EMPTIABLE:
        name = shapes[structure]["members"][member]["shape"]
        shapes[f"Emptiable{name}"] = {**shapes[name], "min": 0}
        shapes[structure]["members"][member] = {"shape": f"Emptiable{name}"}
    return model


_OLD_FILTER_TYPES = ("Equal", "NotEqual", "BeginWith", "LessThan", "GreaterThan")
"""Filter types of the compliance listings as the vendor's older examples spell them. Source: patch-baselines.md 7.3."""


def _with_old_spellings(model: dict[str, Any]) -> dict[str, Any]:
    operators = model["shapes"]["ComplianceQueryOperatorType"]
    operators["enum"] = [*operators["enum"], *_OLD_FILTER_TYPES]
    return model


def _botocore_file(name: str) -> Path:
    spec = importlib.util.find_spec("botocore")
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in (Path(folder, name), Path(folder, name + ".gz")):
            if path.is_file():
                return path
    raise ModelError(f"the installed botocore has no {name}; reinstall botocore")


def _read(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    model: dict[str, Any] = msgspec.json.decode(content)
    return model
