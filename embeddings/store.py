"""Embedding cubes on disk: one Icechunk repository that holds the same numbers as maps and as series.

The layout ``maps`` answers "one day, everywhere" and ``series`` answers "one pixel, every day"; each is slow
at what the other is for. ``overviews`` are maps at a half, a quarter ... of the resolution. Beside the
``embedding`` lies ``quality``, one byte each for sigma and the two distances in days. A store becomes visible
in one commit, at a path where before there was nothing; its snapshot id names exactly what was seen.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from embeddings import progress
from embeddings.geometry import Grid
from embeddings.quantise import decode_days, decode_sigma, encode_days, encode_sigma
from embeddings.tiles import Mosaic, Piece, Tile, save
from models.errors import InputError

MAP_PX = 128
"""Side of a chunk of the maps layout and of overviews."""
SERIES_CHUNK_PX = 16
"""Side of a chunk of the series layout, which holds all days."""
SHARD_BYTES = 128 * 2**20
"""A shard is encoded in memory at once: its raw bytes stay below this, whatever the number of days."""
FRAME_BYTES = 4 * 10**6
"""What a picture at any zoom may touch, before compression."""
LEVEL = 1
"""Of zstd: more saves a percent or two and takes several times as long."""
EMPTY = "arrays, still empty"
"""Message of the commit from which workers write; no cube of its own."""
LAYOUTS = ("maps", "series")
COORDS = ("time", "y", "x", "feature", "scale", "spatial_ref")
QUALITY = {
    "sigma": (encode_sigma, decode_sigma),
    "days_from_s2": (encode_days, decode_days),
    "days_from_s1": (encode_days, decode_days),
}
"""Layers of ``quality`` in their order: to bytes and back."""
DTYPES = {"embedding": np.dtype(np.int8), "quality": np.dtype(np.uint8)}
"""Arrays on disk."""
DAMAGE = (ValueError, TypeError, RuntimeError)
"""What else decoding of damaged bytes may raise."""
WORDS = "digest_of_words"
"""Attribute of the store: digest of its attributes and coordinates, which have no checksum of their own."""
QUIET = 3
"""Tenths of a second without a new file after which a failed writer has ended."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


def write(
    path: str | Path,
    template: xr.Dataset,
    blocks: Iterable[Any],
    scene: xr.DataTree | None = None,
    message: str = "",
    overwrite: bool = False,
) -> str:
    """Write a cube from its blocks and return the snapshot id.

    ``template`` gives coordinates, attributes and dtypes; each block (``rows``, ``cols``, ``cube``) covers
    all days of a rectangle, in any order, and together they cover every pixel once. Memory stays bounded:
    blocks gather in scratch files until a tile is full. An existing store is only replaced with
    ``overwrite``, by one commit on top, so that its earlier snapshots can still be opened.
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
    """As ``write``, yielding each block once it is taken; closing the generator leaves nothing behind.

    A block may be None: nothing yet, but a moment to stop in.
    """
    with draft(path, template, overwrite) as making:
        if scene is not None:
            making.add_scene(scene)
        for block in blocks:
            if block is not None:
                making.put(block)
            yield block
        return making.commit(message)


@contextmanager
def draft(path: str | Path, template: xr.Dataset, overwrite: bool = False) -> Iterator[Draft]:
    """A ``Draft`` of ``template``'s cube; in place once it was committed and the context is left without an error."""
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
    with _alone(path) as scratch:
        if path.exists():
            repository = _open_repository(path)
            with _swept(repository):
                yield Draft(repository, template, scratch)
            return
        repository = _icechunk().Repository.create(_storage(scratch / "store"))
        yield Draft(repository, template, scratch)
        try:
            os.replace(scratch / "store", path)
        except OSError as error:
            if not path.exists():
                raise
            raise InputError(
                f"Got the path {path}, which another process wrote meanwhile; choose another name."
            ) from error


