"""Workers: as many as asked, and one that dies costs only the block or the tile it was at."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
import xarray as xr
from fluxlens.embeddings import store
from fluxlens.embeddings.inference import block_files, request, workers
from fluxlens.embeddings.store import Store, routing, tiles
from fluxlens.embeddings.store import layout as store_layout
from tiny_cube import blocks_of, random_cube


def log_line(log: Path, what: object) -> None:
    """Who begins is told in ``log``, and then takes its time."""
    with open(log, "a") as file:
        file.write(f"{os.getpid()} {what}\n")
    time.sleep(0.2)


def computed(log: Path, part: request.BlockWindow) -> block_files.Arrays:
    log_line(log, part)
    return {name: array.values for name, array in random_cube().isel(y=part[0], x=part[1]).items()}


@pytest.mark.slow
def test_a_killed_worker_costs_a_block_of_each_worker_at_most(tmp_path):
    log, finished, killed = tmp_path / "log", [], None
    parts = [(block.rows, block.cols) for block in blocks_of(random_cube(), 8)]
    blocks = block_files.BlockFolder(partial(computed, log), tmp_path, durable=False)
    with workers.dask_client(3, None) as client:
        assert list(client.nthreads().values()) == [1, 1, 1]
        for part in workers.compute_on_cluster(client, blocks, parts):
            finished += [] if part is None else [part]
            if finished and killed is None:
                killed = log.read_text().split()[0]
                os.kill(int(killed), signal.SIGKILL)
    assert sorted(map(str, finished)) == sorted(map(str, parts))
    assert all(blocks.has(part) for part in parts)
    begun = [line.split()[0] for line in log.read_text().splitlines()]
    # Its own block; and of each other worker that it was handing the model to, the one that waited for it.
    assert len(begun) <= len(parts) + 3
    assert len({*begun} - {killed}) == 3  # another took its place


def written_slowly(log: Path, tile: tiles.Tile, session: object) -> object:
    log_line(log, tile)
    return tile.write(session)


@pytest.mark.slow
def test_tiles_written_by_workers_are_the_same_though_one_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(store_layout, "MAP_PX", 16)
    monkeypatch.setattr(store_layout, "_shard_px", lambda embedding: 16)
    cube, log = random_cube(), tmp_path / "log"
    store.write(tmp_path / "here", cube, blocks_of(cube))
    with (
        store.open_writer(tmp_path / "there", cube) as writer,
        workers.executor(workers.Execution(2), writer),
    ):
        submit = writer._submit
        writer._submit = lambda write, session: submit(partial(written_slowly, log), write.__self__, session)
        for block in blocks_of(cube):
            writer.add_block(block)
        while not log.exists():
            time.sleep(0.05)
        os.kill(int(log.read_text().split()[0]), signal.SIGKILL)
        while not writer.merge_finished():
            time.sleep(0.05)
        writer.commit("there")
    whole, resumed = (Store.open(tmp_path / name) for name in ("here", "there"))
    for layout in store.LAYOUTS:
        xr.testing.assert_identical(resumed.cube(layout).compute(), whole.cube(layout).compute())
    day, all_ = cube.time.values[0], slice(None)
    monkeypatch.setattr(routing, "FRAME_BYTES", 1000)
    xr.testing.assert_identical(resumed.frame(day, all_, all_), whole.frame(day, all_, all_))
    assert resumed.nbytes < 1.1 * whole.nbytes  # nothing left of what the killed one began
    assert [snapshot.message for snapshot in resumed.log()] == ["there"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "log", "there"]
