"""What the bench of the screen stands on: a store of repeated tiles, and visitors over real websockets."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest
from app_world import write_store

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "benchmarks"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_two_visitors_at_once_are_answered(tmp_path, monkeypatch):
    import visitors

    monkeypatch.setenv("FLUXLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(visitors, "THINKING_S", (0.1, 0.3))
    write_store(tmp_path / "store")
    with visitors.served(tmp_path / "store") as server:
        found = asyncio.run(visitors._together(server, count=2, seconds=4))
        assert server.resident_mb > 50
    assert found["sessions_errors"] == 0
    assert found["sessions_taps"] > 0
    assert found["sessions_steps"] > 0
    assert 0 < found["sessions_tap_median_ms"] <= found["sessions_tap_p95_ms"]


def test_a_tiled_store_is_one_tile_again_and_again_in_every_layout(tmp_path, monkeypatch):
    import bench_screen as bench
    from fluxlens.embeddings.store import Store

    monkeypatch.setenv("FLUXLENS_CACHE", str(tmp_path))
    px = bench.TILE_PX
    store = Store.open(bench.tiled(2 * px, days=2))
    day = store.map(store.days[1]).embedding.values
    tile = day[:px, :px]
    assert tile.std() > 10
    np.testing.assert_array_equal(day, np.tile(tile, (2, 2, 1)))
    np.testing.assert_array_equal(store.series(px + 3, 5).embedding.values[1], tile[3, 5])
    coarse = store.tile(store.days[1], 2, slice(0, px), slice(0, px)).embedding.values
    mean = tile.astype(float).reshape(px // 2, 2, px // 2, 2, -1).mean((1, 3))
    np.testing.assert_allclose(coarse, np.tile(mean, (2, 2, 1)), atol=0.5)
