"""Every error the pipeline raises on purpose.

The class name is what Step Functions sees as `Error`, what the record keeps as `error.code` and what the
notification says, so each name is a contract with the workflows in `statemachine/`.

    PipelineError
    ├── RejectedError                 the file cannot be processed; never retried, because it would fail again
    │   ├── UnsupportedFormatError
    │   ├── CorruptImageError
    │   ├── EmptyUploadError
    │   ├── UploadTooLargeError
    │   ├── ImageTooLargeError
    │   ├── UploadVanishedError
    │   └── UploadArchivedError
    ├── TransientError                AWS or the network failed; always retried
    │   ├── StorageUnavailableError
    │   └── LabelsDelayedError
    ├── LabelsUnavailableError        the image has no labels; the record becomes PARTIAL
    ├── SupersededError               a newer upload of the same key has claimed the record
    ├── UnchangedError                the record already shows this content; nothing to do
    ├── ExecutionTimedOutError        ┐ never raised: the SettleImage workflow writes these codes for
    ├── ExecutionAbortedError         ┘ executions that ended without an outcome
    ├── InvalidKeyError               the path of a request does not contain a valid key
    ├── WrongPathError                the path exists but does not accept this method
    ├── UploadNotFoundError           the upload to change does not exist
    ├── UploadChangedError            the upload has a different etag than the request requires
    ├── UploadNotDeletedError         the upload to restore is not deleted
    ├── InvalidMessageError           a BatchQueue message does not name a valid upload
    ├── UploadExistsError             the key is taken and the request must not overwrite it
    ├── TooSoonError                  the upload was reprocessed within the cooldown
    ├── InvalidRequestError           a request or a command has an invalid body, parameter or header
    ├── NotPermittedError             the caller's key lacks a scope, or the upload is outside its folder
    ├── ApiKeyUnusableError           the API key does not exist, is revoked, or has expired
    └── SettingsError                 an environment variable is missing or invalid
"""


class PipelineError(Exception):
    """The base class: the message states the broken rule and the value, the hint what to do next.

    `str()` returns the message and, on a second line, the hint. Lambda passes `str()` to Step Functions as
    `errorMessage`, and the workflow splits it at the line break, so neither part may contain one.
    """

    def __init__(self, message: str, hint: str) -> None:
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())
        super().__init__(f"{self.message}\n{self.hint}")


class RejectedError(PipelineError):
    """The uploaded file cannot be processed."""


class UnsupportedFormatError(RejectedError):
    """The content is not in an accepted format, whatever the file name says."""


class CorruptImageError(RejectedError):
    """The header or the pixels cannot be decoded."""


class EmptyUploadError(RejectedError):
    """The object has zero bytes."""


class UploadTooLargeError(RejectedError):
    """The object has more bytes than the limit."""


class ImageTooLargeError(RejectedError):
    """The image exceeds the limit of pixels, frames, scans or predicted memory."""


class UploadVanishedError(RejectedError):
    """The object was deleted or replaced before it was read."""


class UploadArchivedError(RejectedError):
    """The object is in an archive storage class; S3 returns its bytes only after a restore."""


class TransientError(PipelineError):
    """A call failed that may succeed when it is retried."""


class StorageUnavailableError(TransientError):
    """S3 or DynamoDB throttled the call, failed, or could not be reached."""


class LabelsDelayedError(TransientError):
    """Rekognition throttled the call, failed, or could not be reached."""


class LabelsUnavailableError(PipelineError):
    """Rekognition refused the image or the caller; a retry would fail again."""


class SupersededError(PipelineError):
    """The record is claimed by the execution of a newer upload."""


class UnchangedError(PipelineError):
    """The record already shows this content, and every rendition exists; nothing to do."""


class ExecutionTimedOutError(PipelineError):
    """The execution exceeded its timeout."""


class ExecutionAbortedError(PipelineError):
    """Someone stopped the execution."""


class InvalidKeyError(PipelineError):
    """The path of a request does not contain a valid upload key."""


class WrongPathError(PipelineError):
    """The path exists but does not accept this method."""


class UploadNotFoundError(PipelineError):
    """The uploads bucket has no object with this key."""


class UploadChangedError(PipelineError):
    """The object's etag differs from the request's If-Match."""


class UploadNotDeletedError(PipelineError):
    """The upload to restore is not deleted, or a new one was stored meanwhile."""


class InvalidMessageError(PipelineError):
    """A BatchQueue message does not name an upload of this stack."""


class UploadExistsError(PipelineError):
    """An upload with this key exists, and the request must not overwrite it."""


class TooSoonError(PipelineError):
    """The upload was reprocessed within the cooldown."""

    def __init__(self, message: str, hint: str, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message, hint)


class InvalidRequestError(PipelineError):
    """The body, a parameter or a header of a request is invalid."""


class NotPermittedError(PipelineError):
    """The caller's key or token lacks a scope, or the upload is outside the folder of the key."""


class ApiKeyUnusableError(PipelineError):
    """The API key does not exist, is revoked, or has expired."""


class SettingsError(PipelineError):
    """An environment variable is missing or invalid."""


REJECTIONS = frozenset(error.__name__ for error in RejectedError.__subclasses__())
"""The error codes of rejected files. Every other code is a fault of the pipeline or of AWS."""

_INTERNAL = {
    "message": "The pipeline could not process the upload. The image itself may be valid.",
    "hint": "The operators were notified of the cause. Upload the image again later.",
}


def public_error(error: dict[str, str]) -> dict[str, str]:
    """Return the error of a record without internal details.

    Internal errors may name accounts and roles. Only operators see those, in the record and in the notification.

    Args:
        error: `code`, `message`, `hint` and `step`, as in the record.
    """
    return error if error["code"] in REJECTIONS else {**error, **_INTERNAL}
