"""Writing a store: blocks into both layouts in one transaction, by this process or by forks.

Long on purpose: the two ways a store becomes visible, renaming on disk and committing in an object store, stand beside
each other.
"""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.object_url import Location, locate
from fluxlens.embeddings.store.layout import (
    LAYOUTS,
    create_arrays,
    create_layout,
    level_layouts,
    tile_px,
    to_bytes,
)
from fluxlens.embeddings.store.location import within_deadline
from fluxlens.embeddings.store.locking import clean_until_idle, exclusive_scratch, writable
from fluxlens.embeddings.store.opening import METADATA_DIGEST, open_layouts
from fluxlens.embeddings.store.repository import (
    EMPTY_MESSAGE,
    create_repository,
    has_repository,
    icechunk_library,
    is_store,
    newest_cube,
    open_repository,
)
from fluxlens.embeddings.store.tiles import BlockFile, Tile, TileAssembler, save
from fluxlens.models.errors import InputError

GARBAGE_AGE = dt.timedelta(days=7)
"""Of an object store only what is older is garbage: it may be the work of a writer on another machine, which no lock
of this machine shows. A writer that takes longer gives up."""

COMMIT_DEADLINE_S = 300.0
"""A commit to an object store sends the lists of all chunks, megabytes of a large cube."""


class Conflict(InputError):
    """Another process committed to the store while this one was writing; nothing was lost."""


@contextmanager
def garbage_collected(repository: Any) -> Iterator[None]:
    """Collect chunks that no commit names before writing, of a killed writer, and again if this one fails.

    Parameters
    ----------
    repository
        Of Icechunk.
    """
    try:
        # Chunks of an earlier writer that was killed would stay for ever: no snapshot names them.
        repository.garbage_collect(dt.datetime.now(dt.UTC))
        yield
    except BaseException:
        # Forks in other processes may still be writing after this one has failed.
        clean_until_idle(lambda: repository.garbage_collect(dt.datetime.now(dt.UTC)).bytes_deleted)
        raise


