"""Where a store lies: a folder of this machine, or a URL of an object store, with its options and credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fluxlens.embeddings import cache
from fluxlens.models.errors import InputError

OPTIONS = {
    "s3": ("anonymous", "endpoint_url", "region", "force_path_style", "requester_pays"),
    "gs": ("anonymous",),
    "az": ("anonymous", "account"),
}
"""Storage options by scheme. None is a secret: a catalog is passed on, so credentials come from the environment. Only
``s3`` takes an endpoint, since its requests are signed for one host; ``gs`` and ``az`` send a bearer token, which a
catalog of a stranger must not direct elsewhere."""

TRIES = 5
"""Requests are tried that often, with pauses that grow from ``BACKOFF_MS``: about 10 s at most where each fails."""

BACKOFF_MS = (200, 3000)
"""First and longest pause between two tries."""

DEADLINE_S = 20.0
"""A store that has not opened or committed by then is unreachable: Icechunk has no time limit of its own for a server
that accepts connections and never answers."""

READ_DEADLINE_S = 60.0
"""Of one read; longer than ``DEADLINE_S``, since a window of a slow connection may take as long."""

CHUNK_CACHE_BYTES = 256 * 2**20
"""Compressed chunks and indexes of shards kept in memory for each open store of an object store."""

MISSING_BUCKET = ("NoSuchBucket", "bucket does not exist", "ContainerNotFound", "container does not exist")
REFUSED = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AccessDenied",
    "Access Denied",
    "InvalidToken",
    "ExpiredToken",
    "AuthenticationFailed",
    "AuthorizationFailure",
    "InvalidClientTokenId",
    "credential",
    "Forbidden",
    "Unauthorized",
)
NO_CODE = re.compile(r"service error\W+unhandled error\W+Error \{ aws_request_id")
UNREACHABLE = (
    "dispatch failure",
    "dns error",
    "Connect",
    "connection",
    "timeout",
    "timed out",
    "error sending",
)
"""Words of the errors of the three providers' libraries, which give no codes of their own; checked in this order."""

T = TypeVar("T")


@dataclass(frozen=True)
class ObjectUrl:
    """The URL of a store in an object store, ``s3://BUCKET/PATH``, ``gs://BUCKET/PATH`` or ``az://CONTAINER/PATH``."""

    scheme: str
    bucket: str
    """Of Azure, the container."""
    prefix: str
    """Path of the store in the bucket, without slashes around it."""
    options: tuple[tuple[str, Any], ...] = ()
    """Of ``OPTIONS``, sorted by name."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}"

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.prefix.rpartition("/")[2]

    def storage(self) -> Any:
        """Icechunk's storage, with credentials of the environment of the process that uses it.

        Returns
        -------
        icechunk.Storage

        Raises
        ------
        InputError
            For Azure without the name of an account.
        """
        import icechunk

        options = dict(self.options)
        if self.scheme == "s3":
            endpoint = self.endpoint()
            region = options.get("region") or _environment("AWS_REGION", "AWS_DEFAULT_REGION")
            anonymous = self._is_anonymous("AWS_NO_SIGN_REQUEST")
            return icechunk.s3_storage(
                bucket=self.bucket,
                prefix=self.prefix,
                # Signing needs some region, even for servers that have none.
                region=region or ("us-east-1" if endpoint else None),
                endpoint_url=endpoint,
                # Without encryption only where the URL says so.
                allow_http=bool(endpoint) and endpoint.startswith("http://"),
                # Other servers than Amazon's rarely have a name of their own for each bucket.
                force_path_style=bool(options.get("force_path_style", bool(endpoint))),
                requester_pays=bool(options.get("requester_pays", False)),
                **({"anonymous": True} if anonymous else {"from_env": True}),
            )
        if self.scheme == "gs":
            anonymous = self._is_anonymous("GOOGLE_SKIP_SIGNATURE")
            how = {"anonymous": True} if anonymous else {"from_env": True}
            return icechunk.gcs_storage(bucket=self.bucket, prefix=self.prefix, **how)
        account = options.get("account") or _environment(
            "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"
        )
        if not account:
            raise InputError(
                f"Got {self} without an account, need its name; set AZURE_STORAGE_ACCOUNT_NAME or the storage "
                "option account."
            )
        anonymous = self._is_anonymous("AZURE_SKIP_SIGNATURE")
        config = {"azure_skip_signature": "true"} if anonymous else None
        return icechunk.azure_storage(
            account=account, container=self.bucket, prefix=self.prefix, from_env=True, config=config
        )

    def endpoint(self) -> str | None:
        """The S3-compatible server, ``http(s)://HOST[:PORT]``; None for Amazon and the other schemes."""
        if self.scheme != "s3":
            return None
        return dict(self.options).get("endpoint_url") or _environment(
            "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"
        )

    def _is_anonymous(self, variable: str) -> bool:
        """Whether requests are not signed: by the option, else by an environment variable."""
        chosen = dict(self.options).get("anonymous")
        if chosen is None:
            return os.environ.get(variable, "").lower() in ("1", "true", "yes")
        return bool(chosen)


