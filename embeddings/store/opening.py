"""Opening the arrays and coordinates of a store: all in one call of Zarr's event loop, and what is alike only once.

The stores of a mosaic have the same days, features and attributes, and most of their arrays have the same layout: of
four stores most of the time went into reading and decoding the same coordinates four times. So what was decoded of some
bytes is kept by these bytes, and coordinates other than x and y are first taken to be those of the last store that
describes them alike. No check is lost: the writer left a digest of all of them, and where it does not confirm what was
taken, all are read.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings.store.layout import COORDS, DTYPES, LAYOUTS, level_layouts

DOCUMENT = "zarr.json"
"""Of each array and group, where Zarr keeps what it is."""

METADATA_DIGEST = "digest_of_words"
"""Attribute of the store (its name is part of the file format): digest of attributes and coordinates, which have no
checksum of their own."""

CACHED_DOCUMENTS = 128
"""Documents and coordinates whose decoded form is kept: some ten of a store."""


class Opened:
    """Coordinates and arrays of a store.

    Parameters
    ----------
    store
        A Zarr store.
    attrs
        Of the cube.
    variables
        Coordinates by name, decoded, in the cube's order: (time), (y) and (x) in m, (feature), scalars.
    documents
        Of each array, by layout (overviews included) and name, as on disk.
    digest
        What the writer left of all of these, where it was read.
    """

    def __init__(
        self,
        store: Any,
        attrs: dict[str, Any],
        variables: dict[str, xr.Variable],
        documents: dict[str, dict[str, bytes]],
        digest: str | None,
    ) -> None:
        self.attrs, self.variables, self.digest = attrs, variables, digest
        self._store, self._documents = store, documents

    @cached_property
    def coords(self) -> xr.Dataset:
        """Coordinates and attributes in memory, without data variables, as in a cube that never was on disk."""
        return xr.Dataset(coords=self.variables, attrs=self.attrs)

    @property
    def unindexed(self) -> xr.Dataset:
        """The same, (time), (y) and (x) in m, (feature), without indexes, which take most of the time of making it."""
        return xr.Dataset(coords=xr.Coordinates(self.variables, indexes={}), attrs=self.attrs)

    @cached_property
    def arrays(self) -> dict[str, dict[str, Any]]:
        """Zarr arrays by layout and name."""
        import zarr
        from zarr.storage import StorePath

        return {
            layout: {
                name: zarr.Array(
                    zarr.AsyncArray(_metadata(document)[0], StorePath(self._store, f"{layout}/{name}"))
                )
                for name, document in named.items()
            }
            for layout, named in self._documents.items()
        }

    @cached_property
    def own_digest(self) -> str:
        """Digest of all that is not in checksummed chunks: SHA-256, hexadecimal."""
        digest = hashlib.sha256()
        for name, variable in sorted(self.variables.items()):
            # dtype and dims as well as bytes: the same bytes are other numbers under another dtype.
            facts = f"{name} {variable.dims} {variable.dtype.str}".encode()
            digest.update(facts + variable.values.tobytes())
        attrs = [self.attrs, {name: variable.attrs for name, variable in self.variables.items()}]
        # The text of one list of all three; the texts of arrays, most of it, are known.
        layouts = {
            layout: _object({name: _metadata(document)[1] for name, document in named.items()})
            for layout, named in self._documents.items()
        }
        digest.update(f"[{', '.join((*map(_text, attrs), _object(layouts)))}]".encode())
        return digest.hexdigest()


def read_days(store: Any) -> np.ndarray:
    """Read the days of a store's cube, and nothing else.

    Parameters
    ----------
    store
        A Zarr store.

    Returns
    -------
    numpy.ndarray
        (time) datetime64[ns] at midnight UTC.
    """
    import zarr

    array = zarr.open_array(store, path="maps/time", mode="r", zarr_format=3)
    stored = xr.Variable("time", np.asarray(array[:]), dict(array.attrs))
    return xr.conventions.decode_cf_variable("time", stored).values.astype("datetime64[ns]")


def open_layouts(store: Any) -> Opened:
    """Read the coordinates of a store's cube, and what its arrays are.

    Parameters
    ----------
    store
        A Zarr store.

    Returns
    -------
    Opened
    """
    from zarr.core.sync import sync

    # One call for all: each waits for Zarr's event loop in its thread, which took half of the time of opening a store.
    return sync(_read(store, None))


def open_whole(store: Any) -> Opened | None:
    """As :func:`open_layouts`, of a store whose writer left a digest.

    Parameters
    ----------
    store
        A Zarr store.

    Returns
    -------
    Opened or None
        None of a store of before there were digests, of arrays that are still empty, and of an empty repository.
    """
    from zarr.core.sync import sync

    async def read() -> Opened | None:
        digest = await _digest(store)
        return await _read(store, digest) if digest else None

    return sync(read())


async def _digest(store: Any) -> str | None:
    from zarr.core.buffer import default_buffer_prototype

    root = await store.get(DOCUMENT, default_buffer_prototype())
    return None if root is None else json.loads(root.to_bytes()).get("attributes", {}).get(METADATA_DIGEST)


async def _read(store: Any, digest: str | None) -> Opened:
    members = [name async for name in store.list_dir("maps") if name not in (DOCUMENT, *DTYPES)]
    # Zarr forgets the order of a group's members; the cube's own is part of its contract.
    rank = {name: position for position, name in enumerate(COORDS)}
    names = sorted(members, key=lambda name: (rank.get(name, len(rank)), name))
    group, *documents = await asyncio.gather(
        _document(store, "maps"), *(_document(store, f"maps/{name}") for name in names)
    )
    described = dict(zip(names, documents, strict=True))
    attrs = dict(json.loads(group).get("attributes", {}))
    # xarray lists there which variables are coordinates; all of these are.
    attrs.pop("coordinates", None)
    ny, nx = (_metadata(described[name])[0].shape[0] for name in ("y", "x"))
    layouts = [*LAYOUTS, *list(level_layouts(ny, nx).values())[1:]]
    keys = [(layout, name) for layout in layouts for name in DTYPES]
    documents: dict[str, dict[str, bytes]] = {layout: {} for layout in layouts}
    read = await asyncio.gather(*(_document(store, "/".join(key)) for key in keys))
    for (layout, name), document in zip(keys, read, strict=True):
        documents[layout][name] = document
        _metadata(document)  # what is no array is found here

    async def opened(taken: dict[str, xr.Variable]) -> Opened:
        rest = [name for name in names if name not in taken]
        values = await asyncio.gather(*(_coordinate(store, name, described[name]) for name in rest))
        variables = taken | dict(zip(rest, values, strict=True))
        return Opened(store, attrs, {name: variables[name] for name in names}, documents, digest)

    shared = [name for name in names if name not in ("x", "y")]
    # Copies: a caller that changes coordinates must not change those of other stores.
    taken = {
        name: _latest[key].copy(deep=True) for name in shared if (key := (name, described[name])) in _latest
    }
    # Without a digest nothing would confirm them.
    whole = await opened(taken if digest else {})
    if digest and taken and whole.own_digest != digest:
        # What was taken over was another store's after all: read it all, and let the caller compare.
        whole = await opened({})
    return whole


async def _document(store: Any, path: str) -> bytes:
    """What a group or an array is, as on disk."""
    from zarr.core.buffer import default_buffer_prototype

    content = await store.get(f"{path}/{DOCUMENT}", default_buffer_prototype())
    if content is None:
        raise KeyError(f"there is no {path}")
    return content.to_bytes()


@lru_cache(CACHED_DOCUMENTS)
def _metadata(document: bytes) -> tuple[Any, str]:
    """Metadata of an array, and the same as JSON."""
    from zarr.core.metadata import ArrayV3Metadata

    metadata = ArrayV3Metadata.from_dict(json.loads(document))
    return metadata, _text(metadata.to_dict())


def _text(facts: dict[str, Any]) -> str:
    """JSON of which a digest is made."""
    return json.dumps(facts, sort_keys=True, default=str)


def _object(texts: dict[str, str]) -> str:
    """As of ``_text``, of values that are JSON already."""
    return f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in sorted(texts.items()))}}}"


_coordinates: dict[tuple[str, bytes, bytes], xr.Variable] = {}
"""Decoded, by name, document and chunk; the least recently used first. Of the event loop's thread alone."""


