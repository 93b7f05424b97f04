"""Access to storage: HTTP requests with retries, the same for GDAL, and signed URLs where storage needs them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from fluxlens.models.errors import InputError

TRIES = 5
WAIT_S = 1.0
"""Before the second try; it doubles from try to try."""
TIMEOUT_S = 60.0
BUSY = (429, 500, 502, 503, 504)
"""HTTP codes worth another try."""

BLOBS = "blob.core.windows.net"
"""Storage of the Planetary Computer; its hrefs need a token, https://planetarycomputer.microsoft.com/docs/concepts/sas."""
TOKENS = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
KEY = "PC_SDK_SUBSCRIPTION_KEY"
"""Environment variable with the key of an account, which some collections ask for."""

_tokens: dict[str, tuple[str, datetime]] = {}


def retry_policy() -> Any:
    """Retries of requests and pystac-client for busy or silent servers, with exponential back-off.

    Returns
    -------
    urllib3.Retry
        ``TRIES`` in all, first wait ``WAIT_S``; a server's Retry-After is respected.
    """
    from urllib3 import Retry

    # All methods: a search is a POST and safe to repeat.
    return Retry(
        TRIES - 1,
        backoff_factor=WAIT_S,
        status_forcelist=BUSY,
        allowed_methods=None,
        raise_on_status=False,
        respect_retry_after_header=True,
    )


def gdal_options() -> dict[str, Any]:
    """The same retries as options of ``rasterio.Env``.

    Returns
    -------
    dict
        GDAL's configuration options by name. Folders are not listed: object stores answer that slowly or not at all.
    """
    return {
        "GDAL_HTTP_MAX_RETRY": TRIES - 1,
        "GDAL_HTTP_RETRY_DELAY": WAIT_S,
        "GDAL_HTTP_TIMEOUT": TIMEOUT_S,
        "GDAL_HTTP_CONNECTTIMEOUT": TIMEOUT_S,
        # A bucket has no folders to list: looking for files beside an image would cost requests for each of them.
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_MULTIPLEX": "YES",
        # Buckets whose readers pay for the transfer, such as that of Sentinel-1 GRD, refuse a request without it.
        "AWS_REQUEST_PAYER": "requester",
    }


def get(url: str, headers: dict[str, str] | None = None) -> Any:
    """Fetch a URL.

    Parameters
    ----------
    url : str
        HTTP or HTTPS address.
    headers : dict, optional
        Request headers.

    Returns
    -------
    requests.Response
        Whatever its status code.

    Raises
    ------
    InputError
        Where no server answers after all retries.
    """
    import requests
    from requests.adapters import HTTPAdapter

    # A session for the retries, which plain requests do not have.
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry_policy()))
        try:
            return session.get(url, headers=headers, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise no_answer_error(url, type(error).__name__) from error


def no_answer_error(url: str, why: str) -> InputError:
    """The error where a server does not answer; ``url`` names the server, ``why`` is a code or an exception's name."""
    return InputError(
        f"Got no answer from {urlsplit(url).netloc} ({why}), need a connection to it; check the network and "
        "run the same command again, what is fetched already is kept."
    )


def account_error(url: str, why: str) -> InputError:
    """The error where a server wants an account; ``url`` names the server, ``why`` is what it answered."""
    return InputError(
        f"Got {why} from {urlsplit(url).netloc}, which gives its files to accounts only, need one; set "
        f"{KEY} or the AWS variables, or choose another --s1."
    )


def sign(url: str) -> str:
    """Add a token to the URL of a file in the Planetary Computer's storage.

    Parameters
    ----------
    url : str
        Address of a file, of any storage.

    Returns
    -------
    str
        With a shared access signature of its container where it lies in signed storage and has none; else unchanged.
        Tokens are kept until shortly before they expire.
    """
    split_url = urlsplit(url)
    # Only the Planetary Computer's storage is signed this way; a signed address is left alone.
    if not (split_url.hostname or "").endswith(BLOBS) or split_url.query:
        return url
    # Tokens are given out for an account and a container of it, not for single files.
    place = f"{split_url.hostname.split('.')[0]}/{split_url.path.split('/')[1]}"
    token, until = _tokens.get(place, ("", datetime.min.replace(tzinfo=UTC)))
    # A token must outlive the read it is for, which may take until the time-out.
    if (until - datetime.now(UTC)).total_seconds() < TIMEOUT_S:
        token, until = _tokens[place] = _token(place)
    return f"{url}?{token}"


def _token(place: str) -> tuple[str, datetime]:
    # Optional: without a key the limits are lower, and some collections refuse.
    key = os.environ.get(KEY)
    response = get(f"{TOKENS}/{place}", {"Ocp-Apim-Subscription-Key": key} if key else None)
    if response.status_code in (401, 403):
        raise account_error(TOKENS, f"code {response.status_code}")
    if not response.ok:
        raise no_answer_error(TOKENS, f"code {response.status_code}")
    content = response.json()
    return content["token"], datetime.fromisoformat(content["msft:expiry"])


class UnreadableFile(Exception):
    """A file that is not there or cannot be read, while its server answers."""


def read_bytes(url: str, name: str, byte_range: str = "0-0") -> bytes:
    """Read a range of bytes of a file, to find out why GDAL could not, or for a small file.

    Parameters
    ----------
    url : str
        Signed address.
    name : str
        What the file is, for errors.
    byte_range : str
        Range as in HTTP: ``"0-0"`` is the first byte, ``"0-"`` the whole file.

    Returns
    -------
    bytes

    Raises
    ------
    UnreadableFile
        Where the server answers that the file is not there.
    InputError
        Where the server does not answer or wants an account.
    """
    # s3:// needs an account and a library of its own.
    if not url.startswith("http"):
        raise account_error(url, "nothing")
    response = get(url, {"Range": f"bytes={byte_range}"})
    if response.status_code in (401, 403):
        raise account_error(url, f"code {response.status_code}")
    if response.status_code in BUSY:
        raise no_answer_error(url, f"code {response.status_code}")
    if not response.ok:
        raise UnreadableFile(f"{name} is not there (code {response.status_code})")
    return response.content
