"""The one operation of STS that is served: GetCallerIdentity, which Terraform and people ask.

It speaks the older query protocol: a form in, XML out. Source: spec/client-expectations.md, design decision 21.
"""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qsl

from patchwright.wire.errors import WireError

SIGNING_NAME = "sts"
REQUEST_CONTENT_TYPE = "application/x-www-form-urlencoded"
CONTENT_TYPE = "text/xml"
OPERATION = "GetCallerIdentity"
VERSION = "2011-06-15"
MAX_BODY = 4096  # bytes; the request has 43

_NAMESPACE = f"https://sts.amazonaws.com/doc/{VERSION}/"

_CODES = {
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "ExpiredTokenException": ("ExpiredToken", 403),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "AccessDeniedException": ("AccessDenied", 403),
    "ThrottlingException": ("Throttling", 400),
    "UnknownOperationException": ("InvalidAction", 400),
    "InternalServerError": ("InternalFailure", 500),
}
"""The query protocol has its own names for the errors that any call may meet; SDKs look for these."""


def parse_call(body: bytes) -> None:
    """Check that a form asks for GetCallerIdentity. Raises WireError InvalidAction or MalformedQueryString."""
    try:
        if len(body) > MAX_BODY:
            raise ValueError
        form = dict(parse_qsl(body.decode("ascii"), strict_parsing=True, max_num_fields=16))
    except ValueError:
        raise WireError("MalformedQueryString", "The body must be a form with Action and Version.") from None
    if form.get("Action") != OPERATION or form.get("Version") != VERSION:
        raise WireError("InvalidAction", f"Only Action={OPERATION} with Version={VERSION} is served.")


def render_identity(*, arn: str, user_id: str, account: str, request_id: str) -> bytes:
    """Who the caller is, as XML."""
    return (
        f'<GetCallerIdentityResponse xmlns="{_NAMESPACE}"><GetCallerIdentityResult>'
        f"<Arn>{escape(arn)}</Arn><UserId>{escape(user_id)}</UserId><Account>{escape(account)}</Account>"
        f"</GetCallerIdentityResult><ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    ).encode()


def render_error(error: WireError, request_id: str) -> tuple[int, bytes]:
    """An error as status and XML, under the name that the query protocol has for it."""
    code, status = _CODES.get(error.code, (error.code, error.status))
    side = "Sender" if status < 500 else "Receiver"
    return status, (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>{side}</Type><Code>{escape(code)}</Code>'
        f"<Message>{escape(error.message)}</Message></Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    ).encode()
