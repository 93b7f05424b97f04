"""Embedding cubes on disk: one Icechunk repository that holds the same numbers as maps and as series.

The layout ``maps`` is chunked by day and serves "one day, everywhere"; ``series`` is chunked by pixel and serves "one
pixel, every day". Each is slow at what the other is for; a router picks. ``overviews`` are maps at a half, a
quarter ... of the resolution. Beside the ``embedding`` lies ``quality``, one byte each for sigma and the two distances
in days. A store becomes visible in one commit, at a path where before there was nothing; its snapshot id names exactly
what was read.

Over 400 lines until it becomes a package: layout, repository, locking, routing, reader and writer follow each other.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from embeddings import progress
from embeddings.atomic import remove
from embeddings.geometry import Grid
from embeddings.quantise import (
    FEATURE_MISSING,
    SIGMA_MISSING,
    decode_days,
    decode_sigma,
    encode_days,
    encode_sigma,
)
from embeddings.tiles import BlockFile, Tile, TileAssembler, save
from models.errors import InputError

# --- layout: which arrays there are, how they are chunked and compressed ---

MAP_PX = 128
"""Side of a chunk of the maps layout and of overviews."""
SERIES_CHUNK_PX = 16
"""Side of a chunk of the series layout, which holds all days."""
SHARD_BYTES = 128 * 2**20
"""A shard is encoded in memory at once: its raw bytes stay below this, whatever the number of days."""
LEVEL = 1
"""Of zstd: more saves a percent or two and takes several times as long."""
LAYOUTS = ("maps", "series")
COORDS = ("time", "y", "x", "feature", "scale", "spatial_ref")
"""Of a cube, in their order."""
QUALITY = {
    "sigma": (encode_sigma, decode_sigma),
    "days_from_s2": (encode_days, decode_days),
    "days_from_s1": (encode_days, decode_days),
}
"""Layers of ``quality`` in their order: to bytes and back."""
DTYPES = {"embedding": np.dtype(np.int8), "quality": np.dtype(np.uint8)}
"""Arrays on disk."""
FILL_VALUES = {"embedding": FEATURE_MISSING, "quality": SIGMA_MISSING}
"""What a chunk that is not found reads as: in ``embedding``, and in the layer sigma of ``quality``, no cube holds it.
Older stores have 0 here, which cannot be told from data."""


def create_layout(store: Any, layout: str, template: xr.Dataset) -> dict[str, Any]:
    """Create the empty arrays of one layout, beside the cube's coordinates.

    Parameters
    ----------
    store
        A writable Zarr store.
    layout
        One of ``LAYOUTS``.
    template
        A cube; only its coordinates, attributes and shapes are used.

    Returns
    -------
    dict
        Zarr arrays by name: ``embedding`` (time, y, x, feature) int8, ``quality`` (time, y, x, layer) uint8.
    """
    import zarr

    coords = template.drop_vars(template.data_vars).drop_encoding()
    _object_text(coords).to_zarr(store, group=layout, mode="w", consolidated=False, zarr_format=3)
    return create_arrays(zarr.open_group(store, path=layout, mode="a", zarr_format=3), layout, template)


def create_arrays(group: Any, layout: str, template: xr.Dataset, level: int = 1) -> dict[str, Any]:
    """Create the empty arrays of a layout in a group.

    Parameters
    ----------
    group
        A writable Zarr group.
    layout, template
        As of :func:`create_layout`.
    level
        How many pixels a side are one.

    Returns
    -------
    dict
        As of :func:`create_layout`.
    """
    days, ny, nx, features = template["embedding"].shape
    shape = (days, -(-ny // level), -(-nx // level))
    layers = {name: dict(template[name].attrs) for name in QUALITY}
    attrs = {"embedding": dict(template["embedding"].attrs), "quality": {"layers": layers}}
    arrays = {}
    for (name, dtype), last in zip(DTYPES.items(), (features, len(QUALITY)), strict=True):
        chunks, shards = _chunks(layout, (*shape, last), _shard_px(template["embedding"]))
        arrays[name] = group.create_array(
            name,
            shape=(*shape, last),
            chunks=chunks,
            shards=shards,
            dtype=dtype,
            fill_value=FILL_VALUES[name],
            **_codecs(layout),
            dimension_names=["time", "y", "x", "feature" if name == "embedding" else "layer"],
            attributes={**attrs[name], "grid_mapping": "spatial_ref"},
        )
    return arrays


def open_arrays(store: Any, shape: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """Open all arrays of a store.

    Parameters
    ----------
    store
        A Zarr store.
    shape
        Rows and columns of the cube.

    Returns
    -------
    dict
        Zarr arrays by layout, overviews included, and name.
    """
    import zarr

    layouts = [*LAYOUTS, *list(level_layouts(*shape).values())[1:]]
    groups = {layout: zarr.open_group(store, path=layout, mode="r", zarr_format=3) for layout in layouts}
    return {layout: {name: group[name] for name in DTYPES} for layout, group in groups.items()}


def read_coords(store: Any) -> xr.Dataset:
    """Read the coordinates and attributes of a store's cube.

    Parameters
    ----------
    store
        A Zarr store.

    Returns
    -------
    xarray.Dataset
        In memory, without data variables, as in a cube that never was on disk.
    """
    opened = xr.open_zarr(store, group="maps", consolidated=False, chunks=None, decode_coords="all")
    coords = opened.drop_vars(opened.data_vars).load().drop_encoding()
    # Zarr forgets the order of a group's members; the cube's own is part of its contract.
    rank = {name: position for position, name in enumerate(COORDS)}
    names = sorted(coords.coords, key=lambda name: (rank.get(name, len(rank)), name))
    return _fixed_width_text(xr.Dataset(coords={name: coords[name] for name in names}, attrs=coords.attrs))


def level_layouts(ny: int, nx: int) -> dict[int, str]:
    """Where maps of 1, 2, 4 ... pixels in one lie, until a map is one chunk.

    Parameters
    ----------
    ny, nx
        Pixels of the cube.

    Returns
    -------
    dict
        Group by level.
    """
    levels = {1: "maps"}
    while max(ny, nx) > MAP_PX * max(levels):
        level = 2 * max(levels)
        levels[level] = f"overviews/{level}"
    return levels


def tile_px(embedding: Any | None = None) -> int:
    """Side of the squares that are written at once.

    Parameters
    ----------
    embedding
        The Zarr array of the series layout: a tile holds whole shards of it, and whole chunks of the maps. None: of an
        overview, one chunk.

    Returns
    -------
    int
        Pixels.
    """
    return MAP_PX if embedding is None else max(MAP_PX, *embedding.shards[1:3])


def _codecs(layout: str) -> dict[str, list]:
    """Feature by feature: differences from the pixel to the north on maps, from the day before in series."""
    from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec, ZstdCodec

    from embeddings.codec import Difference

    if layout == "maps":
        filters, packer = [TransposeCodec(order=(0, 3, 1, 2)), Difference(2)], ZstdCodec(level=LEVEL)
    else:
        filters = [TransposeCodec(order=(3, 0, 1, 2)), Difference(1)]
        packer = BloscCodec(cname="zstd", clevel=LEVEL, shuffle="bitshuffle")
    # the checksum: a flipped bit raises an error and is never shown as data
    return {"filters": filters, "compressors": [packer, Crc32cCodec()]}


def _chunks(layout: str, shape: tuple[int, ...], shard_px: int) -> tuple[tuple, tuple | None]:
    """Chunk and shard shapes of an array (time, y, x, last)."""
    days, ny, nx, last = shape
    if layout == "maps":
        return (1, min(MAP_PX, ny), min(MAP_PX, nx), last), None
    side = [min(SERIES_CHUNK_PX, size) for size in (ny, nx)]
    shard = [-(-min(shard_px, size) // px) * px for size, px in zip((ny, nx), side, strict=True)]
    return (days, *side, last), (days, *shard, last)


def _shard_px(embedding: xr.DataArray) -> int:
    """64 to 256 pixels: as large as memory for one raw shard allows, so that there are few files.

    No tile that is gathered is larger, unless that of one chunk of the maps: more days take no more memory.
    """
    days, _, _, features = embedding.shape
    sides = (px for px in (256, 128) if days * features * px**2 <= SHARD_BYTES)
    return next(sides, 64)


def to_bytes(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """The variables of a cube as the bytes of a store.

    Parameters
    ----------
    values
        ``embedding`` (time, y, x, feature) int8 and the variables of ``QUALITY`` (time, y, x).

    Returns
    -------
    numpy.ndarray
        uint8 (time, y, x, feature + layer).

    Raises
    ------
    TypeError
        Where the embedding is not int8.
    ValueError
        Where a value is missing: a cube has no holes, and readers take a missing value for damage.
    """
    embedding = values["embedding"]
    if embedding.dtype != DTYPES["embedding"]:
        raise TypeError(f"a block's embedding is {embedding.dtype}, the cube contract says int8")
    layers = [encode(values[name])[..., None] for name, (encode, _) in QUALITY.items()]
    for name, codes in (("embedding", embedding), ("quality", layers[0])):
        if has_missing(name, codes):
            raise ValueError(f"a block's {name} has missing values, the cube contract says there are none")
    return np.concatenate([embedding.view(np.uint8), *layers], axis=-1)


def has_missing(name: str, codes: np.ndarray) -> bool:
    """Whether bytes of a store hold the fill value where a value must be.

    Parameters
    ----------
    name
        ``embedding`` or ``quality``.
    codes
        (..., feature) or (..., layer) as on disk. Of ``quality`` only the first layer, sigma, always has a value: no
        acquisition nearby is a value of the others.

    Returns
    -------
    bool
    """
    if not codes.size:
        return False
    # extremes of their dtypes: one pass without a temporary array
    return codes.min() == FEATURE_MISSING if name == "embedding" else codes[..., 0].max() == SIGMA_MISSING


def _object_text(dataset: xr.Dataset) -> xr.Dataset:
    """Fixed-width text has no Zarr v3 specification; variable-length text has."""
    return _with_text(dataset, "U", lambda text: text.astype(object))


def _fixed_width_text(dataset: xr.Dataset) -> xr.Dataset:
    """Text as numpy's own fixed-width strings, as in a cube that never was on disk."""
    return _with_text(dataset, "OT", lambda text: np.array(text.tolist(), dtype=str))