_latest: dict[tuple[str, bytes], xr.Variable] = {}
"""The last one decoded, by name and document."""


async def _coordinate(store: Any, name: str, document: bytes) -> xr.Variable:
    """A coordinate as it was before xarray wrote it."""
    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore, StorePath

    metadata = _metadata(document)[0]
    chunk = metadata.encode_chunk_key((0,) * len(metadata.shape))
    key, place = None, StorePath(store, f"maps/{name}")
    # Coordinates are written in one chunk; what another program wrote in several, Zarr puts together.
    if metadata.chunk_grid.chunk_shape == metadata.shape:
        content = await store.get(f"maps/{name}/{chunk}", default_buffer_prototype())
        # Of a chunk that was not written, the document says what all its values are.
        key = (name, document, b"" if content is None else content.to_bytes())
        if (cached := _coordinates.pop(key, None)) is not None:
            _keep(key, cached)
            return cached.copy(deep=True)
        # From memory: it was read already, and each read of an object store is a request.
        place = StorePath(MemoryStore({} if content is None else {f"{name}/{chunk}": content}), name)
    value = np.asarray(await zarr.AsyncArray(metadata, place).getitem(...))
    # xarray writes a fill value, NaN, with every float: as an attribute it says nothing of the coordinate.
    attrs = {key: one for key, one in metadata.attributes.items() if key != "_FillValue"}
    stored = xr.Variable(metadata.dimension_names or (), value, attrs)
    decoded = xr.conventions.decode_cf_variable(name, stored)
    values = decoded.values
    if values.dtype.kind in "OT":
        # Text as numpy's own fixed-width strings, as in a cube that never was on disk.
        values = np.array(values.tolist(), dtype=str)
    variable = xr.Variable(decoded.dims, values, decoded.attrs)
    if key is not None:
        _keep(key, variable)
    return variable.copy(deep=True)


def _keep(key: tuple[str, bytes, bytes], variable: xr.Variable) -> None:
    """Keep a decoded coordinate, as the one used last."""
    _latest.pop(key[:2], None)
    _coordinates[key] = _latest[key[:2]] = variable
    for cache in (_coordinates, _latest):
        while len(cache) > CACHED_DOCUMENTS:
            del cache[next(iter(cache))]


def forget() -> None:
    """Forget what was decoded, as in a process that has opened nothing yet; for measurements."""
    _metadata.cache_clear()
    _coordinates.clear()
    _latest.clear()
