"""A Dask cluster of processes of its own writes to an object store what one process writes to disk, bit for bit."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import s3_world
import test_crash
import xarray as xr
from fluxlens.app.cli import main
from fluxlens.embeddings.inference import request
from fluxlens.embeddings.store import Store

world = test_crash.world
"""Its fixture: a folder with a small scene and untrained weights."""

PRELOAD = '''
"""Loaded by each worker: what it computes is logged, and the folder of flags says whether it dies, waits or is slow."""
import os, signal, time
from pathlib import Path

import torch
from fluxlens.embeddings.inference import engine

FLAGS = Path({flags!r})


def told(task, window, *more, whole=engine.BlockTask.steps):
    with open(FLAGS / "log", "a") as log:
        log.write(f"{{os.getpid()}} {{window[0].start}} {{window[1].start}}\\n")
    try:
        (FLAGS / "die").unlink()
    except FileNotFoundError:
        pass
    else:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        (FLAGS / "slow").rename(FLAGS / f"slow{{os.getpid()}}")
    except FileNotFoundError:
        pass
    while (FLAGS / f"slow{{os.getpid()}}").exists():
        time.sleep(0.05)
    while (FLAGS / "wait").exists() and sum(1 for _ in open(FLAGS / "log")) > 4:
        time.sleep(0.05)
    return (yield from whole(task, window, *more))


# a preload is run more than once
if engine.BlockTask.steps.__name__ != "told":
    engine.BlockTask.steps = told


def dask_setup(worker):
    """Preload of a worker."""
'''


@pytest.fixture(scope="module")
def server() -> Iterator[s3_world.S3Server]:
    with s3_world.running() as (moto, _):
        yield moto


@pytest.fixture(scope="module")
def environment(server, tmp_path_factory) -> dict[str, str]:
    """What the command and the processes of the cluster share: credentials, endpoint, folder of finished blocks."""
    return {
        **s3_world.ENVIRONMENT,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "FLUXLENS_CACHE": str(tmp_path_factory.mktemp("shared")),
    }


@pytest.fixture(scope="module")
def flags(tmp_path_factory) -> Path:
    """A folder by which tests tell workers what happens to them."""
    return tmp_path_factory.mktemp("flags")


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory) -> dict[str, xr.Dataset]:
    """Both layouts of the store of one process, on disk."""
    out = tmp_path_factory.mktemp("one") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request, "BLOCK_PX", test_crash.BLOCK_PX)
        assert main(words(world, str(out))) == 0
    return {layout: Store.open(out).cube(layout).compute() for layout in ("maps", "series")}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch, environment, flags) -> None:
    """Sixteen blocks, so that there is a middle of a run; and a clean slate for the workers."""
    monkeypatch.setattr(request, "BLOCK_PX", test_crash.BLOCK_PX)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for file in flags.glob("*"):
        file.unlink()
    (flags / "log").touch()


class Cluster:
    """Scheduler and two workers, each a process started by its own command."""

    def __init__(self, flags: Path, environment: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.source = PRELOAD.format(flags=str(flags))
        self.environment = {**os.environ, **environment, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
        self.start()

    def start(self) -> None:
        """Start all three; returns when both workers are known."""
        from distributed import Client

        preload = Path(self.environment["FLUXLENS_CACHE"]) / "told_blocks.py"
        preload.write_text(self.source)
        port = self.address.rpartition(":")[2]
        self.scheduler = self._process(
            "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--idle-timeout", "300s"
        )
        self.workers = [
            self._process(
                "worker",
                self.address,
                "--death-timeout",
                "90",
                "--nthreads",
                "1",
                "--no-dashboard",
                "--preload",
                str(preload),
            )
            for _ in range(2)
        ]
        with Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=90)

    def _process(self, *words: str) -> subprocess.Popen:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [sys.executable, "-m", "dask", *words]
        # a session of its own: the nanny of a worker and the worker end together
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.environment["FLUXLENS_CACHE"],
            start_new_session=True,
            **quiet,
        )

    def stop(self) -> None:
        """Kill all, as a machine that goes down does."""
        for process in (self.scheduler, *self.workers):
            with_group = os.getpgid(process.pid) if process.poll() is None else None
            if with_group is not None:
                os.killpg(with_group, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def cluster(flags, environment) -> Iterator[Cluster]:
    running = Cluster(flags, environment)
    yield running
    running.stop()


def words(world: Path, out: str, *more: str) -> list[str]:
    """Of the command that embeds the small scene."""
    model = str(world / "m.safetensors")
    return ["embed", str(world / "scene"), "--out", out, "--model", model, *test_crash.ASKED, *more]


def assert_same_bits(url: str, whole: dict[str, xr.Dataset]) -> None:
    """That a store holds what one process makes, committed once."""
    store = Store.open(url)
    for layout, cube in whole.items():
        xr.testing.assert_identical(store.cube(layout).compute(), cube)
    assert len(store.log()) == 1


def computed(flags: Path) -> list[tuple[str, str]]:
    """Process and block, in the order in which workers began them."""
    lines = (flags / "log").read_text().splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


@contextmanager
def meanwhile(action: Callable[[], None]) -> Iterator[None]:
    """Run something beside what the test does; what it raises fails the test."""
    failed: list[BaseException] = []

    def caught() -> None:
        try:
            action()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=caught)
    thread.start()
    yield
    thread.join()
    if failed:
        raise failed[0]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return when it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_cluster_with_a_slow_worker_writes_the_same_bits(cluster, world, whole, flags):
    url = f"s3://{s3_world.BUCKET}/cluster/slow"
    (flags / "slow").touch()

    def release() -> None:
        # the slow worker holds one block until the other one has computed nearly all of the rest
        wait_until(lambda: len(computed(flags)) >= 12)
        for file in flags.glob("slow*"):
            file.unlink()

    with meanwhile(release):
        assert main(words(world, url, "--scheduler", cluster.address)) == 0
    done = computed(flags)
    assert len({process for process, _ in done}) == 2
    assert len({block for _, block in done}) == 16
    assert_same_bits(url, whole)


def test_a_worker_that_is_killed_costs_what_it_was_at(cluster, world, whole, flags):
    url = f"s3://{s3_world.BUCKET}/cluster/killed"
    (flags / "die").touch()
    assert main(words(world, url, "--scheduler", cluster.address)) == 0
    assert not (flags / "die").exists()
    done = [block for _, block in computed(flags)]
    assert len(set(done)) == 16
    # the block of the worker that died is computed again, and no finished one
    assert len(done) <= 18
    assert_same_bits(url, whole)


def test_a_run_whose_scheduler_died_is_told_and_resumes_with_a_new_one(cluster, world, whole, flags, capsys):
    url = f"s3://{s3_world.BUCKET}/cluster/restarted"
    (flags / "wait").touch()

    def stop() -> None:
        wait_until(lambda: len(computed(flags)) >= 6)
        cluster.stop()

    with meanwhile(stop):
        assert main(words(world, url, "--scheduler", cluster.address)) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert cluster.address in said
    assert "--resume" in said
    finished = {block for _, block in computed(flags)[:4]}
    (flags / "wait").unlink()
    (flags / "log").write_text("")
    cluster.start()
    assert main(words(world, url, "--scheduler", cluster.address)) == 0
    again = {block for _, block in computed(flags)}
    assert len(again) < 16
    assert len(again | finished) == 16
    assert_same_bits(url, whole)