def _with_text(dataset: xr.Dataset, kinds: str, convert: Callable[[np.ndarray], np.ndarray]) -> xr.Dataset:
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in kinds:
            plain = xr.Variable(variable.dims, convert(variable.values), variable.attrs)
            assign = dataset.assign_coords if name in dataset.coords else dataset.assign
            dataset = assign({name: plain})
    return dataset


# --- repository: opening, history, what damage looks like ---

EMPTY_MESSAGE = "arrays, still empty"
"""Message of the commit from which workers write; no cube of its own."""
METADATA_DIGEST = "digest_of_words"
"""Attribute of the store (its name is part of the file format): digest of attributes and coordinates, which have no
checksum of their own."""


@dataclass(frozen=True)
class Snapshot:
    """One commit of a store."""

    id: str
    written_at: pd.Timestamp
    """UTC."""
    message: str


def is_store(path: str | Path) -> bool:
    """Whether a folder looks like a store, without opening it.

    Parameters
    ----------
    path
        Of the folder.

    Returns
    -------
    bool
    """
    return (Path(path) / "refs").is_dir() and (Path(path) / "snapshots").is_dir()


def metadata_digest(coords: xr.Dataset, arrays: Mapping[str, Mapping[str, Any]]) -> str:
    """Digest of all that is not in checksummed chunks.

    Parameters
    ----------
    coords
        Of :func:`read_coords`: coordinates and attributes.
    arrays
        Of :func:`open_arrays`: how they are laid out.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    digest = hashlib.sha256()
    for name, variable in sorted(coords.variables.items()):
        digest.update(f"{name} {variable.dims} {variable.dtype.str}".encode() + variable.values.tobytes())
    attrs = [coords.attrs, {name: coord.attrs for name, coord in coords.coords.items()}]
    metadata = {
        layout: {name: array.metadata.to_dict() for name, array in named.items()}
        for layout, named in arrays.items()
    }
    digest.update(json.dumps([*attrs, metadata], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def history(repository: Any) -> list[Snapshot]:
    """Commits of a repository that hold a cube, newest first.

    Parameters
    ----------
    repository
        Of Icechunk.

    Returns
    -------
    list of Snapshot
    """
    commits = [
        Snapshot(info.id, pd.Timestamp(info.written_at), info.message)
        for info in repository.ancestry(branch="main")
        if info.message != EMPTY_MESSAGE
    ]
    return commits[:-1]  # the oldest is Icechunk's own, of the empty repository


def open_repository(path: Path) -> Any:
    """Open the Icechunk repository of a store.

    Parameters
    ----------
    path
        Of the store.

    Returns
    -------
    icechunk.Repository

    Raises
    ------
    InputError
        Where it is damaged.
    """
    with reading(path):
        return _icechunk().Repository.open(_storage(path))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what reading a damaged store raises into an InputError.

    Damaged bytes make decoders fail in any way they can: errors of Icechunk (a panic of its Rust code among them, whose
    class cannot be imported), of Zarr, of JSON, of NumPy. Only calls into these libraries belong inside.

    Parameters
    ----------
    path
        Of the store.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise damaged(path, error) from error


def damaged(path: Path, why: object) -> InputError:
    """The error that says a store is damaged.

    Parameters
    ----------
    path
        Of the store.
    why
        Text or an exception; its first line that says something is quoted.

    Returns
    -------
    InputError
    """
    lines = (line.strip(" x|`->") for line in str(why).splitlines())
    first = next(filter(None, lines), type(why).__name__)
    return InputError(
        f"Got the store {path}, which is damaged or not ours ({first}); restore it or write it again."
    )


def _icechunk() -> Any:
    import icechunk

    import embeddings.codec  # noqa: F401 (makes it known to zarr)

    # It warns on every opening that a local folder has one writer at a time, which is how it is used here.
    icechunk.set_logs_filter("error")
    return icechunk


def _storage(path: Path) -> Any:
    return _icechunk().local_filesystem_storage(str(path))


def _list_ids(log: list[Snapshot]) -> str:
    """Up to three snapshot ids, for an error."""
    ids = [commit.id for commit in log]
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(ids[:3]) + more if ids else "none"


# --- locking: one writer at a time, and no trace of one that failed ---

IDLE_POLLS = 3
"""Consecutive polls (0.1 s each) without a new file before clean-up after a failed writer stops."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""System errors of a full disk."""
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
"""System errors of a folder that takes no files."""


