"""An embedding that is killed, or finds no space, leaves what was there and is taken up where it stopped."""

import itertools
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fluxlens.embeddings.store import Store, write
from tiny_cube import blocks_of, random_cube

PRELOADED = [
    f"fluxlens.{name}"
    for name in ("app.cli", "embeddings.inference.embed", "embeddings.store", "embeddings.inference.engine")
]
ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("FLUXLENS_KILLS", 10))
BLOCK_PX = 2
ASKED = ["--start", "2020-06-05", "--end", "2020-06-08", "--device", "cpu", "--resume"]
FORKS = multiprocessing.get_context("forkserver")
"""Children are forked from a process that has imported everything, so that a kill costs no start."""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with a small scene and untrained weights."""
    import torch
    from fluxlens.embeddings.readers import zarr
    from fluxlens.embeddings.simulate import simulate
    from fluxlens.models import checkpoints
    from fluxlens.models.embedder import Embedder

    folder = tmp_path_factory.mktemp("crash")
    torch.manual_seed(0)
    checkpoints.save(Embedder(), folder / "m.safetensors", "untrained", {})
    scene = simulate("tiny", seed=3, size_px=8, start="2020-06-01", end="2020-06-20", truth=False)
    zarr.write(scene, folder / "scene")
    return folder


def embed(world: Path, out: Path, log: Path, *more: str) -> None:
    """What a child does: `fluxlens embed` in small blocks, each told in ``log`` before it is computed."""
    from fluxlens.app.cli import main
    from fluxlens.embeddings.inference import engine, request

    request.BLOCK_PX = BLOCK_PX
    steps = engine.BlockTask.steps

    def logged(work: engine.BlockTask, part: request.BlockWindow, *more) -> Generator:
        y, x = (
            centres[s.start]
            for centres, s in zip((work.request.grid.y, work.request.grid.x), part, strict=True)
        )
        with open(log, "a") as file:
            file.write(f"{y} {x}\n")
        return steps(work, part, *more)

    engine.BlockTask.steps = logged
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (the child's own, for as long as it lives)
    sys.exit(
        main(
            [
                "embed",
                str(world / "scene"),
                "--out",
                str(out),
                "--model",
                str(world / "m.safetensors"),
                *ASKED,
                *more,
            ]
        )
    )


def finished(folder: Path, cube: xr.Dataset) -> set[str]:
    """Blocks kept beside the store, in the words of the log."""
    starts = [file.stem.split("_") for file in folder.glob(".store.*.blocks/[0-9]*.npy")]
    return {f"{float(cube.y[int(row)])} {float(cube.x[int(col)])}" for row, col in starts}


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bits(world, tmp_path):
    FORKS.set_forkserver_preload(
        [
            "fluxlens.app.cli",
            "fluxlens.embeddings.inference.embed",
            "fluxlens.embeddings.store",
            "fluxlens.embeddings.inference.engine",
        ]
    )
    log = tmp_path / "log"
    times = []
    for name in ("warm", "whole"):
        started = time.monotonic()
        child = FORKS.Process(target=embed, args=(world, tmp_path / name, log))
        child.start()
        child.join()
        assert child.exitcode == 0
        times.append(time.monotonic() - started)
    whole = Store.open(tmp_path / "whole").cube().compute()
    draw = random.Random(0)
    kills = 0
    for turn in itertools.count():
        folder = tmp_path / f"turn{turn}"
        folder.mkdir()
        out = folder / "store"
        while not out.exists():
            known = finished(folder, whole)
            log.write_text("")
            child = FORKS.Process(target=embed, args=(world, out, log))
            child.start()
            child.join(draw.uniform(0, 1.2 * times[1]) if kills < KILLS else None)
            if child.exitcode is None:
                child.kill()
                child.join()
                kills += 1
            assert not known & set(log.read_text().split("\n"))
            assert child.exitcode in (0, -9)
            assert out.exists() or child.exitcode == -9
        xr.testing.assert_identical(Store.open(out).cube().compute(), whole)
        xr.testing.assert_identical(Store.open(out).cube("series").compute(), whole)
        child = FORKS.Process(target=embed, args=(world, out, log))  # nothing to do but to clean up
        child.start()
        child.join()
        assert child.exitcode == 0
        assert [path.name for path in folder.iterdir()] == ["store"]
        if kills >= KILLS:
            break


@pytest.mark.slow
def test_workers_whose_starter_is_killed_leave_finished_blocks(world, tmp_path):
    FORKS.set_forkserver_preload(
        [
            "fluxlens.app.cli",
            "fluxlens.embeddings.inference.embed",
            "fluxlens.embeddings.store",
            "fluxlens.embeddings.inference.engine",
        ]
    )
    out, log = tmp_path / "store", tmp_path / "log"
    child = FORKS.Process(target=embed, args=(world, out, log, "--workers", "2"))
    child.start()
    while not (files := list(tmp_path.glob(".store.*.blocks/[0-9]*.npy"))):
        time.sleep(0.001)
    child.kill()
    child.join()
    assert not out.exists()
    marked = np.load(files[0])
    marked[..., 0] = 77
    np.save(files[0], marked)
    child = FORKS.Process(target=embed, args=(world, out, log, "--workers", "2"))
    child.start()
    child.join()
    assert child.exitcode == 0
    row, col = map(int, files[0].stem.split("_"))
    cube = Store.open(out).cube("series")["embedding"].compute()
    block = cube[:, row : row + BLOCK_PX, col : col + BLOCK_PX, 0]
    assert (block == 77).all()  # taken as it lay there
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.slow
def test_workers_stop_when_their_run_is_closed(world, tmp_path):
    from fluxlens.embeddings.inference.embed import embed as steps_of
    from fluxlens.embeddings.inference.workers import Execution
    from fluxlens.embeddings.readers import zarr
    from fluxlens.models import checkpoints

    model = checkpoints.load(str(world / "m.safetensors"), "cpu")
    steps = steps_of(tmp_path / "store", zarr.open(world / "scene"), model, execution=Execution(workers=2))
    next(steps)
    began = time.monotonic()
    steps.close()
    # distributed takes a second or two to end workers, more while they start or where the machine is busy
    assert time.monotonic() - began < 60
    assert list(tmp_path.iterdir()) == []


def overwrite(path: Path, seeds: range) -> None:
    for seed in seeds:
        cube = random_cube(seed)
        write(path, cube, blocks_of(cube), overwrite=True, message=str(seed))


@pytest.mark.slow
def test_a_reader_only_ever_sees_whole_snapshots(tmp_path):
    path = tmp_path / "store"
    cubes = [random_cube(seed) for seed in range(20)]
    first = write(path, cubes[0], blocks_of(cubes[0]), message="0")
    pinned = Store.open(path)
    draw = random.Random(1)
    FORKS.set_forkserver_preload(["fluxlens.embeddings.store"])
    for _ in range(8):
        child = FORKS.Process(target=overwrite, args=(path, range(1, 20)))
        child.start()
        ends = time.monotonic() + draw.uniform(0.3, 2)
        while time.monotonic() < ends:
            newest = Store.open(path)
            # the log may hold a commit made after the store was opened: find the one this reader is pinned to
            pinned_to = next(commit for commit in newest.log() if commit.id == newest.snapshot)
            seed = int(pinned_to.message)
            xr.testing.assert_identical(newest.cube().compute(), cubes[seed])
            xr.testing.assert_identical(newest.cube("series").compute(), cubes[seed])
        child.kill()
        child.join()
    assert pinned.snapshot == first
    xr.testing.assert_identical(pinned.cube().compute(), cubes[0])
    overwrite(path, range(1, 2))
    assert [found.name for found in tmp_path.iterdir()] == ["store"]


def on_a_disk(options: str, then: str, *code: str) -> subprocess.CompletedProcess:
    """Runs Python with a file system of its own at ./disk, in which a store of the tiny cube lies already."""
    script = (
        f"mount -t tmpfs -o {options} tmpfs disk && cp -r store disk/ && {{ {then}; }} && "
        'exec "$0" -c "$1" && exit 0; exit 99'
    )
    python = "\n".join(
        ("import sys, numpy as np", "from tiny_cube import *", "from fluxlens.app.cli import main", *code)
    )
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, sys.executable, python],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        cwd=Path.cwd(),
    )


CODE = """
from pathlib import Path
from fluxlens.embeddings.store import Store, write
from fluxlens.models.errors import InputError
old, wide = random_cube(), random_cube(1, days=20, ny=64, nx=64)
before = sorted(Path("disk").rglob("*"))
for path, overwrite in (("disk/store", True), ("disk/new", False)):
    try:
        write(path, wide, blocks_of(wide, 64), overwrite=overwrite)
    except InputError as error:
        print(error)
    assert Store.open("disk/store").cube().compute().identical(old)