@contextmanager
def _alone(path: Path) -> Iterator[Path]:
    """A scratch folder beside ``path`` for one writer at a time; what a killed one left in it is removed."""
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
            for left in scratch.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.name == "lock" or left.unlink()
            yield scratch
        except BaseException:
            _until_quiet(lambda: _removed(scratch))
            raise
        else:
            _removed(scratch)
        finally:
            lock.release()


def _until_quiet(clean: Callable[[], Any]) -> None:
    """Cleans until nothing is found for a while: threads go on writing for a moment after one of them failed."""
    quiet = 0
    for _ in range(50):
        quiet = 0 if clean() else quiet + 1
        if quiet == QUIET:
            return
        time.sleep(0.1)


def _removed(folder: Path) -> bool:
    there = folder.exists()
    shutil.rmtree(folder, ignore_errors=True)
    return there


@contextmanager
def _swept(repository: Any) -> Iterator[None]:
    """Chunks that no commit names, of this writer or of one that was killed, do not stay in the store."""
    try:
        repository.garbage_collect(dt.datetime.now(dt.UTC))
        yield
    except BaseException:
        _until_quiet(lambda: repository.garbage_collect(dt.datetime.now(dt.UTC)).bytes_deleted)
        raise


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """A full disk and a folder that takes no files are told as what they are."""
    try:
        yield
    except (OSError, _icechunk().IcechunkError) as error:
        # Icechunk tells the operating system's error in words only
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


def is_store(path: str | Path) -> bool:
    """Whether a folder looks like a store, without opening it."""
    return (Path(path) / "refs").is_dir() and (Path(path) / "snapshots").is_dir()


@dataclass(frozen=True)
class Snapshot:
    """One commit of a store."""

    id: str
    written_at: pd.Timestamp
    """UTC."""
    message: str