@contextmanager
def exclusive_scratch(path: Path) -> Iterator[Path]:
    """A scratch folder beside a store for one writer at a time; what a killed writer left in it is removed.

    Parameters
    ----------
    path
        Of the store.

    Yields
    ------
    pathlib.Path
        Removed at the end.

    Raises
    ------
    InputError
        Where another process writes this store.
    """
    from filelock import FileLock, Timeout

    scratch = path.parent / f".{path.name}.partial"
    with writable(path):
        scratch.mkdir(exist_ok=True)
        # A screen may advance a writer from changing threads, so the lock belongs to the object.
        lock = FileLock(scratch / "lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"Got {path}, which another process writes, need it alone; wait or choose another name."
            ) from error
        try:
            for leftover in scratch.iterdir():
                if leftover.name != "lock":
                    remove(leftover)
            yield scratch
        except BaseException:
            clean_until_idle(lambda: remove(scratch))
            raise
        else:
            remove(scratch)
        finally:
            lock.release()


def clean_until_idle(clean: Callable[[], Any]) -> None:
    """Clean up until nothing new is found: threads go on writing for a moment after one of them failed.

    Parameters
    ----------
    clean
        Removes what there is; its result says whether there was anything.
    """
    idle = 0
    for _ in range(50):  # 5 s at most
        idle = 0 if clean() else idle + 1
        if idle == IDLE_POLLS:
            return
        time.sleep(0.1)


