"""Scenes in object stores: a URL and its options as what Zarr reads, through fsspec."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

import xarray as xr
from fluxlens.embeddings.object_url import OPTIONS, ObjectUrl, locate
from fluxlens.models.errors import InputError

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
"""Package of each scheme, by which fsspec opens it: the extra ``object-stores``; stores of embeddings need none."""

REFUSED = ("PermissionError", "Credential", "ClientAuthentication", "Unauthorized", "Forbidden")
UNREACHABLE = ("Connection", "Connector", "HTTPClientError", "Timeout", "ServiceRequest", "DNSError")
"""Parts of names of classes and of messages by which the packages of ``PACKAGES`` tell what went wrong."""

T = TypeVar("T")


def open_scene(url: str, storage_options: Mapping[str, Any] | None = None) -> xr.DataTree:
    """The scene at a URL, lazily.

    Parameters
    ----------
    url, storage_options
        As of :func:`zarr_store`.

    Returns
    -------
    xarray.DataTree
        One node per sensor, dims time, band, y, x; reflectance 0-1, backscatter in dB.

    Raises
    ------
    InputError
        Where there is no scene, credentials are refused, or the server does not answer; later reads raise it too.
    """
    from fluxlens.embeddings.readers import zarr

    source = zarr_store(url, storage_options)
    if isinstance(source, str):
        return zarr.open(source)
    try:
        return zarr.open(_explained_store(source, url))
    except InputError as error:
        # a missing bucket is for these packages the same as a missing object
        if type(error.__cause__).__name__ not in ("GroupNotFoundError", "FileNotFoundError"):
            raise
        raise InputError(
            f"Got the scene {url}, where nothing is that can be read, need the folder of a Zarr scene in a bucket that "
            "exists; correct the URL."
        ) from error


def _explained_store(store: Any, url: str) -> Any:
    """The same store, whose errors of the connection are InputErrors wherever it is read, in lazy arrays too."""
    return _store_class()(store, url)


@cache
def _store_class() -> type:
    """Made when first needed: Zarr takes half a second to import."""
    from zarr.storage import WrapperStore

    class ExplainedStore(WrapperStore):
        def __init__(self, store: Any, url: str) -> None:
            super().__init__(store)
            self._url = url

        def _with_store(self, store: Any) -> Any:
            return type(self)(store, self._url)

        # A class made inside a function cannot be pickled by name; Dask's workers make their own.
        def __reduce__(self) -> tuple:
            return _explained_store, (self._store, self._url)

        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            return await _answer(super().get(key, prototype, byte_range), self._url)

        async def get_partial_values(self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]) -> Any:
            return await _answer(super().get_partial_values(prototype, key_ranges), self._url)

        async def exists(self, key: str) -> bool:
            return await _answer(super().exists(key), self._url)

    return ExplainedStore


async def _answer(request: Awaitable[T], url: str) -> T:
    """The answer to a request, or an InputError where credentials or connection are at fault."""
    try:
        return await request
    except InputError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        # whole numbers only: a message may name a key with such digits in it
        if any(word in what for word in REFUSED) or re.search(r"\b40[13]\b", what):
            raise InputError(
                f"Got the scene {url}, whose server refuses these credentials ({type(error).__name__}), need some that "
                "may read it; set them in the environment, or read anonymously (docs/object_stores.md)."
            ) from error
        # The libraries of the providers give text and no codes.
        if any(word in what for word in UNREACHABLE):
            raise InputError(
                f"Got the scene {url}, whose server does not answer ({type(error).__name__}), need a connection; check "
                "network and endpoint, then try again."
            ) from error
        raise


def zarr_store(url: str, storage_options: Mapping[str, Any] | None = None) -> Any:
    """What Zarr opens for a URL.

    Parameters
    ----------
    url
        ``s3://``, ``gs://`` or ``az://``, or another that fsspec knows, such as ``https://``.
    storage_options
        Of ``object_url.OPTIONS``.

    Returns
    -------
    str or zarr.storage.FsspecStore
        Other URLs than of object stores as they are.

    Raises
    ------
    InputError
        Where the package of the scheme is not installed, for other options, and for a URL without bucket or path.
    """
    scheme = url.partition("://")[0]
    # Plain HTTP needs no package and no credentials of a provider: Zarr opens it by itself.
    if scheme not in OPTIONS:
        if storage_options:
            raise InputError(
                f"Got storage options for {url}, need them for a URL that starts with s3://, gs:// or az://; remove"
                " them."
            )
        return url
    place = locate(url, storage_options)
    from importlib.util import find_spec

    package = PACKAGES[scheme]
    # Looked for and not imported: importing s3fs takes half a second, and fsspec does it when it is used.
    if find_spec(package) is None:
        raise InputError(
            f"Got the scene {url}, need the package {package} to read it; pip install 'fluxlens[object-stores]', or "
            f"{package} alone, or copy the scene here."
        )
    from zarr.storage import FsspecStore

    return FsspecStore.from_url(url, storage_options=_fsspec_options(place), read_only=True)


def _fsspec_options(place: ObjectUrl) -> dict[str, Any]:
    """The options in the words of the three packages."""
    if place.scheme == "gs":
        return {"token": "anon"} if place.is_anonymous else {}
    out: dict[str, Any] = {"anon": place.is_anonymous}
    if place.scheme == "az":
        return out | ({"account_name": place.account} if place.account else {})
    options = dict(place.options)
    if endpoint := place.endpoint():
        out["endpoint_url"] = endpoint
    if region := options.get("region"):
        out["client_kwargs"] = {"region_name": region}
    if options.get("requester_pays"):
        out["requester_pays"] = True
    return out
