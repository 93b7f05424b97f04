"""Scenes in object stores: a URL and its options as what Zarr reads, through fsspec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxlens.embeddings.object_url import OPTIONS, ObjectUrl, locate
from fluxlens.models.errors import InputError

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
"""Package of each scheme, by which fsspec opens it; none is needed for stores of embeddings."""


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
    if find_spec(package) is None:
        raise InputError(
            f"Got the scene {url}, need the package {package} to read it; pip install {package}, or copy the scene "
            "here."
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