def write(
    path: str | Location,
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
        Of the new store, or its URL.
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
    path: str | Location,
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
def open_writer(path: str | Location, template: xr.Dataset, overwrite: bool = False) -> Iterator[StoreWriter]:
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
    Conflict
        Where another process committed meanwhile, to a store in an object store.
    """
    path = locate(path)
    if not isinstance(path, Path):
        with writable(path), exclusive_scratch(path) as scratch:
            # There is no renaming: a new store is one whose first cube is not committed yet, which readers are told.
            if has_repository(path):
                repository = open_repository(path)
                if not overwrite and newest_cube(repository):
                    raise InputError(
                        f"Got the path {path}, which exists already, need a new one; choose another or remove it "
                        "first."
                    )
                repository.garbage_collect(dt.datetime.now(dt.UTC) - GARBAGE_AGE)
            else:
                repository = create_repository(path)
            yield StoreWriter(repository, template, scratch, path)
        return
    path = path.resolve()
    if path.exists() and not overwrite:
        raise InputError(
            f"Got the path {path}, which exists already, need a new one; choose another or remove it first."
        )
    # Only a store is ever overwritten: a mistyped path must not cost a folder.
    if path.exists() and not is_store(path):
        raise InputError(
            f"Got {path} to overwrite, need an embedding store; remove it yourself if it can go."
        )
    if not path.parent.is_dir():
        raise InputError(f"Got {path}, need a path in a folder that exists; create {path.parent} first.")
    with exclusive_scratch(path) as scratch:
        # An existing store gets a new snapshot; readers of the old one are not disturbed.
        if path.exists():
            repository = open_repository(path)
            with garbage_collected(repository):
                yield StoreWriter(repository, template, scratch, path)
            return
        # A new store is made beside its path and renamed when whole, so that a reader never sees half of it. Not by
        # ``atomic_path``, which removes a folder that is there: of two writers of one path the first must win.
        repository = create_repository(scratch / "store")
        yield StoreWriter(repository, template, scratch, path)
        try:
            # ``os.replace`` refuses a folder that holds files, which is how a second writer finds that it came too
            # late.
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
    path
        Of the store.
    """

    def __init__(self, repository: Any, template: xr.Dataset, scratch: Path, path: Location) -> None:
        import zarr

        self.scratch, self._path = scratch, path
        # Before the first chunk is written: see ``commit_session`` for what is asked of it.
        self._began = dt.datetime.now(dt.UTC)
        self._repository, self._title = repository, template.attrs.get("title", "embeddings")
        self._session = repository.writable_session("main")
        root = zarr.open_group(self._session.store, mode="a", zarr_format=3)
        series = self._create_arrays(root, template)
        self._days, ny, nx, _ = template["embedding"].shape
        # by level: the layouts that a tile of it is written to, and the blocks that wait for a tile to be covered
        self._layouts: list[tuple[str, ...]] = [LAYOUTS]
        self._assemblers = [TileAssembler(ny, nx, tile_px(series))]
        for level, layout in list(level_layouts(ny, nx).items())[1:]:
            self._layouts.append((layout,))
            self._assemblers.append(TileAssembler(-(-ny // level), -(-nx // level), tile_px()))
        store = self._session.store
        # Written with the last commit only: a reader takes a snapshot without it for one of empty arrays.
        root.attrs.pop(METADATA_DIGEST, None)
        self._digest = open_layouts(store).own_digest
        # Tiles are written in this process until ``delegate`` says otherwise.
        self._target, self._submit = self._session, _run_now
        self._written_days: tuple[slice, ...] | None = None
        """Of maps; None: all."""
        self._pending: list[tuple[Any, Callable[[], None]]] = []
        # Tiles of both layouts and all levels read a block's file; it is deleted with its last use.
        self._uses: Counter[Path] = Counter()
        """How many tiles still need a file."""

    def _create_arrays(self, root: Any, template: xr.Dataset) -> Any:
        """Create the arrays of all layouts in the session's root group; returns the embedding's as series."""
        # Arrays of an earlier cube may have other shapes; they stay readable in their own snapshot.
        for name in list(root.group_keys()):
            del root[name]
        created = {layout: create_layout(self._session.store, layout, template) for layout in LAYOUTS}
        for level, layout in list(level_layouts(*template["embedding"].shape[1:3]).items())[1:]:
            create_arrays(root.create_group(layout), "maps", template, level)
        return created["series"]["embedding"]

    def delegate(self, submit: Callable[..., Any]) -> None:
        """From here on have tiles written elsewhere.

        They are written in forks of the session, which start from a commit of empty arrays.

        Parameters
        ----------
        submit
            Called as ``submit(function, *arguments)``; returns a future.
        """
        # A fork can only be made of a session without changes: the empty arrays are committed first.
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
        # A file that is kept for resuming has one use that is never given back.
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
        # Merging may complete a tile of the next level, whose writing may be done at once: until nothing is finished.
        while finished := [pair for pair in self._pending if pair[0].done()]:
            for pair in finished:
                # Removed before its result is taken: where it raises, the next call does not raise it a second time.
                self._pending.remove(pair)
                future, then = pair
                fork = future.result()
                # Work done in this process wrote to the session itself; there is nothing to merge.
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
        Conflict
            Where another process committed meanwhile.
        """
        import zarr

        # A block that was lost must not become fill values that look like data.
        missing = int((~self._assemblers[0].covered).sum())
        if missing:
            raise RuntimeError(f"{missing} pixels of the cube were never computed")
        root = zarr.open_group(self._session.store, mode="r+", zarr_format=3)
        # In the same commit as the data, so that no snapshot has one without the other.
        root.attrs[METADATA_DIGEST] = self._digest
        snapshot = commit_session(
            self._path, self._repository, self._session, message or f"write {self._title}", self._began
        )
        # Only a local folder: in an object store another writer's chunks cannot be told from garbage.
        if self._submit is not _run_now and isinstance(
            self._path, Path
        ):  # what killed workers began to write
            self._repository.garbage_collect(dt.datetime.now(dt.UTC))
        return snapshot

    def _add(self, level: int, block: BlockFile) -> None:
        """Take a block of a level (0 the finest), and write the tiles it completes."""
        assembler, layouts = self._assemblers[level], self._layouts[level]
        # A file is read once for each tile that it touches, in each layout.
        self._uses[block.file] += len(assembler.tiles(block)) * len(layouts)
        for rows, cols, files in assembler.add(block):
            for layout in layouts:
                # Overviews are made of finished map tiles, while these are in memory.
                coarser = layout != "series" and level + 1 < len(self._assemblers)
                overview = self.scratch / f"half{level}_{rows.start}_{cols.start}.npy" if coarser else None
                tile = Tile(layout, rows, cols, files, overview, self._written_days)
                then = partial(self._written, level, tile)
                self._pending.append((self._submit(tile.write, self._target), then))

    def _written(self, level: int, tile: Tile) -> None:
        """Remove files that no tile needs any more, and pass the tile's half resolution to the next level."""
        # Deleted as soon as possible: scratch files together are as large as the cube.
        for block in tile.files:
            self._uses[block.file] -= 1
            if not self._uses[block.file]:
                block.file.unlink()
        if tile.overview:
            # A tile of one level covers half as many rows and columns of the next; an odd edge is rounded up.
            rows, cols = (slice(s.start // 2, -(-s.stop // 2)) for s in (tile.rows, tile.cols))
            self._add(level + 1, BlockFile(tile.overview, rows, cols))


def commit_session(path: Location, repository: Any, session: Any, message: str, began: dt.datetime) -> str:
    """Commit a session, and find out whether a commit whose answer was lost was made.

    Parameters
    ----------
    path
        Of the store.
    repository
        Of Icechunk.
    session
        With the changes.
    message
        Of the commit.
    began
        When the first change was made, UTC.

    Returns
    -------
    str
        The snapshot id.

    Raises
    ------
    Conflict
        Where another process committed meanwhile.
    InputError
        Where an object store does not answer, or the writing took longer than ``GARBAGE_AGE``.
    """
    library = icechunk_library()
    if isinstance(path, Path):
        # On a local folder the lock has kept other writers out.
        return session.commit(message)
    if dt.datetime.now(dt.UTC) - began > GARBAGE_AGE:
        raise InputError(
            f"Got {path}, whose writing took more than {GARBAGE_AGE.days} days, need less: another writer may have "
            "removed its first chunks; give the command again with more workers."
        )
    # A commit is one conditional request. Where its answer is lost, the client sends it again, and the second is
    # refused because of the first: the mark of this writer tells it from another's.
    writer = uuid.uuid4().hex
    try:
        return within_deadline(
            path, lambda: session.commit(message, metadata={"writer": writer}), COMMIT_DEADLINE_S
        )
    except library.ConflictError as error:
        newest = next(iter(repository.ancestry(branch="main")))
        if newest.metadata.get("writer") == writer:
            return newest.id
        raise Conflict(
            f"Got the path {path}, to which another process committed meanwhile (snapshot {newest.id}), need it "
            "alone; look at what it wrote, then give the command again or choose another name."
        ) from error


def _write_scene(scene: xr.DataTree, session: Any) -> Any:
    from fluxlens.embeddings.readers import zarr as scenes
    from fluxlens.embeddings.store import true_colour

    scenes.write(scene, session.store, group="scene")
    true_colour.write_overviews(session.store)
    return session


def _run_now(function: Callable[..., Any], *arguments: Any) -> Future:
    """Call a function here, as an executor would elsewhere."""
    import dask

    done: Future = Future()
    # The open transaction lives in this process; a cluster the user is connected to cannot write to it.
    with dask.config.set(scheduler="threads"):
        done.set_result(function(*arguments))
    return done
