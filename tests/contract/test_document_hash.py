"""SendCommand: the document must be the one that the caller means."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from patchwright.core.builtin_documents import BUILTIN


def test_a_document_hash_must_be_that_of_the_document(ssm: Any) -> None:

    right = BUILTIN["AWS-RunShellScript"].sha256
    call = {
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["true"]},
        "Targets": [{"Key": "tag:a", "Values": ["b"]}],
    }
    assert ssm.send_command(DocumentHash=right, DocumentHashType="Sha256", **call)["Command"]["CommandId"]
    with pytest.raises(ClientError, match="InvalidDocument"):
        ssm.send_command(DocumentHash="0" * 64, **call)
    with pytest.raises(ClientError, match="ValidationException"):
        ssm.send_command(DocumentHash=right, DocumentHashType="Sha1", **call)
