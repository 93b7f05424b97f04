"""Embeddings and updates killed at random moments, on disk and in an object store: nothing is lost, the bits are equal.

``python benchmarks/kills.py --kills 1000`` runs `fluxlens embed` and `fluxlens update` on a small scene, each run in a
child that is killed (SIGKILL), half of them at any moment and half while they commit and clean up, and given again
until the store is whole. After every kill a reader sees the store of before or the whole new one, never another; no
finished block is computed again with ``--resume``; at the end the bits are those of a run that was left alone, earlier
snapshots stay, and nothing lies beside the store. Children are forked from a process that has imported everything, so
that a kill costs no start; what is forked then does all that the command does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import s3_world
from fluxlens.embeddings.store import Store
from fluxlens.models.errors import InputError

FORKS = multiprocessing.get_context("forkserver")
PRELOADED = [
    f"fluxlens.{name}"
    for name in (
        "app.cli",
        "embeddings.inference.embed",
        "embeddings.inference.update",
        "embeddings.inference.engine",
        "embeddings.readers.zarr",
        "embeddings.store",
        "models.checkpoints",
    )
]
BLOCK_PX, SIDE_PX = 4, 8
RESUMED = 0.75
"""Share of the runs given with ``--resume``."""
AT_COMMIT = 0.5
"""Share of the kills that come while a run commits and cleans up, which is a small part of its time."""
UNTOUCHED = 2
"""First runs that are left alone, which tell how long one takes here."""
RUN_S = 300
"""Longest that a run may take until its commit."""
RESET = 25
"""Stores after which the object store is emptied."""


@dataclass
class Place:
    """Where stores lie in one arm, and how to look at what is left beside them."""

    folder: Path
    server: s3_world.S3Server | None = None

    def store(self, turn: int) -> str:
        """Path or URL of the store."""
        if self.server is None:
            return str(self.folder_of(turn) / "store")
        return f"s3://{s3_world.BUCKET}/turn{turn}/store"

    def folder_of(self, turn: int) -> Path:
        """The folder in which a writer keeps its scratch."""
        return self.folder / f"turn{turn}"

    def prepare(self, turn: int, base: Path | None) -> None:
        """A folder of its own for a store, and the store to update in it."""
        self.folder_of(turn).mkdir()
        if self.server is None:
            if base is not None:
                shutil.copytree(base, self.store(turn))
            return
        os.environ["FLUXLENS_CACHE"] = str(self.folder_of(turn))
        if turn % RESET == 0:
            self.server.request("POST", "/moto-api/reset")
            self.server.request("PUT", f"/{s3_world.BUCKET}")
        for file in base.rglob("*") if base is not None else ():
            if file.is_file():
                key = self.store(turn).removeprefix("s3://")
                self.server.request("PUT", f"/{key}/{file.relative_to(base)}", file.read_bytes())

    def leftovers(self, turn: int) -> list[str]:
        """Names of what a writer left beside the store."""
        return sorted(path.name for path in self.folder_of(turn).rglob(".store.*"))


@dataclass
class Outcome:
    """What all runs of one arm came to."""

    wanted: int
    """Kills."""
    until: float
    """No kill after this time, of the monotonic clock."""
    kills: int = 0
    at_commit: int = 0
    runs: int = 0
    stores: int = 0
    wrong: Counter = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    commit_s: list[float] = field(default_factory=list)
    """Of runs that came to their end, and from the commit on; the first two are left alone."""

    @property
    def is_enough(self) -> bool:
        """Whether no run is to be killed any more."""
        return self.kills >= self.wanted or time.monotonic() > self.until


def world(folder: Path) -> Path:
    """Scenes of 20 days and of their first 15, untrained weights, the stores of both left alone."""
    import torch
    from fluxlens.embeddings import progress
    from fluxlens.embeddings.inference import request
    from fluxlens.embeddings.inference.embed import embed
    from fluxlens.embeddings.readers import zarr
    from fluxlens.embeddings.simulate import simulate
    from fluxlens.models import checkpoints
    from fluxlens.models.embedder import Embedder

    torch.manual_seed(0)
    checkpoints.save(Embedder(), folder / "m.safetensors", "untrained", {})
    scene = simulate(
        "tiny", seed=3, size_px=SIDE_PX, start="2020-06-01", end="2020-06-20", truth=False
    ).load()
    nodes = {node.path: node.to_dataset(inherit=False) for node in scene.subtree}
    for name in ("/s2", "/s1"):
        nodes[name] = nodes[name].sel(time=slice(None, "2020-06-15"))
    part = xr.DataTree.from_dict(nodes, name=scene.name)
    zarr.write(scene, folder / "scene")
    zarr.write(part, folder / "part")
    request.BLOCK_PX = BLOCK_PX
    model = checkpoints.load(str(folder / "m.safetensors"), "cpu")
    for name, one in (("base", part), ("whole", scene)):
        progress.run(embed(folder / name, one, model, start="2020-06-10"))
    return folder


def child(words: list[str], log: Path, pipe: Any, environment: dict[str, str]) -> None:
    """One command, in small blocks, each logged before it is computed; the beginning of the commit is sent."""
    os.environ.update(environment)
    from fluxlens.app.cli import main
    from fluxlens.embeddings.inference import engine, request
    from fluxlens.embeddings.store.writer import StoreWriter

    request.BLOCK_PX = BLOCK_PX
    steps, commit = engine.BlockTask.steps, StoreWriter.commit

    def logged(work: engine.BlockTask, part: request.BlockWindow, *more: Any) -> Generator:
        with open(log, "a") as file:
            file.write(f"{part[0].start}_{part[1].start}\n")
        return steps(work, part, *more)

    def logged_commit(writer: StoreWriter, *words: Any) -> str:
        pipe.send(0)
        return commit(writer, *words)

    engine.BlockTask.steps, StoreWriter.commit = logged, logged_commit
    with open(log.with_suffix(".stderr"), "w") as stderr, open(os.devnull, "w") as nowhere:
        os.dup2(stderr.fileno(), 2)
        sys.stdout = nowhere
        sys.exit(main(words))


def kill_arm(command: str, place: Place, made: Path, outcome: Outcome) -> None:
    """Runs of one command in one place until so many were killed as are wanted."""
    draw = random.Random(command)
    cubes = {name: Store.open(made / name).cube().load() for name in ("whole", "base")}
    while not outcome.is_enough:
        place.prepare(outcome.stores, made / "base" if command == "update" else None)
        bring_to_its_end(command, place, made, cubes, draw, outcome)
        shutil.rmtree(place.folder_of(outcome.stores))
        outcome.stores += 1


def bring_to_its_end(
    command: str,
    place: Place,
    made: Path,
    cubes: dict[str, xr.Dataset],
    draw: random.Random,
    outcome: Outcome,
) -> None:
    """One store: the command is given, and killed, until it is whole and nothing lies beside it."""
    out, scene, turn = place.store(outcome.stores), str(made / "scene"), outcome.stores
    before = Store.open(out).snapshot if command == "update" else None
    words = (
        [command, scene, "--out", out, "--start", "2020-06-10"] if before is None else [command, out, scene]
    )
    words += ["--model", str(made / "m.safetensors"), "--device", "cpu"]
    log = place.folder / "log"
    while True:
        resumed = outcome.is_enough or draw.random() < RESUMED
        files = place.folder_of(turn).rglob("*.blocks/[0-9]*.npy") if resumed else ()
        known = {file.stem for file in files}
        code, at_commit = run_and_kill([*words, *["--resume"] * resumed], log, draw, outcome)
        said = log.with_suffix(".stderr").read_text()
        outcome.runs += 1
        if code == -signal.SIGKILL:
            outcome.kills += 1
            outcome.at_commit += at_commit
            if outcome.kills % 25 == 0:
                print(f"  {outcome.kills} kills, {outcome.wrong.total()} wrong", file=sys.stderr, flush=True)
        state = check_store(out, cubes, before)
        checks = {
            f"traceback: {said[-1500:]}": "Traceback" in said,
            "a finished block was computed again": bool(known & set(log.read_text().split())),
            f"a reader sees {state}": state not in ("what was before", "the whole"),
            # `embed` without --resume after a run that was killed between its commit and its end
            f"refused: {said[-300:]}": code == 2 and (command == "update" or resumed or state != "the whole"),
            f"exit code {code}: {said[-300:]}": code not in (0, 2, -signal.SIGKILL),
            f"done, and a reader sees {state}": code == 0 and state != "the whole",
            f"left beside the store: {place.leftovers(turn)[:3]}": code == 0
            and resumed
            and bool(place.leftovers(turn)),
        }
        outcome.wrong.update(what for what, is_so in checks.items() if is_so)
        if code == 0 and resumed:
            break


def run_and_kill(words: list[str], log: Path, draw: random.Random, outcome: Outcome) -> tuple[int, bool]:
    """One run, killed at a moment drawn unless it ends before: its exit code, and whether that was at its commit."""
    log.write_text("")
    log.with_suffix(".stderr").write_text("")
    mine, its = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=child, args=(words, log, its, dict(os.environ)))
    began = time.monotonic()
    process.start()
    its.close()
    at_commit = draw.random() < AT_COMMIT
    alone = outcome.is_enough or len(outcome.commit_s) < UNTOUCHED
    commit_began_s = None
    if (at_commit or alone) and mine.poll(RUN_S):
        # ended without a commit: the store was whole already
        with suppress(EOFError):
            mine.recv()
            commit_began_s = time.monotonic()
    # up to a fifth longer than usual, so that some are killed, or left, just as all is done
    if alone:
        process.join()
    elif at_commit:
        process.join(draw.uniform(0, 1.2 * float(np.median(outcome.commit_s))))
    else:
        process.join(draw.uniform(0, 1.2 * float(np.median(outcome.took_s))))
    if process.exitcode is None:
        process.kill()
        process.join()
    elif process.exitcode == 0:
        outcome.took_s.append(time.monotonic() - began)
        if commit_began_s is not None:
            outcome.commit_s.append(time.monotonic() - commit_began_s)
    mine.close()
    return process.exitcode, at_commit


def check_store(out: str, cubes: dict[str, xr.Dataset], before: str | None) -> str:
    """What a reader sees of a store: what was before, the whole new cube, or something that must not be."""
    try:
        store = Store.open(out)
    except InputError as error:
        unwritten = before is None and (
            "does not exist" in str(error) or "holds no embeddings yet" in str(error)
        )
        return "what was before" if unwritten else str(error)
    expected = cubes["base" if store.snapshot == before else "whole"]
    if not all(_same(store.cube(layout), expected) for layout in ("maps", "series")):
        return "other numbers"
    if before is not None:
        if not _same(Store.open(out, before).cube(), cubes["base"]):
            return "other numbers in the earlier snapshot"
        if [commit.id for commit in store.log()] not in ([before], [store.snapshot, before]):
            return "another history"
    elif len(store.log()) != 1:
        return "another history"
    return "what was before" if store.snapshot == before else "the whole"


def _same(cube: xr.Dataset, expected: xr.Dataset) -> bool:
    names = list(expected.data_vars)
    return cube[names].load().drop_attrs().identical(expected[names].drop_attrs())


def run(kills: int, commands: list[str], places: list[str], minutes: float) -> int:
    """All arms; 1 where anything was wrong."""
    FORKS.set_forkserver_preload(PRELOADED)
    failed = False
    print(
        f"{'':24}{'kills':>8}{'at commit':>11}{'runs':>8}{'stores':>8}{'wrong':>8}{'seconds':>9}", flush=True
    )
    with tempfile.TemporaryDirectory(prefix="fluxlens-kills-") as name:
        (Path(name) / "made").mkdir()
        made = world(Path(name) / "made")
        for kind in places:
            with s3_world.running() if kind == "object" else nullcontext((None, None)) as (server, _):
                if server is not None:
                    os.environ.update(
                        s3_world.ENVIRONMENT, AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.port}"
                    )
                for command in commands:
                    folder = Path(name) / f"{command}-{kind}"
                    folder.mkdir()
                    began = time.monotonic()
                    arms = len(commands) * len(places)
                    found = Outcome(-(-kills // arms), began + 60 * minutes / arms)
                    kill_arm(command, Place(folder, server), made, found)
                    facts = found.kills, found.at_commit, found.runs, found.stores, found.wrong.total()
                    where = "in an object store" if server else "on disk"
                    print(
                        f"{command + ' ' + where:24}{facts[0]:8}{facts[1]:11}{facts[2]:8}{facts[3]:8}{facts[4]:8}"
                        f"{time.monotonic() - began:9.0f}",
                        flush=True,
                    )
                    for what, times in found.wrong.most_common(5):
                        print(f"  {times} x {what}", flush=True)
                    failed |= bool(found.wrong)
    return int(failed)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=1000, help="over all commands and places")
    options.add_argument("--command", action="append", choices=("embed", "update"))
    options.add_argument("--place", action="append", choices=("disk", "object"))
    options.add_argument("--minutes", type=float, default=float("inf"), help="kill none after so long")
    given = options.parse_args()
    sys.exit(
        run(
            given.kills,
            given.command or ["embed", "update"],
            given.place or ["disk", "object"],
            given.minutes,
        )
    )