@contextmanager
def garbage_collected(repository: Any) -> Iterator[None]:
    """Collect chunks that no commit names before writing, of a killed writer, and again if this one fails.

    Parameters
    ----------
    repository
        Of Icechunk.
    """
    try:
        repository.garbage_collect(dt.datetime.now(dt.UTC))
        yield
    except BaseException:
        clean_until_idle(lambda: repository.garbage_collect(dt.datetime.now(dt.UTC)).bytes_deleted)
        raise


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn errors of a full disk and of a folder that takes no files into an InputError that says so.

    Parameters
    ----------
    path
        Of what is written.
    """
    try:
        yield
    except (OSError, _icechunk().IcechunkError) as error:
        # Icechunk gives the operating system's error as text only
        code = getattr(error, "errno", None) or next(
            (code for code in FULL | FORBIDDEN if f"os error {code})" in str(error)), None
        )
        if code in FULL:
            raise InputError(
                f"Got {path} on a disk that is full or at its quota, need space; free some or choose another."
            ) from error
        if code in FORBIDDEN:
            raise InputError(
                f"Got {path} in a folder that takes no files ({os.strerror(code)}), need one that can be "
                "written; choose another."
            ) from error
        raise


# --- routing: which layout reads fewer bytes ---

FRAME_BYTES = 4 * 10**6
"""What an image at any zoom may read, before compression."""
BoxKey = tuple[slice, slice, slice]
"""Days, rows, columns."""


def bytes_touched(arrays: Iterable[Any], key: BoxKey) -> int:
    """Bytes of all chunks that a read touches, before compression.

    Parameters
    ----------
    arrays
        Zarr arrays (time, y, x, last).
    key
        Integer slices.

    Returns
    -------
    int
    """
    total = 0
    for array in arrays:
        chunk_bytes = int(np.prod(array.chunks)) * array.dtype.itemsize
        for part, size, chunk in zip(key, array.shape, array.chunks, strict=False):
            first, last, _ = part.indices(size)
            chunk_bytes *= max(0, -(-last // chunk) - first // chunk)
        total += chunk_bytes
    return total


def finest_level(
    arrays: Mapping[str, Mapping[str, Any]], shape: tuple[int, int], day: int, rows: slice, cols: slice
) -> tuple[int, BoxKey]:
    """The finest level of which a rectangle of one day touches at most ``FRAME_BYTES``.

    Parameters
    ----------
    arrays
        Of :func:`open_arrays`.
    shape
        Rows and columns of the cube.
    day
        Index along time.
    rows, cols
        Of the cube's own pixels.

    Returns
    -------
    tuple
        The level, the coarsest where none fits, and the key in its pixels.
    """
    parts = [part.indices(size)[:2] for part, size in zip((rows, cols), shape, strict=True)]
    for level, layout in level_layouts(*shape).items():
        key = (slice(day, day + 1), *(slice(a // level, -(-b // level)) for a, b in parts))
        if bytes_touched(arrays[layout].values(), key) <= FRAME_BYTES:
            break
    return level, key


def level_grid(grid: Grid, level: int) -> Grid:
    """The grid of an overview.

    Parameters
    ----------
    grid
        Of the cube.
    level
        How many pixels a side are one.

    Returns
    -------
    Grid
        From the same corner; its last pixels may reach beyond the cube.
    """
    ny, nx = (-(-size // level) for size in grid.shape)
    return Grid(grid.crs, grid.left_m, grid.top_m, grid.size_m * level, nx, ny)


def dask_chunks(array: Any) -> tuple[int, ...]:
    """Chunks to read an array in: whole shards, where it has them, since each shard is one file.

    Parameters
    ----------
    array
        Of Zarr.

    Returns
    -------
    tuple of int
    """
    return array.shards or array.chunks


def read_together(arrays: list[Any], key: tuple[Any, ...]) -> list[np.ndarray]:
    """Read the same key of several arrays at once: one after another, each waits for the event loop anew.

    Parameters
    ----------
    arrays
        Of Zarr, in one store.
    key
        Integers and slices.

    Returns
    -------
    list of numpy.ndarray
        As on disk.
    """
    import asyncio

    from zarr.core.sync import sync

    async def together() -> list[Any]:
        return await asyncio.gather(*(array.async_array.getitem(key) for array in arrays))

    return [np.asarray(values) for values in sync(together())]


# --- reading ---


class Store:
    """A cube on disk, pinned to one snapshot: reads never wait for writers and never see them.

    Parameters
    ----------
    path
        Of the store.
    repository
        Of Icechunk.
    session
        A readonly session of one snapshot.
    """

    def __init__(self, path: Path, repository: Any, session: Any) -> None:
        self.path = path
        self.snapshot: str = session.snapshot_id
        self._repository = repository
        self._zarr = session.store

    @classmethod
    def open(cls, path: str | Path, snapshot: str | None = None) -> Store:
        """Open a store.

        Parameters
        ----------
        path
            Of its folder.
        snapshot
            Id of an earlier state; None: the newest.

        Returns
        -------
        Store

        Raises
        ------
        InputError
            Where it does not exist, is no store, or is damaged: all that can be found at once is found here.
        """
        path = Path(path)
        if not path.exists():
            raise InputError(f"Got the store {path}, which does not exist; write one with `fluxlens embed`.")
        if not is_store(path):
            raise InputError(f"Got {path}, need an embedding store; write one with `fluxlens embed`.")
        repository = open_repository(path)
        with reading(path):
            try:
                which = {"snapshot_id": snapshot} if snapshot else {"branch": "main"}
                store = cls(path, repository, repository.readonly_session(**which))
            except _icechunk().IcechunkError as error:
                if snapshot is None:
                    raise
                raise InputError(
                    f"Got the snapshot {snapshot!r}, need one of {_list_ids(history(repository))}; choose one."
                ) from error
            expected = store._open_group("").attrs.get(METADATA_DIGEST)
        # only stores from before both were introduced have neither the digest nor our fill values
        old = expected is None and store._arrays["maps"]["embedding"].fill_value != FILL_VALUES["embedding"]
        if not old and expected != metadata_digest(store._coords, store._arrays):
            raise damaged(path, "its attributes or coordinates are not those written")
        return store

    @property
    def grid(self) -> Grid:
        """Where the pixels are."""
        return Grid.from_cube(self._coords)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self._coords.sizes["y"], self._coords.sizes["x"]

    @property
    def days(self) -> np.ndarray:
        """Days of the cube, datetime64[ns] at midnight UTC."""
        return self._coords["time"].values

    @property
    def attrs(self) -> dict[str, Any]:
        """The cube's attributes: model, digests, quantisation, whether simulated."""
        return self._coords.attrs

    @property
    def nbytes(self) -> int:
        """Bytes on disk, all snapshots and the scene included."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def cube(self, layout: str | None = None) -> xr.Dataset:
        """The whole cube, lazily.

        Parameters
        ----------
        layout
            ``maps`` (the default) or ``series``: which one is read.

        Returns
        -------
        xarray.Dataset
            The embedding cube with dask arrays.

        Raises
        ------
        InputError
            For another layout; when computed, where a chunk is missing.
        """
        layout = layout or "maps"
        if layout not in LAYOUTS:
            raise InputError(f"Got the layout {layout!r}, need one of {', '.join(LAYOUTS)}.")
        import dask.array as da

        lazy = {}
        with reading(self.path):
            for name, array in self._arrays[layout].items():
                values = da.from_zarr(array, chunks=dask_chunks(array))
                if array.fill_value == FILL_VALUES[name]:
                    values = values.map_blocks(
                        _checked, self.path, name, dtype=array.dtype, meta=values._meta
                    )
                lazy[name] = values
        return self._dataset(self._coords, lazy, ("time", "y", "x"))

    def map(self, day: Any) -> xr.Dataset:
        """One day of all pixels.

        Parameters
        ----------
        day
            Anything pandas reads as a date.

        Returns
        -------
        xarray.Dataset
            In memory; ``time`` is a scalar.

        Raises
        ------
        InputError
            For a day the cube does not have, and where a chunk is missing.
        """
        index = self._day(day)
        return self._read("maps", (index, slice(None), slice(None)))

    def frame(self, day: Any, rows: slice, cols: slice) -> xr.Dataset:
        """A rectangle of one day as finely as ``FRAME_BYTES`` allow; pixels of overviews are larger.

        An overview has the mean embedding of the pixels it covers and the worst of each quality.

        Parameters
        ----------
        day
            Anything pandas reads as a date.
        rows, cols
            Of the cube's own pixels.

        Returns
        -------
        xarray.Dataset
            In memory, (y, x) of the level that was read.
        """
        index = self._day(day)
        level, key = finest_level(self._arrays, self.grid_shape, index, rows, cols)
        return self._rectangle(level, index, *key[1:], tuple(DTYPES))

    def tile(self, day: Any, level: int, rows: slice, cols: slice, quality: bool = True) -> xr.Dataset:
        """A rectangle of one day at a given level.

        Parameters
        ----------
        day
            Anything pandas reads as a date.
        level
            How many pixels a side are one (1, 2, 4 ...), averaged as of :meth:`frame`.
        rows, cols
            Count those larger pixels.
        quality
            Without it there is only the embedding, for half the chunks.

        Returns
        -------
        xarray.Dataset
            In memory, (y, x).

        Raises
        ------
        InputError
            For a level the store does not have.
        """
        if level not in self._levels:
            raise InputError(
                f"Got level {level}, need one of {', '.join(map(str, self._levels))}; choose one."
            )
        names = tuple(DTYPES) if quality else ("embedding",)
        return self._rectangle(level, self._day(day), rows, cols, names)

    def series(self, row: int, col: int) -> xr.Dataset:
        """All days of one pixel; touches one chunk per array.

        Parameters
        ----------
        row, col
            Of the pixel.

        Returns
        -------
        xarray.Dataset
            In memory; ``y`` and ``x`` are scalars.

        Raises
        ------
        InputError
            Outside the cube, and where a chunk is missing.
        """
        for name, value, size in (("row", row, self.grid_shape[0]), ("column", col, self.grid_shape[1])):
            if not 0 <= value < size:
                raise InputError(f"Got {name} {value}, need 0 to {size - 1}; choose a pixel of the cube.")
        return self._read("series", (slice(None), int(row), int(col)))

    def window(self, days: slice, rows: slice, cols: slice) -> xr.Dataset:
        """A box of the cube, from the layout that touches fewer bytes.

        Parameters
        ----------
        days, rows, cols
            Integer slices, step 1.

        Returns
        -------
        xarray.Dataset
            In memory.
        """
        key = (days, rows, cols)
        layout = min(LAYOUTS, key=lambda name: bytes_touched(self._arrays[name].values(), key))
        return self._read(layout, key)

    def scene(self) -> xr.DataTree | None:
        """The scene the cube was made from, lazily; None where the store carries none."""
        with reading(self.path):
            if "scene" not in self._open_group(""):
                return None
        from embeddings.readers import zarr as scenes

        # its values were checked when they were written, and every chunk has a checksum
        return scenes.open(self._zarr, group="scene", values=False)

    def true_colour_overviews(self) -> dict[int, xr.Dataset]:
        """Coarser true colour of a wide scene, as of ``photos.open_overviews``; empty where there is none."""
        from embeddings import photos

        with reading(self.path):
            return photos.open_overviews(self._zarr)

    def log(self) -> list[Snapshot]:
        """Commits of the store at this moment, newest first; there may be newer ones than ``snapshot``."""
        return history(self._repository)

    @cached_property
    def _coords(self) -> xr.Dataset:
        """Coordinates and attributes in memory; opening them per click would cost more than the pixel."""
        with reading(self.path):
            return read_coords(self._zarr)

    @cached_property
    def _arrays(self) -> dict[str, dict[str, Any]]:
        """Opened zarr arrays by layout and name."""
        with reading(self.path):
            return open_arrays(self._zarr, self.grid_shape)

    @cached_property
    def _levels(self) -> dict[int, str]:
        return level_layouts(*self.grid_shape)

    @cached_property
    def _attributes(self) -> dict[str, dict[str, Any]]:
        """Attributes of the cube's variables, without those by which Zarr readers find coordinates."""
        maps = self._arrays["maps"]
        hidden = {"grid_mapping", "coordinates"}
        own = {key: value for key, value in maps["embedding"].attrs.items() if key not in hidden}
        return {"embedding": own, **maps["quality"].attrs["layers"]}

    def _open_group(self, group: str) -> Any:
        import zarr

        return zarr.open_group(self._zarr, path=group, mode="r", zarr_format=3)

    def _read(self, layout: str, key: tuple[Any, Any, Any]) -> xr.Dataset:
        coords = self._coords.isel(dict(zip(("time", "y", "x"), key, strict=True)))
        dims = [dim for dim, part in zip(("time", "y", "x"), key, strict=True) if isinstance(part, slice)]
        return self._dataset(coords, self._values(layout, key), dims)

    def _rectangle(
        self, level: int, index: int, rows: slice, cols: slice, names: tuple[str, ...]
    ) -> xr.Dataset:
        """A rectangle of one day, counted in pixels of a level."""
        coords = self._coords.isel(time=index).drop_vars(("x", "y"))
        coords = coords.assign_coords(level_grid(self.grid, level).window(rows, cols).coords())
        return self._dataset(
            coords, self._values(self._levels[level], (index, rows, cols), names), ("y", "x")
        )

    def _values(
        self, layout: str, key: tuple[Any, Any, Any], names: tuple[str, ...] = tuple(DTYPES)
    ) -> dict[str, np.ndarray]:
        """Bytes as on disk by array."""
        arrays = {name: self._arrays[layout][name] for name in names}
        with reading(self.path):
            found = dict(zip(arrays, read_together(list(arrays.values()), key), strict=True))
        for name, codes in found.items():
            if arrays[name].fill_value == FILL_VALUES[name]:
                _checked(codes, self.path, name)
        return found

    def _dataset(self, coords: xr.Dataset, values: dict[str, Any], dims: Iterable[str]) -> xr.Dataset:
        """The variables of the cube contract; values are numpy or dask arrays as on disk."""
        out = {"embedding": ((*dims, "feature"), values["embedding"], self._attributes["embedding"])}
        for layer, (name, (_, decode)) in enumerate(QUALITY.items() if "quality" in values else ()):
            codes = values["quality"][..., layer]
            lazy = not isinstance(codes, np.ndarray)
            data = (
                codes.map_blocks(decode, dtype=decode(np.zeros(1, np.uint8)).dtype) if lazy else decode(codes)
            )
            out[name] = (tuple(dims), data, self._attributes[name])
        # given as they are, indexes are taken over: assigning makes them anew
        return xr.Dataset(out, coords.coords, coords.attrs)

    @cached_property
    def _calendar(self) -> np.ndarray:
        return self.days.astype("datetime64[D]")

    def _day(self, day: Any) -> int:
        """Index of a day along time."""
        try:
            wanted = np.datetime64(pd.Timestamp(day), "ns").astype("datetime64[D]")
        except (ValueError, TypeError) as error:
            raise InputError(f"Got the day {day!r}, need a date such as 2020-05-01.") from error
        days = self._calendar
        index = int(np.searchsorted(days, wanted))
        if index == days.size or days[index] != wanted:
            raise InputError(f"Got the day {wanted}, need one from {days[0]} to {days[-1]}; choose another.")
        return index


