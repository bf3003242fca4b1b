"""Repositories in an object store or on a mount that refuses or cannot be reached."""

from tests.loadfailures.failure import Cause, End, Failure, poll_failed
from tests.loadfailures.layouts import COMPLETE, model
from tests.loadfailures.object_store import S3_KEY, Store

S3 = "s3://http://127.0.0.1:{store_port}/models/live"
NOWHERE = "http://127.0.0.1:1"
"""Port 1 refuses connections."""
STORED = {path.replace("models/", "live/", 1): str(text) for path, text in model("ranker").items()}
ONCE = {"AWS_MAX_ATTEMPTS": "1", "AWS_RETRY_MODE": "standard"}
"""The store's client does not try again for half a minute."""


def _gave_up(
    id: str,
    broken: str,
    line: str | None,
    repository: str,
    environment: dict[str, str],
    store: Store | None = None,
    *,
    label: str = "storage_access",
    exit_code: int = 1,
    end: End = End.ENDED,
) -> Failure:
    return Failure(
        id,
        broken,
        Cause(label, None, line),
        {},
        end=end,
        exit_code=exit_code if end is End.ENDED else None,
        repository=repository,
        arguments=("--exit-on-error=true",),
        environment=environment,
        store=store,
    )


OBJECT_STORES = (
    _gave_up(
        "s3-key-refused",
        "The bucket is refused to this key: to HEAD, whose answer has no body.",
        "error: creating server: Internal - Unable to create S3 filesystem client. Check account credentials.",
        S3,
        S3_KEY,
        Store(STORED, {"bucket": "AccessDenied"}),
    ),
    _gave_up(
        "s3-list-refused",
        "The key may see the bucket and not list it.",
        "error: creating server: Internal - Failed to list objects with prefix s3://",
        S3,
        S3_KEY,
        Store(STORED, {"list": "AccessDenied"}),
    ),
    Failure(
        "s3-objects-refused",
        "The key may list the bucket and not read its objects.",
        poll_failed(
            "storage_access", "ranker", "Could not get MetaData for object at s3://", "file_permissions"
        ),
        {},
        repository=S3,
        arguments=COMPLETE,
        environment=S3_KEY,
        store=Store(STORED, {"object": "AccessDenied"}),
    ),
    _gave_up(
        "s3-prefix-empty",
        "Nothing lies under the repository's prefix in the bucket.",
        "error: creating server: Invalid argument - repository path is not a valid directory",
        S3,
        S3_KEY,
        Store({"other/ranker/config.pbtxt": "x"}),
        label="repository_layout",
    ),
    _gave_up(
        "s3-unreachable",
        "Nothing listens at the store's endpoint.",
        "Message: 'curlCode: 7, Couldn't connect to server'",
        f"s3://{NOWHERE}/models/live",
        {**S3_KEY, **ONCE},
    ),
    _gave_up(
        "s3-too-busy",
        "The store is overloaded, and its client tries again and again without a word.",
        None,
        S3,
        S3_KEY,
        Store(STORED, {"bucket": "SlowDown"}),
        end=End.HUNG,
    ),
    _gave_up(
        "gcs-bucket-refused",
        "The account may not see the bucket.",
        "error: creating server: Internal - Could not get MetaData for bucket with name models",
        "gs://models/live",
        {"CLOUD_STORAGE_EMULATOR_ENDPOINT": "http://127.0.0.1:{store_port}"},
        Store(),
    ),
    _gave_up(
        "azure-unreachable",
        "The account's endpoint cannot be reached: the client's exception ends the server.",
        "Fail to get a new connection for: https://account.blob.core.windows.net",
        "as://account/models/live",
        {"AZURE_STORAGE_ACCOUNT": "account", "AZURE_STORAGE_KEY": "a2V5", "https_proxy": NOWHERE},
        exit_code=-6,
    ),
)

MOUNTS = (
    Failure(
        "mount-dead",
        "The daemon of the repository's FUSE mount has died; Triton does not say why stat fails, so it may as well not be there.",
        Cause(
            "storage_access",
            None,
            "creating server: Internal - failed to stat file",
            secondary=("repository_layout",),
        ),
        {"models/": ""},
        dead_mount="models",
        end=End.ENDED,
        exit_code=1,
        arguments=("--exit-on-error=true",),
    ),
)

STORES = (*OBJECT_STORES, *MOUNTS)