Location = Path | ObjectUrl
"""Of a store."""


def locate(path: str | Path | ObjectUrl, storage_options: Mapping[str, Any] | None = None) -> Location:
    """Where a store lies, from what a user wrote.

    Parameters
    ----------
    path
        A path, or a URL of an object store.
    storage_options
        Of ``OPTIONS``, for a URL.

    Returns
    -------
    pathlib.Path or ObjectUrl

    Raises
    ------
    InputError
        For another scheme, a URL without bucket or path, and options the scheme does not have.
    """
    if isinstance(path, ObjectUrl):
        return path
    if not is_url(path):
        if storage_options:
            raise InputError(f"Got storage options with the path {path}, need them for a URL; remove them.")
        return Path(path)
    # Of a Path that was made of a URL one slash is left.
    parts = urlsplit(re.sub(r"^(\w+):/+", r"\1://", str(path)))
    if parts.scheme not in OPTIONS:
        raise InputError(
            f"Got {path}, need a path or a URL that starts with s3://, gs:// or az://; correct it."
        )
    prefix = parts.path.strip("/")
    if not parts.netloc or not prefix or "@" in parts.netloc or parts.query or parts.fragment:
        raise InputError(f"Got {path}, need {parts.scheme}://BUCKET/PATH; correct it.")
    options = dict(storage_options or {})
    known = OPTIONS[parts.scheme]
    if other := [str(name) for name in options if name not in known]:
        raise InputError(
            f"Got the storage options {', '.join(other)} for {path}, need some of {', '.join(known)}; credentials "
            "come from the environment."
        )
    endpoint = options.get("endpoint_url")
    if endpoint is not None and not re.match(r"https?://[^/]", str(endpoint)):
        raise InputError(f"Got the endpoint {endpoint!r}, need http(s)://HOST[:PORT]; correct it.")
    return ObjectUrl(parts.scheme, parts.netloc, prefix, tuple(sorted(options.items())))


def is_url(path: object) -> bool:
    """Whether a path is a URL.

    Parameters
    ----------
    path
        As a user wrote it, or a location.

    Returns
    -------
    bool
    """
    return isinstance(path, ObjectUrl) or bool(re.match(r"(\w+://|(s3|gs|az):/)", str(path)))


