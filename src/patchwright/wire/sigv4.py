"""Verify who signed a request with SigV4: exact, or refused. The RSA form of nodes is in `node_signature`.

The caller's order is parse -> look the key up -> check its session token -> verify (scope, clock, signature).
Source: spec/operations.md 1.4, texts 1.3; spec/agent-protocol.md 3.1.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise

from patchwright.wire.canonical import SignedRequest, string_to_sign
from patchwright.wire.errors import (
    IncompleteSignatureError,
    InvalidSignatureError,
    MissingAuthenticationTokenError,
)

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
CLOCK_TOLERANCE = timedelta(minutes=5)
"""The service's own; a server may be configured to allow up to 15 minutes."""

NODE_KEY_PREFIX = "mi-"
MAX_AUTHORIZATION = 4096  # characters; the RSA form with all of a node's headers has under 700
MAX_SIGNED_HEADERS = 64

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_REGION = re.compile(r"[A-Za-z0-9-]{1,100}")
_KEY_ID = re.compile(r"[\w-]{3,128}", re.ASCII)
_SCOPE_DATE = re.compile(r"[0-9]{8}")
_AMZ_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """What the Authorization header claims, and when the request says that it was signed. Nothing is verified yet."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    amz_date: str
    signed_at: datetime

    @property
    def by_node_key(self) -> bool:
        """True for the RSA form: the access key slot holds a node's id."""
        return self.access_key_id.startswith(NODE_KEY_PREFIX)

    @property
    def scope(self) -> str:
        """`date/region/service/aws4_request`."""
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


def parse_authorization(request: SignedRequest) -> Authorization:
    """Read the claim. Raises MissingAuthenticationTokenError or IncompleteSignatureError; no secret is needed."""
    header = request.header("authorization")
    if "x-amz-algorithm=" in request.query.lower() or "x-amz-signature=" in request.query.lower():
        raise IncompleteSignatureError("Presigned requests are not served. Sign with an Authorization header.")
    if not header:
        raise MissingAuthenticationTokenError
    if len(header) > MAX_AUTHORIZATION or not header.isascii():
        raise IncompleteSignatureError("The Authorization header is too long or holds other than ASCII characters.")
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteSignatureError(f"The Authorization header must begin with '{ALGORITHM}'.")
    credential, signed_headers, signature = _parameters(rest)
    access_key_id, date, region, service = _credential(credential)
    amz_date, signed_at = _signing_time(request)
    return Authorization(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=_signed_headers(signed_headers, request),
        signature=signature,
        amz_date=amz_date,
        signed_at=signed_at,
    )


def verify(
    request: SignedRequest,
    authorization: Authorization,
    secret: str,
    *,
    service: str | None,
    now: datetime,
    tolerance: timedelta = CLOCK_TOLERANCE,
) -> None:
    """Raise InvalidSignatureError unless `request` was signed with `secret`, for `service`, around `now` (aware, UTC).

    `service` is the signing name that the target demands; None (an unknown target) accepts the claimed one. Any region
    is right here: it selects a partition of the data.
    """
    check_scope_and_clock(authorization, service, now, tolerance)
    key = _signing_key(secret, authorization.date, authorization.region, authorization.service)
    text = string_to_sign(request, authorization.signed_headers, authorization.amz_date, authorization.scope)
    expected = hmac.new(key, text, sha256).hexdigest()
    if not hmac.compare_digest(expected, authorization.signature):
        raise InvalidSignatureError(MISMATCH)