def _checked(codes: np.ndarray, path: Path, name: str) -> np.ndarray:
    """Bytes of a store as they are, or an InputError where a chunk of them was not found."""
    if has_missing(name, codes):
        raise damaged(path, f"a chunk of {name} is missing")
    return codes


# --- writing ---


def write(
    path: str | Path,
    template: xr.Dataset,
    blocks: Iterable[Any],
    scene: xr.DataTree | None = None,
    message: str = "",
    overwrite: bool = False,
) -> str:
    """Write a cube from its blocks.

    Memory stays bounded: blocks gather in scratch files until a tile is full.

    Parameters
    ----------
    path
        Of the new store.
    template
        Gives coordinates, attributes and dtypes; its numbers are not read.
    blocks
        Each with ``rows``, ``cols`` and ``cube``: all days of a rectangle, in any order; together they cover every
        pixel once.
    scene
        The scene the cube was made from, stored beside it.
    message
        Of the commit.
    overwrite
        Replace an existing store, by one commit on top, so that its earlier snapshots can still be opened.

    Returns
    -------
    str
        The snapshot id.

    Raises
    ------
    InputError
        Where the path cannot be written.
    RuntimeError
        Where blocks are missing.
    """
    return progress.run(write_steps(path, template, blocks, scene, message, overwrite))


