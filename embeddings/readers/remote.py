"""Scenes in object stores: a URL and its options as what Zarr reads, through fsspec."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fluxlens.models.errors import InputError

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
"""Package of each scheme, by which fsspec opens it; none is needed for stores of embeddings."""

OPTIONS = ("anonymous", "endpoint_url", "region", "account")
"""Storage options of a scene; credentials come from the environment."""


def zarr_store(url: str, storage_options: Mapping[str, Any] | None = None) -> Any:
    """What Zarr opens for a URL.

    Parameters
    ----------
    url
        ``s3://``, ``gs://`` or ``az://``, or another that fsspec knows, such as ``https://``.
    storage_options
        Of ``OPTIONS``.

    Returns
    -------
    str or zarr.storage.FsspecStore
        Other URLs than of object stores as they are.

    Raises
    ------
    InputError
        Where the package of the scheme is not installed, and for other options.
    """
    scheme, options = url.partition("://")[0], dict(storage_options or {})
    if other := [name for name in options if name not in OPTIONS]:
        raise InputError(
            f"Got the storage options {', '.join(other)} for {url}, need some of {', '.join(OPTIONS)}; credentials "
            "come from the environment."
        )
    package = PACKAGES.get(scheme)
    if package is None:
        return url
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise InputError(
            f"Got the scene {url}, need the package {package} to read it; pip install {package}, or copy the scene "
            "here."
        )
    from zarr.storage import FsspecStore

    return FsspecStore.from_url(url, storage_options=_fsspec_options(scheme, options), read_only=True)


def _fsspec_options(scheme: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options in the words of the three packages."""
    variable = {"s3": "AWS_NO_SIGN_REQUEST", "gs": "GOOGLE_SKIP_SIGNATURE", "az": "AZURE_SKIP_SIGNATURE"}[
        scheme
    ]
    anonymous = options.get("anonymous", os.environ.get(variable, "").lower() in ("1", "true", "yes"))
    if scheme == "gs":
        return {"token": "anon"} if anonymous else {}
    out: dict[str, Any] = {"anon": bool(anonymous)}
    if scheme == "az":
        account = options.get("account") or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
        return out | ({"account_name": account} if account else {})
    endpoint = options.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL")
    region = options.get("region")
    return (
        out
        | ({"endpoint_url": endpoint} if endpoint else {})
        | ({"client_kwargs": {"region_name": region}} if region else {})
    )
