"""Errors that this room can answer with; each knows its code on the wire and its HTTP status.

Source: spec/operations.md 1.3.
"""

from __future__ import annotations

from collections.abc import Mapping


class WireError(Exception):
    """A request that is refused before any handler sees it: the code and text that the client gets.

    `status` is the HTTP status. The text may quote the request (cut and made printable), never a secret.
    `members`: what the error's shape may have besides, such as TypeName.
    """

    def __init__(self, code: str, message: str, status: int = 400, members: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members or {}


class SerializationError(WireError):
    """The body is not JSON, not an object, or holds a value of the wrong JSON type."""

    def __init__(self, message: str) -> None:
        super().__init__("SerializationException", message)


class ValidationError(WireError):
    """One or more members break a constraint of the model, or a rule across members."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class UnknownOperationError(WireError):
    """The X-Amz-Target header names nothing that is served. Raise it only after the signature was verified."""

    def __init__(self, message: str = "The requested operation is not known to this server.") -> None:
        super().__init__("UnknownOperationException", message)


class MissingAuthenticationTokenError(WireError):
    """The request carries no Authorization header."""

    def __init__(self) -> None:
        super().__init__("MissingAuthenticationTokenException", "Missing Authentication Token")


class IncompleteSignatureError(WireError):
    """The Authorization header, or a header that it depends on, is malformed or absent."""

    def __init__(self, message: str) -> None:
        super().__init__("IncompleteSignatureException", message)


class UnrecognizedClientError(WireError):
    """The access key is unknown or inactive, or its session token was not issued by this server."""

    def __init__(self) -> None:
        super().__init__("UnrecognizedClientException", "The security token included in the request is invalid.")


class ExpiredTokenError(WireError):
    """The session token was issued by this server and its time is over."""

    def __init__(self) -> None:
        super().__init__("ExpiredTokenException", "The security token included in the request is expired")


class InvalidSignatureError(WireError):
    """The signature does not match, its scope is for something else, or the clocks are too far apart."""

    def __init__(self, message: str) -> None:
        super().__init__("InvalidSignatureException", message)


class InvalidNextTokenError(WireError):
    """A NextToken that was not made by this server for this very listing.

    Operations that do not declare InvalidNextToken answer ValidationException instead; `api` decides.
    Source: spec/operations.md 1.6.
    """

    def __init__(self) -> None:
        super().__init__(
            "InvalidNextToken",
            "The specified token is not valid for this request. Repeat the request without NextToken to start over.",
        )


class InternalServerError(WireError):
    """Anything that is not the client's fault; the text never tells more than the request id does."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            "InternalServerError", f"An internal error occurred. The server's log has it as request {request_id}.", 500
        )