def write_steps(
    path: str | Path,
    template: xr.Dataset,
    blocks: Iterable[Any],
    scene: xr.DataTree | None = None,
    message: str = "",
    overwrite: bool = False,
) -> Generator[Any, None, str]:
    """As :func:`write`, step by step; closing the generator leaves nothing behind.

    Parameters
    ----------
    path, template, scene, message, overwrite
        As of :func:`write`.
    blocks
        As of :func:`write`; None stands for a moment to stop in.

    Yields
    ------
    block
        Each one once it is taken.

    Returns
    -------
    str
        The snapshot id.
    """
    with open_writer(path, template, overwrite) as writer:
        if scene is not None:
            writer.add_scene(scene)
        for block in blocks:
            if block is not None:
                writer.add_block(block)
            yield block
        return writer.commit(message)


@contextmanager
def open_writer(path: str | Path, template: xr.Dataset, overwrite: bool = False) -> Iterator[StoreWriter]:
    """A writer of a new store, which is in place once it was committed and the context is left without an error.

    Parameters
    ----------
    path, template, overwrite
        As of :func:`write`.

    Yields
    ------
    StoreWriter

    Raises
    ------
    InputError
        Where the path cannot be written.
    """
    path = Path(path).resolve()
    if path.exists() and not overwrite:
        raise InputError(
            f"Got the path {path}, which exists already, need a new one; choose another or remove it first."
        )
    if path.exists() and not is_store(path):
        raise InputError(
            f"Got {path} to overwrite, need an embedding store; remove it yourself if it can go."
        )
    if not path.parent.is_dir():
        raise InputError(f"Got {path}, need a path in a folder that exists; create {path.parent} first.")
    with exclusive_scratch(path) as scratch:
        if path.exists():
            repository = open_repository(path)
            with garbage_collected(repository):
                yield StoreWriter(repository, template, scratch)
            return
        repository = _icechunk().Repository.create(_storage(scratch / "store"))
        yield StoreWriter(repository, template, scratch)
        try:
            os.replace(scratch / "store", path)
        except OSError as error:
            if not path.exists():
                raise
            raise InputError(
                f"Got the path {path}, which another process wrote meanwhile; choose another name."
            ) from error


