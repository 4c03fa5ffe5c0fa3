"""Which operations are served, and that our own models are what AWS's tools can read."""

import json
import os
import subprocess
import sys

import botocore.session
import pytest
import regex
from botocore.loaders import Loader

from patchwright.wire.model import DATA_DIRECTORY, ServiceModel, UnknownOperation
from patchwright.wire.shapes import ListShape, ModelError, StringShape

NODE_OPERATIONS = {
    "RegisterManagedInstance",
    "RequestManagedInstanceRoleToken",
    "UpdateManagedInstancePublicKey",
    "UpdateInstanceInformation",
    "ListInstanceAssociations",
    "UpdateInstanceAssociationStatus",
}


@pytest.fixture(scope="module")
def public():
    """What botocore itself says about SSM."""
    return botocore.session.Session().get_service_model("ssm")


def test_every_public_operation_and_every_operation_of_nodes_is_served_once(models, public):
    served = set(models.services["AmazonSSM"].operations)
    assert served == set(public.operation_names) | NODE_OPERATIONS
    assert not set(public.operation_names) & NODE_OPERATIONS


def test_an_operation_is_found_by_its_target(models, operation):
    found = operation("CreatePatchBaseline")
    assert (found.name, found.target, found.service) == ("CreatePatchBaseline", "AmazonSSM.CreatePatchBaseline", "ssm")
    assert found.input.members["Name"].required
    assert not found.input.members["Description"].required
    assert set(found.errors) == {"IdempotentParameterMismatch", "ResourceLimitExceededException", "InternalServerError"}
    assert operation("Patchwright.ExplainPatch").service == "patchwright"
    assert operation("EC2WindowsMessageDeliveryService.GetMessages").service == "ec2messages"


@pytest.mark.parametrize(
    ("target", "service"),
    [
        ("AmazonSSM.NoSuchThing", "ssm"),
        ("Patchwright.", "patchwright"),
        ("AmazonSSM", "ssm"),
        ("", None),
        ("DynamoDB_20120810.ListTables", None),
        ("amazonssm.SendCommand", None),
        ("AmazonSSM.SendCommand ", "ssm"),
    ],
)
def test_an_unknown_target_still_says_for_whom_its_caller_must_sign(models, target, service):
    found = models.lookup(target)
    assert isinstance(found, UnknownOperation)
    assert found.service == service
    assert (found.error().code, found.error().status) == ("UnknownOperationException", 400)


def test_declared_errors_and_their_message_keys_are_botocores(models, public):
    errors = models.services["AmazonSSM"].errors
    for shape in public.error_shapes:
        mine = errors[shape.name]
        expected = next((key for key in ("Message", "message") if key in shape.members), None)
        assert mine.message_key == expected, shape.name
        assert mine.status == (500 if shape.name == "InternalServerError" else 400), shape.name
    assert errors["InvalidCommandId"].message_key is None


def test_a_shape_that_holds_itself_is_compiled(operation):
    aggregators = operation("GetInventory").input.members["Aggregators"].shape
    assert isinstance(aggregators, ListShape)
    assert aggregators.member.members["Aggregators"].shape is aggregators


