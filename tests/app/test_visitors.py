"""Visitors of a served page over real websockets: two at once tap and step, and nobody is told of an error."""

import asyncio
import sys
from pathlib import Path

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