class StoreWriter:
    """Writes a store: blocks become tiles, tiles are written, one commit shows all of it.

    Each tile is written once, in all layouts: rewriting a chunk per block would cost compression again and leave
    the replaced chunks behind on disk. An overview is gathered from the halves of the next finer one's tiles.

    Parameters
    ----------
    repository
        Of Icechunk.
    template
        As of :func:`write`.
    scratch
        Folder for files of blocks.
    """

    def __init__(self, repository: Any, template: xr.Dataset, scratch: Path) -> None:
        import zarr

        self.scratch = scratch
        self._repository, self._title = repository, template.attrs.get("title", "embeddings")
        self._session = repository.writable_session("main")
        root = zarr.open_group(self._session.store, mode="a", zarr_format=3)
        for name in list(root.group_keys()):
            del root[name]
        created = {layout: create_layout(self._session.store, layout, template) for layout in LAYOUTS}
        self._days, ny, nx, _ = template["embedding"].shape
        # by level: the layouts that a tile of it is written to, and the blocks that wait for a tile to be covered
        self._layouts: list[tuple[str, ...]] = [LAYOUTS]
        self._assemblers = [TileAssembler(ny, nx, tile_px(created["series"]["embedding"]))]
        for level, layout in list(level_layouts(ny, nx).items())[1:]:
            create_arrays(root.create_group(layout), "maps", template, level)
            self._layouts.append((layout,))
            self._assemblers.append(TileAssembler(-(-ny // level), -(-nx // level), tile_px()))
        store = self._session.store
        root.attrs[METADATA_DIGEST] = metadata_digest(read_coords(store), open_arrays(store, (ny, nx)))
        self._target, self._submit = self._session, _run_now
        self._pending: list[tuple[Any, Callable[[], None]]] = []
        self._uses: Counter[Path] = Counter()
        """How many tiles still need a file."""

    def delegate(self, submit: Callable[..., Any]) -> None:
        """From here on have tiles written elsewhere.

        They are written in forks of the session, which start from a commit of empty arrays.

        Parameters
        ----------
        submit
            Called as ``submit(function, *arguments)``; returns a future.
        """
        self._session.commit(EMPTY_MESSAGE)
        self._session = self._repository.writable_session("main")
        self._target, self._submit = self._session.fork(), submit

    def add_scene(self, scene: xr.DataTree) -> None:
        """Write the scene the cube was made from.

        Parameters
        ----------
        scene
            Validated.
        """
        self._pending.append((self._submit(_write_scene, scene, self._target), lambda: None))

    def add_block(self, block: Any) -> None:
        """Take a block.

        Parameters
        ----------
        block
            With ``rows``, ``cols`` and ``cube``, all days.

        Raises
        ------
        RuntimeError
            Where it has other days than the cube.
        """
        codes = to_bytes({name: array.values for name, array in block.cube.data_vars.items()})
        if codes.shape[0] != self._days:
            raise RuntimeError(f"a block has {codes.shape[0]} days, the cube {self._days}")
        ny, nx = self._assemblers[0].covered.shape
        rows, cols = slice(*block.rows.indices(ny)[:2]), slice(*block.cols.indices(nx)[:2])
        file = self.scratch / f"{rows.start}_{cols.start}.npy"
        save(file, codes.shape, [codes])
        self.add_file(file, rows, cols)

    def add_file(self, file: Path, rows: slice, cols: slice, keep: bool = False) -> None:
        """Take a block that is already a file.

        Parameters
        ----------
        file
            Of ``tiles.save``.
        rows, cols
            Which pixels it holds.
        keep
            Leave the file; else it is removed once all its tiles are written.
        """
        self._uses[file] += keep
        self._add(0, BlockFile(file, rows, cols))
        self.merge_finished()

    def merge_finished(self) -> bool:
        """Merge the forks in which tiles were written meanwhile.

        Returns
        -------
        bool
            Whether nothing is pending any more.
        """
        while finished := [pair for pair in self._pending if pair[0].done()]:
            for pair in finished:
                self._pending.remove(pair)
                future, then = pair
                fork = future.result()
                if fork is not self._session:
                    self._session.merge(fork)
                then()
        return not self._pending

    def commit(self, message: str = "") -> str:
        """Commit the whole cube.

        Parameters
        ----------
        message
            Of the commit.

        Returns
        -------
        str
            The snapshot id.

        Raises
        ------
        RuntimeError
            Where pixels are missing.
        """
        missing = int((~self._assemblers[0].covered).sum())
        if missing:
            raise RuntimeError(f"{missing} pixels of the cube were never computed")
        snapshot = self._session.commit(message or f"write {self._title}")
        if self._submit is not _run_now:  # what killed workers began to write
            self._repository.garbage_collect(dt.datetime.now(dt.UTC))
        return snapshot

    def _add(self, level: int, block: BlockFile) -> None:
        """Take a block of a level (0 the finest), and write the tiles it completes."""
        assembler, layouts = self._assemblers[level], self._layouts[level]
        self._uses[block.file] += len(assembler.tiles(block)) * len(layouts)
        for rows, cols, files in assembler.add(block):
            for layout in layouts:
                coarser = layout != "series" and level + 1 < len(self._assemblers)
                overview = self.scratch / f"half{level}_{rows.start}_{cols.start}.npy" if coarser else None
                tile = Tile(layout, rows, cols, files, overview)
                then = partial(self._written, level, tile)
                self._pending.append((self._submit(tile.write, self._target), then))

    def _written(self, level: int, tile: Tile) -> None:
        """Remove files that no tile needs any more, and pass the tile's half resolution to the next level."""
        for block in tile.files:
            self._uses[block.file] -= 1
            if not self._uses[block.file]:
                block.file.unlink()
        if tile.overview:
            rows, cols = (slice(s.start // 2, -(-s.stop // 2)) for s in (tile.rows, tile.cols))
            self._add(level + 1, BlockFile(tile.overview, rows, cols))


def _write_scene(scene: xr.DataTree, session: Any) -> Any:
    from embeddings import photos
    from embeddings.readers import zarr as scenes

    scenes.write(scene, session.store, group="scene")
    photos.write_overviews(session.store)
    return session


def _run_now(function: Callable[..., Any], *arguments: Any) -> Future:
    """Call a function here, as an executor would elsewhere."""
    import dask

    done: Future = Future()
    # The open transaction lives in this process; a cluster the user is connected to cannot write to it.
    with dask.config.set(scheduler="threads"):
        done.set_result(function(*arguments))
    return done
