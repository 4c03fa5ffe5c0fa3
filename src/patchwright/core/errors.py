"""The few errors that decisions raise. They carry a kind and an id; `api/errors.py` gives them AWS's names."""

from enum import StrEnum


class Kind(StrEnum):
    """What a DomainError speaks of."""

    BASELINE = "patch baseline"
    PATCH_GROUP = "patch group"
    ACTIVATION = "activation"
    NODE = "managed node"
    COMMAND = "command"
    INVOCATION = "invocation"
    DOCUMENT = "document"
    DOCUMENT_VERSION = "document version"
    DOCUMENT_VERSION_NAME = "document version name"
    DOCUMENT_SIZE = "document size"
    DOCUMENT_TYPE = "document type"
    DOCUMENT_SCHEMA = "document schema"
    DOCUMENT_CONTENT = "document content"
    DOCUMENT_OPERATION = "document operation"
    DOCUMENT_SHARE = "document share"
    NOTIFICATION = "notification"
    TAG = "tag"
    RESOURCE = "resource"
    TOKEN = "token"  # noqa: S105 - the word, not a secret
    FILTER = "filter"
    FILTER_VALUE = "filter value"
    ACCESS_KEY = "access key"
    ACCOUNT = "account"
    REPORT = "report"
    RUN = "run"
    PARAMETERS = "parameters"
    INVENTORY_TYPE = "inventory type"
    INVENTORY_GROUP = "inventory group"
    SCHEMA_VERSION = "schema version"
    ITEM = "item"
    ITEMS = "items"
    ITEM_CONTENT = "item content"
    ITEM_CONTEXT = "item context"
    AGGREGATOR = "aggregator"
    RESULT_ATTRIBUTE = "result attribute"
    DELETION = "deletion"
    DELETION_OPTION = "deletion option"
    COMPLIANCE_TYPE = "compliance type"
    REQUEST = "request"
    SCHEDULE = "schedule"
    WINDOW = "maintenance window"
    WINDOW_TARGET = "window target"
    WINDOW_TASK = "window task"
    WINDOW_EXECUTION = "window execution"


class DomainError(Exception):
    """Something that a caller can understand and mend. `message` is shown to them, so it holds no secret."""

    def __init__(self, kind: Kind, message: str, *, id: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.id = id
        self.message = message


class NotFound(DomainError):
    """The thing named does not exist in this account and region."""


class AlreadyExists(DomainError):
    """The place is taken by something else."""


class InUse(DomainError):
    """The thing can't be removed while something refers to it."""


class LimitExceeded(DomainError):
    """A named limit would be passed; nothing was changed."""


class Invalid(DomainError):
    """The values given break a rule between them; nothing was changed."""


class InvalidId(DomainError):
    """The id has not the form that ids of this kind have."""


class Duplicate(DomainError):
    """The same id was given twice in one request."""


class Mismatch(DomainError):
    """The same client token came with other parameters."""


class Refused(DomainError):
    """Authenticated, but not allowed."""


class Unsupported(DomainError):
    """Understood, but not something this server does."""
