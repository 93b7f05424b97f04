"""Workers: the same numbers from other processes, and one that dies costs only the block it was at."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from embeddings import embed


def block(log: Path, part: int) -> int:
    """Stands for a block's computing: told in ``log`` before it is done; returns who did it."""
    with open(log, "a") as file:
        file.write(f"{part}\n")
    time.sleep(0.2)
    return os.getpid()


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_block(tmp_path):
    log, found, killed = tmp_path / "log", {}, None
    with embed._computer(2, None) as compute:
        for part, who in compute(partial(block, log), range(12)):
            found[part] = who
            if killed is None:
                killed = who
                os.kill(who, signal.SIGKILL)
    assert sorted(found) == list(range(12))
    assert len(set(found.values()) - {killed}) == 2  # another took its place
    told = log.read_text().split()
    assert set(told) == {str(part) for part in range(12)}
    assert len(told) <= 12 + 1
