"""Every error the pipeline raises on purpose.

The class name is what Step Functions sees as `Error`, what the record keeps as `error.code` and what the
notification says, so a name here is a contract with `statemachine/process_image.asl.yaml`.

    PipelineError
    ├── RejectedError                 the user's file; the same file fails again, so never retried
    │   ├── UnsupportedFormatError
    │   ├── CorruptImageError
    │   ├── EmptyUploadError
    │   ├── UploadTooLargeError
    │   ├── ImageTooLargeError
    │   ├── UploadVanishedError
    │   └── UploadArchivedError
    ├── TransientError                AWS or the network; always retried
    │   ├── StorageUnavailableError
    │   └── LabelsDelayedError
    ├── LabelsUnavailableError        final for the labels, not for the picture: the record becomes PARTIAL
    ├── SupersededError               a newer upload of the same key holds the claim
    ├── UnchangedError                the upload has the content that its record shows: nothing to do
    ├── ExecutionTimedOutError        ┐ raised by nobody: statemachine/settle_image.asl.yaml names an
    ├── ExecutionAbortedError         ┘ execution so that ended without an outcome of its own
    ├── InvalidKeyError               the API was asked for something that cannot be a key
    ├── WrongPathError                the API was asked with a method that is for paths of another kind
    ├── UploadNotFoundError           the API, or a command, was asked to change an upload that is not there
    ├── UploadChangedError            the upload is not the one that the request was conditional on
    ├── InvalidMessageError           a message of BatchQueue names no upload
    ├── UploadExistsError             an upload that must not replace another would
    ├── TooSoonError                  an upload was reprocessed less than the cooldown ago
    ├── InvalidRequestError           the API, or a command, was asked in a way that it does not understand
    ├── ApiKeyUnusableError           there is no such API key, or it is revoked or expired
    └── SettingsError                 the deployment, not the picture
"""


class PipelineError(Exception):
    """The base of all of them: what rule was broken by what value, and what to do next.

    `str()` gives the message and, on a second line, the hint. Lambda hands `str()` to Step Functions as
    `errorMessage`, and the workflow splits the two there, so neither may hold a line break of its own.
    """

    def __init__(self, message: str, hint: str) -> None:
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())
        super().__init__(f"{self.message}\n{self.hint}")


class RejectedError(PipelineError):
    """The uploaded file cannot become pictures."""


class UnsupportedFormatError(RejectedError):
    """The content is not one of the admitted formats, whatever the name says."""


class CorruptImageError(RejectedError):
    """The header or the pixels cannot be decoded."""


class EmptyUploadError(RejectedError):
    """The object has zero bytes."""


class UploadTooLargeError(RejectedError):
    """The object has more bytes than the limit."""


class ImageTooLargeError(RejectedError):
    """The picture has more pixels, frames, scans or predicted memory than the limit."""


class UploadVanishedError(RejectedError):
    """The object was deleted or replaced before it was read."""


class UploadArchivedError(RejectedError):
    """The object is in an archive storage class: S3 returns its bytes only after it has been restored."""


class TransientError(PipelineError):
    """Something that works when it is tried again."""


class StorageUnavailableError(TransientError):
    """S3 or DynamoDB throttled the call, failed, or could not be reached."""


class LabelsDelayedError(TransientError):
    """Rekognition throttled the call, failed, or could not be reached."""


class LabelsUnavailableError(PipelineError):
    """Rekognition refused the picture or the caller; trying again changes nothing."""


class SupersededError(PipelineError):
    """The record is claimed by the execution of a newer upload."""


class UnchangedError(PipelineError):
    """The upload has the content that its record shows, and every rendition exists: nothing is to be made."""


class ExecutionTimedOutError(PipelineError):
    """The execution did not end within its time."""


class ExecutionAbortedError(PipelineError):
    """The execution was stopped from outside."""


class InvalidKeyError(PipelineError):
    """The path of a request cannot be the key of an upload."""


class WrongPathError(PipelineError):
    """The path of a request is not of the kind that its method is for."""


class UploadNotFoundError(PipelineError):
    """There is no object with that key in the uploads bucket."""


class UploadChangedError(PipelineError):
    """The object has another etag than the request's If-Match."""


class InvalidMessageError(PipelineError):
    """A message of BatchQueue names no upload of this stack."""


class UploadExistsError(PipelineError):
    """There is an upload with that key, and the request must not replace it."""


class TooSoonError(PipelineError):
    """The upload was reprocessed less than the cooldown ago."""

    def __init__(self, message: str, hint: str, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message, hint)


class InvalidRequestError(PipelineError):
    """The body, a parameter or a header of a request is not what it must be."""


class ApiKeyUnusableError(PipelineError):
    """An API key cannot be changed as asked: it does not exist, is revoked or has expired."""


class SettingsError(PipelineError):
    """An environment variable is missing or has a value that is not allowed."""


REJECTIONS = frozenset(error.__name__ for error in RejectedError.__subclasses__())
"""What an error code says when the fault is the file's and not ours."""

_INTERNAL = {
    "message": "The pipeline could not process the upload; the picture itself may be fine.",
    "hint": "Its operators have been told the reason. Upload the picture again later.",
}


def for_outsiders(error: dict[str, str]) -> dict[str, str]:
    """The error of a record as anybody may know it.

    What went wrong inside may name accounts and roles: the record and the notification tell it to the operators.

    Args:
        error: `code`, `message`, `hint` and `step`, as in the record.
    """
    return error if error["code"] in REJECTIONS else {**error, **_INTERNAL}