class Store:
    """A cube on disk, pinned to one snapshot: reads never wait for writers and never see them."""

    def __init__(self, path: Path, repository: Any, session: Any) -> None:
        self.path = path
        self.snapshot: str = session.snapshot_id
        self._repository = repository
        self._zarr = session.store

    @classmethod
    def open(cls, path: str | Path, snapshot: str | None = None) -> Store:
        """The newest state of a store, or the one a snapshot id names."""
        path = Path(path)
        if not path.exists():
            raise InputError(f"Got the store {path}, which does not exist; write one with `fluxlens embed`.")
        if not is_store(path):
            raise InputError(f"Got {path}, need an embedding store; write one with `fluxlens embed`.")
        repository = _open_repository(path)
        try:
            which = {"snapshot_id": snapshot} if snapshot else {"branch": "main"}
            store = cls(path, repository, repository.readonly_session(**which))
        except _icechunk().IcechunkError as error:
            if snapshot is None:
                raise InputError(_damaged(path, error)) from error
            raise InputError(
                f"Got the snapshot {snapshot!r}, need one of {_some(cls._log(repository))}; choose one."
            ) from error
        store._check()
        return store

    @property
    def grid(self) -> Grid:
        """Where the pixels are."""
        return Grid.from_cube(self._coords)

    @property
    def days(self) -> np.ndarray:
        """Days of the cube, datetime64[ns] at midnight UTC."""
        return self._coords["time"].values

    @property
    def attrs(self) -> dict[str, Any]:
        """What the cube says of itself: model, digests, quantisation, whether simulated."""
        return self._coords.attrs

    def cube(self, layout: str | None = None) -> xr.Dataset:
        """The whole cube, lazily, from ``maps`` (the default) or ``series``."""
        layout = layout or "maps"
        if layout not in LAYOUTS:
            raise InputError(f"Got the layout {layout!r}, need one of {', '.join(LAYOUTS)}.")
        import dask.array as da

        arrays = self._arrays[layout]
        with self._reading():
            lazy = {
                name: da.from_zarr(array, chunks=self._dask_chunks(array)) for name, array in arrays.items()
            }
        return self._dataset(self._coords, lazy, ("time", "y", "x"))

    def map(self, day: Any) -> xr.Dataset:
        """One day of all pixels, in memory; ``time`` is a scalar."""
        index = self._day(day)
        return self._read("maps", (index, slice(None), slice(None)))

    def frame(self, day: Any, rows: slice, cols: slice) -> xr.Dataset:
        """A rectangle of one day as finely as ``FRAME_BYTES`` allow; pixels of overviews are larger.

        An overview has the mean embedding of the pixels it covers and the worst of each quality.
        """
        index = self._day(day)
        layout, key = self._seen(index, rows, cols)
        return self._part(layout, index, *key[1:], tuple(DTYPES))

    def tile(self, day: Any, level: int, rows: slice, cols: slice, quality: bool = True) -> xr.Dataset:
        """A rectangle of one day where ``level`` x ``level`` pixels are one (1, 2, 4 ...), as ``frame`` averages them.

        ``rows`` and ``cols`` count those larger pixels. Without ``quality`` there is only the embedding, for half the
        chunks.
        """
        if level not in self._levels:
            raise InputError(
                f"Got level {level}, need one of {', '.join(map(str, self._levels))}; choose one."
            )
        names = tuple(DTYPES) if quality else ("embedding",)
        return self._part(self._levels[level], self._day(day), rows, cols, names)

    def _part(self, layout: str, index: int, rows: slice, cols: slice, names: tuple[str, ...]) -> xr.Dataset:
        coords = self._coords.isel(time=index).drop_vars(("x", "y"))
        coords = coords.assign_coords(self._grid_of(layout).window(rows, cols).coords())
        return self._dataset(coords, self._values(layout, (index, rows, cols), names), ("y", "x"))

    def series(self, row: int, col: int) -> xr.Dataset:
        """All days of one pixel, in memory; ``y`` and ``x`` are scalars. Touches one chunk per variable."""
        for name, value, size in (("row", row, self.grid_shape[0]), ("column", col, self.grid_shape[1])):
            if not 0 <= value < size:
                raise InputError(f"Got {name} {value}, need 0 to {size - 1}; choose a pixel of the cube.")
        return self._read("series", (slice(None), int(row), int(col)))

    def window(self, days: slice, rows: slice, cols: slice) -> xr.Dataset:
        """A box of the cube in memory, from the layout that touches fewer bytes (integer slices, step 1)."""
        layout = min(LAYOUTS, key=lambda name: self._bytes_touched(name, (days, rows, cols)))
        return self._read(layout, (days, rows, cols))

    def scene(self) -> xr.DataTree | None:
        """The scene the cube was made from, lazily; None where the store carries none."""
        with self._reading():
            if "scene" not in self._open_group(""):
                return None
        from embeddings.readers import zarr as scenes

        # its values were looked at when they were written, and every chunk has a checksum
        return scenes.open(self._zarr, group="scene", values=False)

    def photos(self) -> dict[int, xr.Dataset]:
        """Coarser true colour of a wide scene, as ``photos.open`` gives it; empty where there is none."""
        from embeddings import photos

        with self._reading():
            return photos.open_overviews(self._zarr)

    def log(self) -> list[Snapshot]:
        """Commits of the store, newest first, up to the first that holds a cube."""
        return self._log(self._repository)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self._coords.sizes["y"], self._coords.sizes["x"]

    @property
    def nbytes(self) -> int:
        """Bytes on disk, all snapshots and the scene included."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    # --- how it reads ---

    @cached_property
    def _coords(self) -> xr.Dataset:
        """Coordinates and attributes in memory; opening them per click would cost more than the pixel."""
        with self._reading():
            opened = xr.open_zarr(
                self._zarr, group="maps", consolidated=False, chunks=None, decode_coords="all"
            )
            coords = opened.drop_vars(opened.data_vars).load().drop_encoding()
        ordered = {name: coords[name] for name in _in_order(coords.coords, COORDS)}
        return _plain_text(xr.Dataset(coords=ordered, attrs=coords.attrs))

    @cached_property
    def _arrays(self) -> dict[str, dict[str, Any]]:
        """Opened zarr arrays by layout and name."""
        with self._reading():
            layouts = [*LAYOUTS, *list(self._levels.values())[1:]]
            return {layout: {name: self._open_group(layout)[name] for name in DTYPES} for layout in layouts}

    @cached_property
    def _levels(self) -> dict[int, str]:
        """Where maps of 1, 2, 4 ... pixels in one lie."""
        return {1: "maps"} | {level: f"overviews/{level}" for level in _levels(*self.grid_shape)}

    @cached_property
    def _attributes(self) -> dict[str, dict[str, Any]]:
        maps = self._arrays["maps"]
        hidden = {"grid_mapping", "coordinates"}
        own = {key: value for key, value in maps["embedding"].attrs.items() if key not in hidden}
        return {"embedding": own, **maps["quality"].attrs["layers"]}

    def _read(self, layout: str, key: tuple[Any, Any, Any]) -> xr.Dataset:
        coords = self._coords.isel(dict(zip(("time", "y", "x"), key, strict=True)))
        dims = [dim for dim, part in zip(("time", "y", "x"), key, strict=True) if isinstance(part, slice)]
        return self._dataset(coords, self._values(layout, key), dims)

    def _values(
        self, layout: str, key: tuple[Any, Any, Any], names: tuple[str, ...] = tuple(DTYPES)
    ) -> dict[str, np.ndarray]:
        arrays = {name: self._arrays[layout][name] for name in names}
        with self._reading():
            return dict(zip(arrays, _gather(list(arrays.values()), key), strict=True))

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

    def _seen(self, index: int, rows: slice, cols: slice) -> tuple[str, tuple[slice, slice, slice]]:
        """The finest layout and its key by which a rectangle of one day stays within ``FRAME_BYTES``."""
        parts = [part.indices(size)[:2] for part, size in zip((rows, cols), self.grid_shape, strict=True)]
        for level, layout in self._levels.items():
            key = (slice(index, index + 1), *(slice(a // level, -(-b // level)) for a, b in parts))
            if self._bytes_touched(layout, key) <= FRAME_BYTES:
                break
        return layout, key

    def _grid_of(self, layout: str) -> Grid:
        level = next(level for level, name in self._levels.items() if name == layout)
        grid, (ny, nx) = self.grid, (-(-size // level) for size in self.grid_shape)
        return Grid(grid.crs, grid.left_m, grid.top_m, grid.size_m * level, nx, ny)

    def _bytes_touched(self, layout: str, key: tuple[slice, slice, slice]) -> int:
        total = 0
        for array in self._arrays[layout].values():
            chunk_bytes = int(np.prod(array.chunks)) * array.dtype.itemsize
            for part, size, chunk in zip(key, array.shape, array.chunks, strict=False):
                first, last, _ = part.indices(size)
                chunk_bytes *= max(0, -(-last // chunk) - first // chunk)
            total += chunk_bytes
        return total

    @staticmethod
    def _dask_chunks(array: Any) -> tuple[int, ...]:
        return array.shards or array.chunks

    @cached_property
    def _calendar(self) -> np.ndarray:
        return self.days.astype("datetime64[D]")

    def _day(self, day: Any) -> int:
        try:
            wanted = np.datetime64(pd.Timestamp(day), "ns").astype("datetime64[D]")
        except (ValueError, TypeError) as error:
            raise InputError(f"Got the day {day!r}, need a date such as 2020-05-01.") from error
        days = self._calendar
        index = int(np.searchsorted(days, wanted))
        if index == days.size or days[index] != wanted:
            raise InputError(f"Got the day {wanted}, need one from {days[0]} to {days[-1]}; choose another.")
        return index

    def _open_group(self, group: str) -> Any:
        import zarr

        return zarr.open_group(self._zarr, path=group, mode="r", zarr_format=3)

    def _check(self) -> None:
        """Everything that can be told at once is told at opening, not at the first click."""
        with self._reading():
            told = self._open_group("").attrs.get(WORDS)
        if told not in (None, self._words()):
            raise InputError(_damaged(self.path, "its attributes or coordinates are not those written"))

    def _words(self) -> str:
        """Digest of all that is not in checksummed chunks: attributes, coordinates, how arrays are laid out."""
        digest = hashlib.sha256()
        for name, variable in sorted(self._coords.variables.items()):
            digest.update(f"{name} {variable.dims} {variable.dtype.str}".encode() + variable.values.tobytes())
        said = [self._coords.attrs, {name: coord.attrs for name, coord in self._coords.coords.items()}]
        laid = {
            layout: {name: array.metadata.to_dict() for name, array in arrays.items()}
            for layout, arrays in self._arrays.items()
        }
        digest.update(json.dumps([*said, laid], sort_keys=True, default=str).encode())
        return digest.hexdigest()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        import zarr

        try:
            yield
        except (_icechunk().IcechunkError, zarr.errors.BaseZarrError, OSError, KeyError, *DAMAGE) as error:
            raise InputError(_damaged(self.path, error)) from error

    @staticmethod
    def _log(repository: Any) -> list[Snapshot]:
        commits = [
            Snapshot(info.id, pd.Timestamp(info.written_at), info.message)
            for info in repository.ancestry(branch="main")
            if info.message != EMPTY
        ]
        return commits[:-1]  # the oldest is Icechunk's own, of the empty repository


# --- writing ---


class Draft:
    """A store in the making: pieces become tiles, tiles are written, one commit shows all of it.

    Each tile is written once, in all layouts: rewriting a chunk per block would cost compression again and leave
    the replaced chunks behind on disk. An overview is gathered from the halves of the next finer one's tiles.
    """

    def __init__(self, repository: Any, template: xr.Dataset, scratch: Path) -> None:
        import zarr

        self.scratch = scratch
        self._repository, self._title = repository, template.attrs.get("title", "embeddings")
        self._session = repository.writable_session("main")
        root = zarr.open_group(self._session.store, mode="a", zarr_format=3)
        for name in list(root.group_keys()):
            del root[name]
        arrays = {layout: _create(self._session.store, layout, template) for layout in LAYOUTS}
        self._days, ny, nx, _ = template["embedding"].shape
        shards = arrays["series"]["embedding"].shards[1:3]
        self._layouts: list[tuple[str, ...]] = [LAYOUTS]
        self._mosaics = [Mosaic(ny, nx, max(MAP_PX, *shards))]
        for level in _levels(ny, nx):
            name = f"overviews/{level}"
            _create_arrays(root.create_group(name), "maps", template, level)
            self._layouts.append((name,))
            self._mosaics.append(Mosaic(-(-ny // level), -(-nx // level), MAP_PX))
        root.attrs[WORDS] = Store(scratch, repository, self._session)._words()
        self._target, self._submit = self._session, _at_once
        self._under_way: list[tuple[Any, Callable[[], None]]] = []
        self._uses: Counter[Path] = Counter()

    def hand_out(self, submit: Callable[..., Any]) -> None:
        """From here on ``submit(function, *arguments)`` writes somewhere else and answers with a future.

        What is written there are forks of the session. They start from a commit of empty arrays.
        """
        self._session.commit(EMPTY)
        self._session = self._repository.writable_session("main")
        self._target, self._submit = self._session.fork(), submit

    def add_scene(self, scene: xr.DataTree) -> None:
        """The scene the cube was made from."""
        self._under_way.append((self._submit(_write_scene, scene, self._target), lambda: None))

    def put(self, block: Any) -> None:
        """Take a block (``rows``, ``cols``, ``cube``)."""
        codes = packed({name: array.values for name, array in block.cube.data_vars.items()})
        if codes.shape[0] != self._days:
            raise RuntimeError(f"a block has {codes.shape[0]} days, the cube {self._days}")
        ny, nx = self._mosaics[0].seen.shape
        rows, cols = slice(*block.rows.indices(ny)[:2]), slice(*block.cols.indices(nx)[:2])
        file = self.scratch / f"{rows.start}_{cols.start}.npy"
        save(file, codes.shape, [codes])
        self.add(file, rows, cols)

    def add(self, file: Path, rows: slice, cols: slice, keep: bool = False) -> None:
        """Take the pixels of a file of ``tiles.save``, which is removed, unless to ``keep``, when it was used."""
        self._uses[file] += keep
        self._add(0, Piece(file, rows, cols))
        self.settle()

    def settle(self) -> bool:
        """Take over what was written meanwhile; whether nothing is under way."""
        while finished := [pair for pair in self._under_way if pair[0].done()]:
            for pair in finished:
                self._under_way.remove(pair)
                future, then = pair
                fork = future.result()
                if fork is not self._session:
                    self._session.merge(fork)
                then()
        return not self._under_way

    def commit(self, message: str = "") -> str:
        """The snapshot id of the whole cube; RuntimeError where pixels are missing."""
        missing = int((~self._mosaics[0].seen).sum())
        if missing:
            raise RuntimeError(f"{missing} pixels of the cube were never computed")
        snapshot = self._session.commit(message or f"write {self._title}")
        if self._submit is not _at_once:  # what killed workers began to write
            self._repository.garbage_collect(dt.datetime.now(dt.UTC))
        return snapshot

    def _add(self, level: int, piece: Piece) -> None:
        mosaic, layouts = self._mosaics[level], self._layouts[level]
        self._uses[piece.file] += len(mosaic.tiles(piece)) * len(layouts)
        for rows, cols, pieces in mosaic.add(piece):
            for layout in layouts:
                coarser = layout != "series" and level + 1 < len(self._mosaics)
                half = self.scratch / f"half{level}_{rows.start}_{cols.start}.npy" if coarser else None
                tile = Tile(layout, rows, cols, pieces, half)
                then = partial(self._written, level, tile)
                self._under_way.append((self._submit(tile.write, self._target), then))

    def _written(self, level: int, tile: Tile) -> None:
        for piece in tile.pieces:
            self._uses[piece.file] -= 1
            if not self._uses[piece.file]:
                piece.file.unlink()
        if tile.half:
            rows, cols = (slice(s.start // 2, -(-s.stop // 2)) for s in (tile.rows, tile.cols))
            self._add(level + 1, Piece(tile.half, rows, cols))


def packed(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """The variables of a cube as bytes (time, y, x, feature + layer)."""
    embedding = values["embedding"]
    if embedding.dtype != DTYPES["embedding"]:
        raise TypeError(f"a block's embedding is {embedding.dtype}, the cube contract says int8")
    layers = [encode(values[name])[..., None] for name, (encode, _) in QUALITY.items()]
    return np.concatenate([embedding.view(np.uint8), *layers], axis=-1)


def _write_scene(scene: xr.DataTree, session: Any) -> Any:
    from embeddings import photos
    from embeddings.readers import zarr as scenes

    scenes.write(scene, session.store, group="scene")
    photos.write_overviews(session.store)
    return session


def _at_once(function: Callable[..., Any], *arguments: Any) -> Future:
    import dask

    done: Future = Future()
    # The open transaction lives in this process; a cluster the user is connected to cannot write to it.
    with dask.config.set(scheduler="threads"):
        done.set_result(function(*arguments))
    return done


def _create(store: Any, layout: str, template: xr.Dataset) -> dict[str, Any]:
    """Empty arrays of one layout, beside the template's coordinates."""
    import zarr

    coords = template.drop_vars(template.data_vars).drop_encoding()
    _object_text(coords).to_zarr(store, group=layout, mode="w", consolidated=False, zarr_format=3)
    return _create_arrays(zarr.open_group(store, path=layout, mode="a", zarr_format=3), layout, template)