def _parameters(text: str) -> tuple[str, str, str]:
    """The values of Credential, SignedHeaders and Signature; blanks after the commas are optional."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name in found:
            raise IncompleteSignatureError(f"Authorization header has '{name[:32]}' more than once.")
        found[name] = value
    names = ("Credential", "Signature", "SignedHeaders")
    missing = [f"Authorization header requires '{name}' parameter." for name in names if not found.get(name)]
    if missing:
        raise IncompleteSignatureError(" ".join(missing))
    return found["Credential"], found["SignedHeaders"], found["Signature"]


def _credential(text: str) -> tuple[str, str, str, str]:
    parts = text.split("/")
    if len(parts) != 5:
        raise IncompleteSignatureError(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term."
        )
    access_key_id, date, region, service, terminator = parts
    if not _KEY_ID.fullmatch(access_key_id):
        raise IncompleteSignatureError("Credential must begin with an access key id.")
    if not _SCOPE_DATE.fullmatch(date):
        raise IncompleteSignatureError("Credential should be scoped to a date of the form YYYYMMDD.")
    if not _REGION.fullmatch(region):
        raise IncompleteSignatureError("Credential should be scoped to a valid region.")
    if not _REGION.fullmatch(service):
        raise IncompleteSignatureError("Credential should be scoped to a service.")
    if terminator != TERMINATOR:
        raise IncompleteSignatureError(f"Credential should be scoped with a valid terminator: '{TERMINATOR}'.")
    return access_key_id, date, region, service


def _signing_time(request: SignedRequest) -> tuple[str, datetime]:
    """X-Amz-Date, or the Date header in its stead: the text to sign, and the instant."""
    amz_date, date = request.header("x-amz-date"), request.header("date")
    if amz_date is None and date is not None and not _AMZ_DATE.fullmatch(date):
        from email.utils import parsedate_to_datetime  # rare: every SDK sends X-Amz-Date

        try:
            moment = parsedate_to_datetime(date[:64])
            # "-0000" says UTC of an unknown zone, and parses as a datetime without one.
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            amz_date = _basic(moment)
        except (ValueError, OverflowError):
            raise IncompleteSignatureError("The Date header is not a date.") from None
    text = amz_date or date
    if not text:
        raise IncompleteSignatureError(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    try:
        if not _AMZ_DATE.fullmatch(text):
            raise ValueError
        numbers = (text[:4], text[4:6], text[6:8], text[9:11], text[11:13], text[13:15])
        year, month, day, hour, minute, second = map(int, numbers)
        return text, datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise IncompleteSignatureError("Date must be in ISO-8601 'basic format' (YYYYMMDDThhmmssZ).") from None


def _signed_headers(text: str, request: SignedRequest) -> tuple[str, ...]:
    names = tuple(text.split(";"))
    if len(names) > MAX_SIGNED_HEADERS or not all(_HEADER_NAME.fullmatch(name) for name in names):
        raise IncompleteSignatureError("'SignedHeaders' must be a list of lower-case header names, joined by ';'.")
    if any(first >= second for first, second in pairwise(names)):
        raise IncompleteSignatureError("'SignedHeaders' must be sorted, each header once.")
    date = "x-amz-date" if "x-amz-date" in request.headers else "date"
    required = ["host", date]
    # Unsigned, these would let somebody else swap the operation or the identity.
    required += [name for name in ("x-amz-target", "x-amz-security-token") if name in request.headers]
    for name in required:
        if name not in names:
            raise IncompleteSignatureError(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    return names


def check_scope_and_clock(
    authorization: Authorization, service: str | None, now: datetime, tolerance: timedelta
) -> None:
    """Raise InvalidSignatureError if the scope is for another service or day, or the clocks are too far apart."""
    if service is not None and authorization.service != service:
        raise InvalidSignatureError(f"Credential should be scoped to correct service: '{service}'.")
    if authorization.date != authorization.amz_date[:8]:
        raise InvalidSignatureError(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{authorization.date}' != '{authorization.amz_date[:8]}'."
        )
    minutes = int(tolerance.total_seconds() // 60)
    now = now.replace(microsecond=0)  # the request's date has whole seconds only
    if authorization.signed_at < now - tolerance:
        raise InvalidSignatureError(
            f"Signature expired: {authorization.amz_date} is now earlier than {_basic(now - tolerance)} "
            f"({_basic(now)} - {minutes} min.)"
        )
    if authorization.signed_at > now + tolerance:
        raise InvalidSignatureError(
            f"Signature not yet current: {authorization.amz_date} is still later than {_basic(now + tolerance)} "
            f"({_basic(now)} + {minutes} min.)"
        )


def _basic(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=4096)  # one per key, day, region and service in use; four HMACs saved per request
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode("ascii"), "sha256")
    return key
