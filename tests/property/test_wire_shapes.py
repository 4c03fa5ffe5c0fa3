"""For every operation: what botocore writes we read, what we write botocore reads, and both come back unchanged."""

import json
import re
from datetime import UTC, datetime, timedelta

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchwright.wire.errors import SerializationError, ValidationError, WireError
from patchwright.wire.model import DATA_DIRECTORY, Models
from patchwright.wire.parse import parse_input, parse_request
from patchwright.wire.render import render_output

MODELS = Models.load()
SESSION = botocore.session.Session()
SESSION.get_component("data_loader").search_paths.append(str(DATA_DIRECTORY))
SERVICES = {"AmazonSSM": SESSION.get_service_model("ssm"), "Patchwright": SESSION.get_service_model("patchwright")}
PUBLIC = sorted(f"{prefix}.{name}" for prefix, service in SERVICES.items() for name in service.operation_names)
EVERY = sorted(op.target for service in MODELS.services.values() for op in service.operations.values())

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS = st.integers(0, 4_000_000_000).map(lambda seconds: EPOCH + timedelta(seconds=seconds))
MILLISECONDS = st.integers(0, 4_000_000_000_000).map(lambda ms: EPOCH + timedelta(milliseconds=ms))
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)

quick = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
)


def values(shape, moments, depth=0):
    """A strategy for values of one of botocore's shapes; constraints do not matter here, enums do."""
    kind = shape.type_name
    if kind == "structure":
        return structures(shape, moments, depth)
    if kind == "list":
        return st.lists(values(shape.member, moments, depth + 1), max_size=0 if depth > 5 else 2)
    if kind == "map":
        keys, inner = values(shape.key, moments, depth + 1), values(shape.value, moments, depth + 1)
        return st.dictionaries(keys, inner, max_size=0 if depth > 5 else 2)
    if kind == "string":
        return st.sampled_from(shape.enum) if shape.enum else TEXT
    scalars = {
        "integer": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
        "boolean": st.booleans(),
        "timestamp": moments,
        "blob": st.binary(max_size=8),
    }
    return scalars[kind]


def structures(shape, moments, depth):
    members = dict(shape.members)
    members.pop("NextToken", None)  # an empty one is omitted on purpose: tests/unit/wire/test_wire_render.py
    if depth > 5 or not members:
        return st.just({})
    if getattr(shape, "is_tagged_union", False):
        one_of = [st.fixed_dictionaries({n: values(m, moments, depth + 1)}) for n, m in members.items()]
        return st.one_of(one_of)
    # A few members per example: enough to meet each, and quick.
    chosen = st.lists(st.sampled_from(sorted(members)), unique=True, max_size=4)
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries({n: values(members[n], moments, depth + 1) for n in names})
    )


def public(target):
    prefix, _, name = target.partition(".")
    return SERVICES[prefix].operation_model(name), MODELS.lookup(target)


@pytest.mark.parametrize("target", PUBLIC)
def test_what_botocore_writes_is_read(target):
    theirs, ours = public(target)
    serializer = create_serializer("json", include_validation=False)

    @quick
    @given(values(theirs.input_shape, SECONDS) if theirs.input_shape else st.just({}))  # botocore writes whole seconds
    def check(request):
        sent = serializer.serialize_to_request(request, theirs)
        assert sent["headers"]["X-Amz-Target"] == ours.target
        assert parse_input(ours.input, sent["body"]) == request

    check()


@pytest.mark.parametrize("target", PUBLIC)
def test_what_is_rendered_is_read_by_botocore_and_by_us(target):
    theirs, ours = public(target)
    parser = create_parser("json")

    @quick
    @given(values(theirs.output_shape, MILLISECONDS) if theirs.output_shape else st.just({}))
    def check(answer):
        body = render_output(ours.output, answer)
        read = parser.parse({"status_code": 200, "headers": {}, "body": body}, theirs.output_shape)
        read.pop("ResponseMetadata")
        assert read == answer
        assert parse_input(ours.output, body) == answer

    check()


HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # what a terminal or a log would obey

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(EVERY), st.data())
def test_any_json_is_parsed_or_refused_with_a_typed_error(target, data):
    """Members that exist with values that do not fit; nothing but a WireError may come out."""
    operation = MODELS.lookup(target)
    names = st.sampled_from(sorted(operation.input.members) or ["X"])
    request = data.draw(st.dictionaries(names, JSON, max_size=4))
    try:
        parse_request(operation, json.dumps(request).encode())
    except (SerializationError, ValidationError) as error:
        assert error.status == 400
        assert error.message
        assert not HARMFUL.search(error.message)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=64) | TEXT.map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_parsed_or_refused_with_a_typed_error(body):
    try:
        parse_request(MODELS.lookup("AmazonSSM.SendCommand"), body)
    except WireError as error:
        assert error.status == 400