def _create_arrays(group: Any, layout: str, template: xr.Dataset, level: int = 1) -> dict[str, Any]:
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
            fill_value=0,
            **_codecs(layout),
            dimension_names=["time", "y", "x", "feature" if name == "embedding" else "layer"],
            attributes={**attrs[name], "grid_mapping": "spatial_ref"},
        )
    return arrays


def _codecs(layout: str) -> dict[str, list]:
    """Feature by feature: differences from the pixel to the north on maps, from the day before in series."""
    from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec, ZstdCodec

    from embeddings.codec import Difference

    if layout == "maps":
        filters, packer = [TransposeCodec(order=(0, 3, 1, 2)), Difference(2)], ZstdCodec(level=LEVEL)
    else:
        filters = [TransposeCodec(order=(3, 0, 1, 2)), Difference(1)]
        packer = BloscCodec(cname="zstd", clevel=LEVEL, shuffle="bitshuffle")
    # the checksum: a flipped bit is told, never shown
    return {"filters": filters, "compressors": [packer, Crc32cCodec()]}


def _chunks(layout: str, shape: tuple[int, ...], shard_px: int) -> tuple[tuple, tuple | None]:
    days, ny, nx, last = shape
    if layout == "maps":
        return (1, min(MAP_PX, ny), min(MAP_PX, nx), last), None
    pillar = [min(SERIES_CHUNK_PX, side) for side in (ny, nx)]
    shard = [-(-min(shard_px, side) // px) * px for side, px in zip((ny, nx), pillar, strict=True)]
    return (days, *pillar, last), (days, *shard, last)


def _shard_px(embedding: xr.DataArray) -> int:
    """64 to 256 pixels: as large as memory for one raw shard allows, so that there are few files.

    No tile that is gathered is larger, unless that of one chunk of the maps: more days take no more memory.
    """
    days, _, _, features = embedding.shape
    sides = (px for px in (256, 128) if days * features * px**2 <= SHARD_BYTES)
    return next(sides, 64)


def _levels(ny: int, nx: int) -> list[int]:
    """2, 4 ... pixels in one, until a map is one chunk."""
    levels = []
    while max(ny, nx) > MAP_PX * 2 ** len(levels):
        levels.append(2 ** (len(levels) + 1))
    return levels


# --- small helpers ---


def _icechunk() -> Any:
    import icechunk

    import embeddings.codec  # noqa: F401 (makes it known to zarr)

    # It warns on every opening that a local folder has one writer at a time, which is how it is used here.
    icechunk.set_logs_filter("error")
    return icechunk


def _storage(path: Path) -> Any:
    return _icechunk().local_filesystem_storage(str(path))


def _open_repository(path: Path) -> Any:
    try:
        return _icechunk().Repository.open(_storage(path))
    except _icechunk().IcechunkError as error:
        raise InputError(_damaged(path, error)) from error


def _gather(arrays: list[Any], key: tuple[Any, ...]) -> list[np.ndarray]:
    """Read the same key of several arrays at once: one after another, each waits for the event loop anew."""
    import asyncio

    from zarr.core.sync import sync

    async def together() -> list[Any]:
        return await asyncio.gather(*(array.async_array.getitem(key) for array in arrays))

    return [np.asarray(values) for values in sync(together())]


def _in_order(names: Iterable[Any], first: Iterable[str]) -> list[Any]:
    """Zarr forgets the order of a group's members; the cube's own is part of its contract."""
    rank = {name: position for position, name in enumerate(first)}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))


def _object_text(dataset: xr.Dataset) -> xr.Dataset:
    """Fixed-width text has no Zarr v3 specification; variable-length text has."""
    return _with_text(dataset, "U", lambda text: text.astype(object))


def _plain_text(dataset: xr.Dataset) -> xr.Dataset:
    """Text as numpy's own fixed-width strings, as in a cube that never was on disk."""
    return _with_text(dataset, "OT", lambda text: np.array(text.tolist(), dtype=str))


def _with_text(dataset: xr.Dataset, kinds: str, convert: Callable[[np.ndarray], np.ndarray]) -> xr.Dataset:
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in kinds:
            plain = xr.Variable(variable.dims, convert(variable.values), variable.attrs)
            assign = dataset.assign_coords if name in dataset.coords else dataset.assign
            dataset = assign({name: plain})
    return dataset


def _damaged(path: Path, why: object) -> str:
    told = (line.strip(" x|`->") for line in str(why).splitlines())
    first = next(filter(None, told), type(why).__name__)
    return f"Got the store {path}, which is damaged or not ours ({first}); restore it or write it again."


def _some(log: list[Snapshot]) -> str:
    ids = [commit.id for commit in log]
    with suppress(IndexError):
        return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
    return "none"