def test_loading_does_not_import_botocore():
    script = (
        "import sys; from patchwright.wire.model import Models; Models.load();"
        "sys.exit('botocore' in sys.modules or 'cryptography' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0


def test_every_pattern_compiles_and_means_the_same_as_in_java(models):
    """ASCII classes and Unicode properties in one pattern would need a translation that nobody has written."""
    for service in models.services.values():
        for name in service.operations:
            for shape in _strings(service.operations[name].input, set()):
                if shape.pattern:
                    regex.compile(shape.pattern)
                    classes = regex.search(r"\\[wdsb]", shape.pattern)
                    assert not (r"\p{" in shape.pattern and classes), shape.name


def _strings(shape, seen):
    if shape in seen:
        return
    seen.add(shape)
    if isinstance(shape, StringShape):
        yield shape
    for inner in [m.shape for m in getattr(shape, "members", {}).values()] + [
        getattr(shape, part) for part in ("member", "key", "value") if hasattr(shape, part)
    ]:
        yield from _strings(inner, seen)


def test_the_data_folder_gives_botocore_our_service_and_nothing_else():
    loader = Loader(extra_search_paths=[str(DATA_DIRECTORY)], include_default_search_paths=False)
    assert loader.list_available_services("service-2") == ["patchwright"]
    session = botocore.session.Session()
    session.get_component("data_loader").search_paths.append(str(DATA_DIRECTORY))
    client = session.create_client(
        "patchwright",
        region_name="local-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="x",
    )
    assert client.meta.service_model.signing_name == "patchwright"
    assert client.can_paginate("list_access_keys")
    assert client.can_paginate("list_accounts")


def test_our_models_are_documented_tidy_and_hold_nothing_unused():
    files = [DATA_DIRECTORY / "patchwright/2026-11-01/service-2.json", *sorted((DATA_DIRECTORY / "nodes").iterdir())]
    assert len(files) == 3
    for path in files:
        text = path.read_text("utf-8")
        model = json.loads(text)
        assert text == json.dumps(model, indent=2, ensure_ascii=False) + "\n", path
        for name, operation in model["operations"].items():
            assert operation["documentation"].strip(), name
            assert operation["name"] == name
        assert set(model["shapes"]) == _reachable(model), path


def _reachable(model):
    found, queue = set(), []
    for operation in model["operations"].values():
        queue += [operation["input"]["shape"], operation["output"]["shape"], *(e["shape"] for e in operation["errors"])]
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found.add(name)
        shape = model["shapes"][name]
        references = [*shape.get("members", {}).values(), *(shape[k] for k in ("member", "key", "value") if k in shape)]
        queue += [reference["shape"] for reference in references]
    return found


MODEL = {
    "metadata": {
        "protocol": "json",
        "jsonVersion": "1.1",
        "targetPrefix": "T",
        "endpointPrefix": "t",
        "serviceId": "T",
    },
    "operations": {
        "Do": {"name": "Do", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "In"}, "errors": []}
    },
    "shapes": {"In": {"type": "structure", "members": {"A": {"shape": "S"}}}, "S": {"type": "string"}},
}


def changed(path, value):
    model = json.loads(json.dumps(MODEL))
    *way, last = path.split(".")
    place = model
    for step in way:
        place = place[step]
    place[last] = value
    return model


def test_an_operation_without_output_answers_an_empty_object():
    assert dict(ServiceModel.from_dict(MODEL).operations["Do"].output.members) == {}


@pytest.mark.parametrize(
    "model",
    [
        changed("metadata.protocol", "query"),
        changed("metadata.jsonVersion", "1.0"),
        changed("operations.Do.http.requestUri", "/do"),
        changed("shapes.In.members.A.shape", "Nowhere"),
        changed("shapes.S.type", "document"),
        changed("shapes.In.type", "string"),
        changed("shapes.In.members.A.locationName", "a"),
    ],
)
def test_a_model_that_cannot_be_served_is_refused_at_start(model):
    with pytest.raises(ModelError):
        ServiceModel.from_dict(model)


def test_an_operation_that_is_modelled_twice_is_refused():
    service = ServiceModel.from_dict(MODEL)
    with pytest.raises(ModelError, match="modelled twice: Do"):
        service.joined(service)
    with pytest.raises(ModelError, match="same door"):
        service.joined(ServiceModel.from_dict(changed("metadata.targetPrefix", "U")))


def test_a_botocore_without_the_model_is_named(tmp_path):
    (tmp_path / "botocore").mkdir()
    (tmp_path / "botocore" / "__init__.py").touch()
    script = "from patchwright.wire.model import ServiceModel; ServiceModel.load_ssm()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    run = subprocess.run([sys.executable, "-c", script], env=environment, check=False, capture_output=True, text=True)
    assert "ModelError: the installed botocore has no data/ssm/2014-11-06/service-2.json" in run.stderr
