"""URLs of object stores, of stores of embeddings and of scenes: parts, options, and what the environment adds."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fluxlens.models.errors import InputError

OPTIONS = {
    "s3": ("anonymous", "endpoint_url", "region", "force_path_style", "requester_pays"),
    "gs": ("anonymous",),
    "az": ("anonymous", "account"),
}
"""Storage options by scheme. None is a secret: a catalog is passed on, so credentials come from the environment. Only
``s3`` takes an endpoint, since its requests are signed for one host; ``gs`` and ``az`` send a bearer token, which a
catalog of a stranger must not direct elsewhere."""

UNSIGNED = {"s3": "AWS_NO_SIGN_REQUEST", "gs": "GOOGLE_SKIP_SIGNATURE", "az": "AZURE_SKIP_SIGNATURE"}
"""Environment variables of anonymous reading, by scheme, as the providers' own tools call them."""

BUCKET = {
    "s3": r"[A-Za-z0-9][A-Za-z0-9._-]+",
    "gs": r"[a-z0-9][a-z0-9._-]+",
    "az": r"\$?[a-z0-9][a-z0-9-]+",
}
"""Names of buckets and containers, no narrower than the providers' rules (S3-compatible servers and old buckets have
capitals and underscores). They become part of a host's name, so that nothing else may stand in them."""

ACCOUNT = r"[a-z0-9]{3,24}"
"""Names of Azure's accounts: also part of the host's name, to which the key or token is sent."""


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
            For Azure without the name of an account, and for credentials in the environment that cannot be read.
        """
        import icechunk

        options = dict(self.options)
        if self.scheme == "s3":
            endpoint = self.endpoint()
            region = options.get("region") or _environment("AWS_REGION", "AWS_DEFAULT_REGION")
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
                **({"anonymous": True} if self.is_anonymous else {"from_env": True}),
            )
        if self.scheme == "gs":
            # Nothing of the options but ``anonymous``: the token of the environment goes to Google alone.
            how = {"anonymous": True} if self.is_anonymous else {"from_env": True}
            if not self.is_anonymous:
                _check_google_file(self)
            return icechunk.gcs_storage(bucket=self.bucket, prefix=self.prefix, **how)
        account = self.account
        if not account:
            raise InputError(
                f"Got {self} without an account, need its name; set AZURE_STORAGE_ACCOUNT_NAME or the storage "
                "option account."
            )
        # Checked here too: the environment's value becomes part of the host's name as well.
        if not re.fullmatch(ACCOUNT, account):
            raise InputError(
                f"Got {self} with the account {account!r}, need 3 to 24 small letters and digits; correct "
                "AZURE_STORAGE_ACCOUNT_NAME or the storage option account."
            )
        if not self.is_anonymous:
            _check_azure_key(self)
        config = {"azure_skip_signature": "true"} if self.is_anonymous else None
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

    @property
    def account(self) -> str | None:
        """Of Azure: by the option, else by the environment."""
        return dict(self.options).get("account") or _environment(
            "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"
        )

    @property
    def is_anonymous(self) -> bool:
        """Whether requests are not signed: by the option, else by an environment variable."""
        chosen = dict(self.options).get("anonymous")
        if chosen is None:
            return os.environ.get(UNSIGNED[self.scheme], "").lower() in ("1", "true", "yes")
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
        For another scheme, a URL without bucket or path, a name that no bucket has, and options the scheme does not
        have.
    """
    if isinstance(path, ObjectUrl):
        return path
    if not is_url(path):
        if storage_options:
            raise InputError(f"Got storage options with the path {path}, need them for a URL; remove them.")
        return Path(path)
    # Of a Path that was made of a URL one slash is left.
    url = urlsplit(re.sub(r"^(\w+):/+", r"\1://", str(path)))
    if url.scheme not in OPTIONS:
        raise InputError(
            f"Got {path}, need a path or a URL that starts with s3://, gs:// or az://; correct it."
        )
    prefix = url.path.strip("/")
    # A name and password before "@", a query or a fragment would be dropped without a word.
    if not url.netloc or not prefix or "@" in url.netloc or url.query or url.fragment:
        raise InputError(f"Got {path}, need {url.scheme}://BUCKET/PATH; correct it.")
    if not re.fullmatch(BUCKET[url.scheme], url.netloc):
        what = "container" if url.scheme == "az" else "bucket"
        raise InputError(
            f"Got {path}, in which {url.netloc!r} is no name of a {what}, need letters, digits and hyphens; "
            "correct it."
        )
    options = dict(storage_options or {})
    known = OPTIONS[url.scheme]
    if other := [str(name) for name in options if name not in known]:
        raise InputError(
            f"Got the storage options {', '.join(other)} for {path}, need some of {', '.join(known)}; credentials "
            "come from the environment."
        )
    endpoint = options.get("endpoint_url")
    # A host must follow: the signed request goes to it.
    if endpoint is not None and not re.match(r"https?://[^/]", str(endpoint)):
        raise InputError(f"Got the endpoint {endpoint!r}, need http(s)://HOST[:PORT]; correct it.")
    # Sorted, so that equal locations are equal and hash alike, whatever the order in a catalog.
    return ObjectUrl(url.scheme, url.netloc, prefix, tuple(sorted(options.items())))


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
    # One slash is enough, see ``locate``.
    return isinstance(path, ObjectUrl) or bool(re.match(r"(\w+://|(s3|gs|az):/)", str(path)))


def _environment(*names: str) -> str | None:
    """The first environment variable of ``names`` that is set."""
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


# Icechunk's Rust code panics on credentials that it cannot read, when the first request is made: no error of Python's,
# and a backtrace on stderr. So what it would read is looked at first.


def _check_google_file(url: ObjectUrl) -> None:
    """InputError where the file that GOOGLE_APPLICATION_CREDENTIALS names is none of credentials."""
    file = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if not file:
        return
    try:
        key = json.loads(Path(file).read_text())
    except (OSError, ValueError):
        key = None
    if not isinstance(key, dict) or "type" not in key:
        raise InputError(
            f"Got {url} with GOOGLE_APPLICATION_CREDENTIALS={file}, which is no readable file of credentials, need the "
            "JSON of an account; correct the variable, or unset it and read anonymously."
        )


def _check_azure_key(url: ObjectUrl) -> None:
    """InputError where AZURE_STORAGE_ACCOUNT_KEY is no key; the key itself is not shown."""
    key = os.environ.get("AZURE_STORAGE_ACCOUNT_KEY")
    try:
        base64.b64decode(key or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(
            f"Got {url} with an AZURE_STORAGE_ACCOUNT_KEY that is not Base64, need the key as the portal shows it; "
            "copy it again."
        ) from error
