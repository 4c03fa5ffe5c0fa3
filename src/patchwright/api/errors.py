"""The one table: DomainError -> the name that AWS gives it.

Each (error, kind) lists codes by preference; the first that the operation's model declares is used, else the
generic ValidationException, which every operation may answer. Source: operations.md 1.3, patch-baselines.md 9.1.
"""

from collections.abc import Container

from patchwright.core.errors import (
    AlreadyExists,
    DomainError,
    Duplicate,
    InUse,
    Invalid,
    InvalidId,
    Kind,
    LimitExceeded,
    Mismatch,
    NotFound,
    Refused,
    Unsupported,
)

GENERIC = "ValidationException"
ACCESS_DENIED = "AccessDeniedException"

CODES: dict[tuple[type[DomainError], Kind], tuple[str, ...]] = {
    (NotFound, Kind.BASELINE): ("DoesNotExistException", "InvalidResourceId"),
    (NotFound, Kind.PATCH_GROUP): ("DoesNotExistException",),
    (NotFound, Kind.ACTIVATION): ("InvalidActivation",),
    (NotFound, Kind.NODE): ("InvalidInstanceId", "InvalidResourceId", "DoesNotExistException"),
    (NotFound, Kind.COMMAND): ("InvalidCommandId",),
    (NotFound, Kind.INVOCATION): ("InvocationDoesNotExist",),
    (NotFound, Kind.DOCUMENT): ("InvalidDocument",),
    (NotFound, Kind.DOCUMENT_VERSION): ("InvalidDocumentVersion", "InvalidDocument"),
    (NotFound, Kind.RESOURCE): ("InvalidResourceId",),
    (NotFound, Kind.ACCESS_KEY): ("DoesNotExistException",),
    (NotFound, Kind.ACCOUNT): ("DoesNotExistException",),
    (NotFound, Kind.RUN): ("DoesNotExistException",),
    (NotFound, Kind.WINDOW): ("DoesNotExistException",),
    (NotFound, Kind.WINDOW_TARGET): ("DoesNotExistException",),
    (NotFound, Kind.WINDOW_TASK): ("DoesNotExistException",),
    (NotFound, Kind.WINDOW_EXECUTION): ("DoesNotExistException",),
    (AlreadyExists, Kind.PATCH_GROUP): ("AlreadyExistsException",),
    (AlreadyExists, Kind.ACCOUNT): ("ConflictException",),
    (AlreadyExists, Kind.RUN): ("ConflictException",),
    (InUse, Kind.BASELINE): ("ResourceInUseException",),
    (InUse, Kind.WINDOW_TARGET): ("TargetInUseException",),
    (LimitExceeded, Kind.WINDOW): ("ResourceLimitExceededException",),
    (LimitExceeded, Kind.WINDOW_TARGET): ("ResourceLimitExceededException",),
    (LimitExceeded, Kind.WINDOW_TASK): ("ResourceLimitExceededException",),
    (LimitExceeded, Kind.BASELINE): ("ResourceLimitExceededException",),
    (LimitExceeded, Kind.PATCH_GROUP): ("ResourceLimitExceededException",),
    (LimitExceeded, Kind.DOCUMENT): ("DocumentLimitExceeded",),
    (LimitExceeded, Kind.DOCUMENT_VERSION): ("DocumentVersionLimitExceeded",),
    (LimitExceeded, Kind.DOCUMENT_SIZE): ("MaxDocumentSizeExceeded",),
    (LimitExceeded, Kind.DOCUMENT_SHARE): ("DocumentPermissionLimit",),
    (AlreadyExists, Kind.DOCUMENT): ("DocumentAlreadyExists",),
    (AlreadyExists, Kind.DOCUMENT_CONTENT): ("DuplicateDocumentContent",),
    (AlreadyExists, Kind.DOCUMENT_VERSION_NAME): ("DuplicateDocumentVersionName",),
    (Invalid, Kind.DOCUMENT): ("InvalidDocument",),
    (Invalid, Kind.DOCUMENT_VERSION): ("InvalidDocumentVersion",),
    (Invalid, Kind.DOCUMENT_CONTENT): ("InvalidDocumentContent",),
    (Invalid, Kind.DOCUMENT_SCHEMA): ("InvalidDocumentSchemaVersion",),
    (Invalid, Kind.DOCUMENT_OPERATION): ("InvalidDocumentOperation", "InvalidDocument"),
    (LimitExceeded, Kind.TAG): ("TooManyTagsError", "TooManyUpdates"),
    (LimitExceeded, Kind.ACCESS_KEY): ("LimitExceededException",),
    (LimitExceeded, Kind.REPORT): ("LimitExceededException",),
    (Mismatch, Kind.TOKEN): ("IdempotentParameterMismatch", "InvalidDeleteInventoryParametersException"),
    (Invalid, Kind.TOKEN): ("InvalidNextToken",),
    (Invalid, Kind.FILTER): ("InvalidFilterKey", "InvalidFilter"),
    (Invalid, Kind.FILTER_VALUE): ("InvalidInstanceInformationFilterValue", "InvalidFilter"),
    (Invalid, Kind.ACTIVATION): ("InvalidParameters",),
    (Invalid, Kind.PARAMETERS): ("InvalidParameters",),
    (Invalid, Kind.NOTIFICATION): ("InvalidNotificationConfig",),
    (Invalid, Kind.RESOURCE): ("InvalidResourceType",),
    (Invalid, Kind.RUN): ("ConflictException",),
    (Invalid, Kind.SCHEDULE): ("InvalidSchedule",),
    (Invalid, Kind.INVOCATION): ("InvalidPluginName",),
    (InvalidId, Kind.BASELINE): ("InvalidResourceId", "DoesNotExistException"),
    (InvalidId, Kind.RESOURCE): ("InvalidResourceId",),
    (InvalidId, Kind.ACTIVATION): ("InvalidActivationId",),
    (InvalidId, Kind.NODE): ("InvalidInstanceId", "InvalidResourceId"),
    (InvalidId, Kind.COMMAND): ("InvalidCommandId",),
    (Duplicate, Kind.NODE): ("DuplicateInstanceId",),
    (Refused, Kind.REQUEST): (ACCESS_DENIED,),
    (Refused, Kind.RUN): (ACCESS_DENIED,),
    (Refused, Kind.NODE): (ACCESS_DENIED,),
    (Invalid, Kind.INVENTORY_TYPE): ("InvalidTypeNameException",),
    (LimitExceeded, Kind.INVENTORY_TYPE): ("CustomSchemaCountLimitExceededException",),
    (Unsupported, Kind.SCHEMA_VERSION): ("UnsupportedInventorySchemaVersionException",),
    (Invalid, Kind.ITEM_CONTENT): ("InvalidItemContentException",),
    (Mismatch, Kind.ITEM_CONTENT): ("ItemContentMismatchException",),
    (Unsupported, Kind.ITEM_CONTEXT): ("UnsupportedInventoryItemContextException",),
    (Invalid, Kind.ITEM_CONTEXT): ("InvalidInventoryItemContextException",),
    (LimitExceeded, Kind.ITEM): ("ItemSizeLimitExceededException",),
    (LimitExceeded, Kind.ITEMS): ("TotalSizeLimitExceededException",),
    (Invalid, Kind.AGGREGATOR): ("InvalidAggregatorException",),
    (Invalid, Kind.INVENTORY_GROUP): ("InvalidInventoryGroupException",),
    (Invalid, Kind.RESULT_ATTRIBUTE): ("InvalidResultAttributeException",),
    (Invalid, Kind.DELETION_OPTION): ("InvalidOptionException",),
    (NotFound, Kind.DELETION): ("InvalidDeletionIdException",),
    (LimitExceeded, Kind.COMPLIANCE_TYPE): ("ComplianceTypeCountLimitExceededException",),
    (Unsupported, Kind.BASELINE): ("UnsupportedOperatingSystem",),
    (Unsupported, Kind.WINDOW_TASK): ("FeatureNotAvailableException",),
    (Unsupported, Kind.NODE): ("UnsupportedPlatformType",),
}

ALWAYS = frozenset({GENERIC, ACCESS_DENIED})
"""Codes that every operation may answer without declaring them."""


def code_of(error: DomainError, declared: Container[str]) -> str:
    """The wire code for `error` in an operation that declares `declared`."""
    for code in CODES.get((type(error), error.kind), ()):
        if code in declared or code in ALWAYS:
            return code
    return GENERIC
