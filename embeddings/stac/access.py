"""How storage is reached: patient requests, the same patience for GDAL, and hrefs signed where they must be."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from models.errors import InputError

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


def retry() -> Any:
    """For requests and pystac-client: busy or silent servers are asked again, ever later."""
    from urllib3 import Retry

    return Retry(
        TRIES - 1,
        backoff_factor=WAIT_S,
        status_forcelist=BUSY,
        allowed_methods=None,
        raise_on_status=False,
        respect_retry_after_header=True,
    )


def gdal() -> dict[str, Any]:
    """The same for GDAL, and no listing of folders that cannot be listed."""
    return {
        "GDAL_HTTP_MAX_RETRY": TRIES - 1,
        "GDAL_HTTP_RETRY_DELAY": WAIT_S,
        "GDAL_HTTP_TIMEOUT": TIMEOUT_S,
        "GDAL_HTTP_CONNECTTIMEOUT": TIMEOUT_S,
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_MULTIPLEX": "YES",
        "AWS_REQUEST_PAYER": "requester",
    }


def get(url: str, headers: dict[str, str] | None = None) -> Any:
    """A ``requests.Response``, whatever its code; InputError where nobody answers."""
    import requests
    from requests.adapters import HTTPAdapter

    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry()))
        try:
            return session.get(url, headers=headers, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise silent(url, type(error).__name__) from error


def silent(url: str, why: str) -> InputError:
    """What is raised where a server does not answer."""
    return InputError(
        f"Got no answer from {urlsplit(url).netloc} ({why}), need a connection to it; check the network and "
        "run the same command again, what is fetched already is kept."
    )


def refused(url: str, why: str) -> InputError:
    """What is raised where a server does not let us in."""
    return InputError(
        f"Got {why} from {urlsplit(url).netloc}, which gives its files to accounts only, need one; set "
        f"{KEY} or the AWS variables, or choose another --s1."
    )


def sign(url: str) -> str:
    """The href with a token of its container, where it lies in signed storage; else as it is."""
    parts = urlsplit(url)
    if not (parts.hostname or "").endswith(BLOBS) or parts.query:
        return url
    place = f"{parts.hostname.split('.')[0]}/{parts.path.split('/')[1]}"
    token, until = _tokens.get(place, ("", datetime.min.replace(tzinfo=UTC)))
    if (until - datetime.now(UTC)).total_seconds() < TIMEOUT_S:
        token, until = _tokens[place] = _token(place)
    return f"{url}?{token}"


def _token(place: str) -> tuple[str, datetime]:
    key = os.environ.get(KEY)
    answer = get(f"{TOKENS}/{place}", {"Ocp-Apim-Subscription-Key": key} if key else None)
    if answer.status_code in (401, 403):
        raise refused(TOKENS, f"code {answer.status_code}")
    if not answer.ok:
        raise silent(TOKENS, f"code {answer.status_code}")
    told = answer.json()
    return told["token"], datetime.fromisoformat(told["msft:expiry"])


class Broken(Exception):
    """A file that is not there or cannot be read, while its server answers."""


def ask(url: str, name: str, part: str = "0-0") -> bytes:
    """Bytes ``part`` of a file: Broken where it is not there, InputError where its server does not tell."""
    if not url.startswith("http"):
        raise refused(url, "nothing")
    answer = get(url, {"Range": f"bytes={part}"})
    if answer.status_code in (401, 403):
        raise refused(url, f"code {answer.status_code}")
    if answer.status_code in BUSY:
        raise silent(url, f"code {answer.status_code}")
    if not answer.ok:
        raise Broken(f"{name} is not there (code {answer.status_code})")
    return answer.content
