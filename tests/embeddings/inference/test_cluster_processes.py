"""Scheduler and workers as processes of their own, which are killed, stopped and restarted, and an object store."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_world
import xarray as xr
from fluxlens.app.cli import main
from fluxlens.embeddings.readers import zarr
from fluxlens.embeddings.simulate import simulate
from fluxlens.embeddings.store import Store
from fluxlens.models import checkpoints
from fluxlens.models.embedder import Embedder

WAIT_S = 120
"""Until something must have happened, on a machine that is busy with other tests."""


class Cluster:
    """Starts processes, and ends those that are left."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.folder, self.environment, self.processes = folder, environment, []

    def _start(self, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-W", "ignore", "-m", *words]
        log = (self.folder / f"process{len(self.processes)}.log").open("w")
        process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def scheduler(self) -> subprocess.Popen:
        host, port = self.address.removeprefix("tcp://").split(":")
        options = ["--host", host, "--port", port, "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        process = self._start("distributed.cli.dask_scheduler", *options)
        for _ in range(10 * WAIT_S):
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return process
            time.sleep(0.1)
        raise AssertionError("the scheduler did not start")

    def worker(self) -> subprocess.Popen:
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder)]
        return self._start("distributed.cli.dask_worker", self.address, *options)

    def run(self, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-c", "import sys; from fluxlens.app.cli import main; sys.exit(main())"]
        options = ["--scheduler", self.address, "--resume"]
        process = subprocess.Popen(
            [*command, *words, *options], env=self.environment, stderr=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Iterator[Cluster]:
    with s3_world.running() as (server, _):
        monkeypatch.setenv("FLUXLENS_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        for name, value in s3_world.ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        started = Cluster(tmp_path, {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
        try:
            yield started
        finally:
            started.end()


def blocks_in(cache: Path) -> int:
    return len(list(cache.rglob("*_*.npy")))


def wait_for(condition) -> None:
    for _ in range(20 * WAIT_S):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


@pytest.mark.slow
def test_killed_workers_and_a_restarted_scheduler_leave_the_bits_of_one_process(cluster, tmp_path):
    import torch

    torch.manual_seed(0)
    checkpoints.save(Embedder(), tmp_path / "m.safetensors", "untrained", {})
    scene = simulate("tiny", seed=3, size_px=48, start="2020-06-01", end="2020-06-06", truth=False)
    zarr.write(scene, tmp_path / "scene")
    days = ["--start", "2020-06-05", "--end", "2020-06-05", "--model", str(tmp_path / "m.safetensors")]
    url = f"s3://{s3_world.BUCKET}/cluster/store"
    words = [str(tmp_path / "scene"), "--out", url, *days]

    scheduler, killed, stopped = cluster.scheduler(), cluster.worker(), cluster.worker()
    run = cluster.run("embed", *words)
    wait_for(lambda: blocks_in(tmp_path) or run.poll() is not None)
    # Nobody computes from here on, so that the scheduler is surely killed before the store is whole.
    killed.kill()
    stopped.send_signal(signal.SIGSTOP)
    scheduler.kill()
    scheduler.wait()
    _, said = run.communicate(timeout=WAIT_S)
    assert run.returncode == 2, said
    assert "went away" in said.splitlines()[-1]
    assert "--resume" in said.splitlines()[-1]
    stopped.kill()

    before = blocks_in(tmp_path)
    assert before
    cluster.scheduler()
    doomed, slow = cluster.worker(), cluster.worker()
    run = cluster.run("embed", *words)
    wait_for(lambda: blocks_in(tmp_path) != before or run.poll() is not None)
    # One worker dies and the other stands still for a while, whatever both are at.
    doomed.kill()
    slow.send_signal(signal.SIGSTOP)
    time.sleep(1)
    slow.send_signal(signal.SIGCONT)
    _, said = run.communicate(timeout=WAIT_S)
    assert run.returncode == 0, said

    assert main(["embed", str(tmp_path / "scene"), "--out", str(tmp_path / "alone"), *days]) == 0
    for layout in ("maps", "series"):
        pair = (Store.open(place).cube(layout).compute() for place in (url, tmp_path / "alone"))
        xr.testing.assert_identical(*pair)
    assert len(Store.open(url).log()) == 1


@pytest.mark.slow
def test_an_update_on_a_scheduler_has_the_bits_of_the_whole_in_one_process(cluster, tmp_path):
    import torch

    torch.manual_seed(0)
    weights = ["--model", str(tmp_path / "m.safetensors")]
    checkpoints.save(Embedder(), tmp_path / "m.safetensors", "untrained", {})
    scene = simulate("tiny", seed=3, size_px=40, start="2020-06-01", end="2020-06-30", truth=False).load()
    datasets = {node.path: node.to_dataset(inherit=False) for node in scene.subtree}
    for name in ("/s2", "/s1"):
        datasets[name] = datasets[name].sel(time=slice(None, "2020-06-25"))
    zarr.write(scene, tmp_path / "scene")
    zarr.write(xr.DataTree.from_dict(datasets, name=scene.name), tmp_path / "part")
    store, start = str(tmp_path / "store"), ["--start", "2020-06-20"]
    assert main(["embed", str(tmp_path / "part"), "--out", store, *start, *weights]) == 0
    assert main(["embed", str(tmp_path / "scene"), "--out", str(tmp_path / "whole"), *start, *weights]) == 0

    cluster.scheduler()
    cluster.worker()
    run = cluster.run("update", store, str(tmp_path / "scene"), *weights)
    _, said = run.communicate(timeout=WAIT_S)
    assert run.returncode == 0, said
    for layout in ("maps", "series"):
        pair = (Store.open(place).cube(layout).compute() for place in (store, tmp_path / "whole"))
        xr.testing.assert_identical(*pair)
    assert len(Store.open(store).log()) == 2