print(*(set(before) ^ set(Path("disk").rglob("*"))))
"""


@pytest.mark.parametrize(
    ("options", "then", "message"),
    [
        ("size=1500k", "true", "full or at its quota"),
        ("size=1500k", "mount -o remount,ro disk", "takes no files"),
    ],
)
def test_without_space_or_leave_the_store_stays(tmp_path, monkeypatch, options, then, message):
    monkeypatch.chdir(tmp_path)
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on this system")
    (tmp_path / "disk").mkdir()
    cube = random_cube()
    write(tmp_path / "store", cube, blocks_of(cube))
    done = on_a_disk(options, then, CODE)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this system lets no test mount a file system")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    assert all(message in line for line in lines[:2])
    assert lines[2] == ""  # no file more or fewer


EXPORTS = """
import pandas as pd, xarray as xr
from pathlib import Path
from fluxlens.embeddings.export.writers import write
from fluxlens.models.errors import InputError
draw = np.random.default_rng(0)
table = pd.DataFrame({"name": [f"{value:.17g}" for value in draw.random(60_000)]})
maps = xr.Dataset({"sigma": (("y", "x"), draw.random((400, 400)).astype("f4"))})
maps = maps.assign_coords(x=5e5 + 10 * np.arange(400.0), y=5.6e6 - 10 * np.arange(400.0)).rio.write_crs(32631)
for name, data in (("a.csv", table), ("a.parquet", table), ("a.nc", maps), ("a.zarr", maps), ("a.tif", maps)):
    try:
        write(data, f"disk/{name}")
    except InputError as error:
        print(error)
print(*(path.name for path in Path("disk").iterdir()))
"""


def test_exports_without_space_say_so_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on this system")
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").mkdir()
    done = on_a_disk("size=200k", "true", "import rioxarray", EXPORTS)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this system lets no test mount a file system")
    assert done.returncode == 0, done.stderr
    *lines, left = done.stdout.splitlines()
    assert len(lines) == 5, done.stdout
    assert all("full or at its quota" in line for line in lines), done.stdout
    assert left == "store"