def scratch_parent(location: Location) -> Path:
    """The folder that takes scratch files and finished blocks of a store that is being written.

    Parameters
    ----------
    location
        Of the store.

    Returns
    -------
    pathlib.Path
        Beside a store on disk; of an object store a folder of its own in the cache of this machine.
    """
    if isinstance(location, Path):
        return location.parent
    folder = cache.folder() / "object-stores" / cache.key(location.name, str(location), location.endpoint())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def icechunk_config(location: Location) -> Any:
    """Settings of a repository that depend on where it lies.

    Parameters
    ----------
    location
        Of the store.

    Returns
    -------
    icechunk.RepositoryConfig or None
        None on disk: Icechunk's own.
    """
    if isinstance(location, Path):
        return None
    import icechunk

    first, longest = BACKOFF_MS
    retries = icechunk.StorageRetriesSettings(TRIES, first, longest)
    return icechunk.RepositoryConfig(
        storage=icechunk.StorageSettings(retries=retries),
        # A tap then finds the index of its shard, and neighbours of a pixel their chunk.
        caching=icechunk.CachingConfig(num_bytes_chunks=CHUNK_CACHE_BYTES),
        # By default those of all coordinates are read on opening, also of overviews and of the scene's sensors.
        manifest=icechunk.ManifestConfig(preload=icechunk.ManifestPreloadConfig(max_total_refs=0)),
    )


def within_deadline(location: Location, function: Callable[[], T], seconds: float = DEADLINE_S) -> T:
    """Call a function that talks to an object store; on disk, just call it.

    Parameters
    ----------
    location
        Of the store.
    function
        Without arguments. It is left to itself where it takes longer, in a thread that ends with the process.
    seconds
        How long it may take.

    Returns
    -------
    Any
        Its result.

    Raises
    ------
    InputError
        Where it takes longer.
    """
    if isinstance(location, Path):
        return function()
    import threading

    outcome: list[tuple[bool, Any]] = []

    def call() -> None:
        try:
            outcome.append((True, function()))
        # A panic of Icechunk's Rust code is no Exception; it is raised in the caller's thread.
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=call, daemon=True, name=f"request to {location.scheme}")
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise unreachable(location, f"no answer within {seconds:.0f} s")
    succeeded, value = outcome[0]
    if succeeded:
        return value
    raise value


def connection_error(location: Location, error: BaseException) -> InputError | None:
    """The sentence for an error of an object store, by the words of its library.

    Parameters
    ----------
    location
        Of the store.
    error
        Of Icechunk or of Zarr.

    Returns
    -------
    InputError or None
        None for a store on disk, and where the error is not of the connection.
    """
    if isinstance(location, Path):
        return None
    text = str(error)
    if isinstance(error, TimeoutError):
        return unreachable(location, "no answer in time")
    # Of the disk with the scratch files, or of a Dask worker.
    if isinstance(error, OSError):
        return None
    if any(word in text for word in MISSING_BUCKET):
        what = "container" if location.scheme == "az" else "bucket"
        return InputError(
            f"Got {location}, but there is no {what} {location.bucket}, need one that exists; create it or correct "
            "the URL."
        )
    # The first request asks for no body, so that a refusal of Amazon's has no code in it.
    if any(word in text for word in REFUSED) or NO_CODE.search(text):
        return InputError(
            f"Got {location}, which refuses these credentials ({_cause(text)}), need some that may use it; set them "
            "in the environment, or read anonymously (docs/object_stores.md)."
        )
    if any(word in text for word in UNREACHABLE):
        return unreachable(location, _cause(text))
    return None


def unreachable(location: ObjectUrl, why: str) -> InputError:
    """The error that says that an object store does not answer.

    Parameters
    ----------
    location
        Of the store.
    why
        A few words.

    Returns
    -------
    InputError
    """
    where = f" at {location.endpoint()}" if location.endpoint() else ""
    return InputError(
        f"Got {location}, whose server{where} does not answer ({why}), need a connection; check network and "
        "endpoint, then try again."
    )


def _cause(text: str) -> str:
    """The innermost cause that Icechunk writes, its last line that says something."""
    lines = [line.strip(" x|`->") for line in text.splitlines()]
    # The last line is the cause; requests' ids and brackets around it say nothing to a user.
    last = next(filter(None, reversed(lines)), "no reason given")
    code = re.search(r'code: "(\w+)"', last)
    if code:
        return code.group(1)
    return "no reason given" if last.startswith("Error {") else last[:120]


def _environment(*names: str) -> str | None:
    """The first environment variable of ``names`` that is set."""
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
