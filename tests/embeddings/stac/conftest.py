"""A STAC API on this machine, asked without long waits."""

import pytest
from fluxlens.embeddings.stac import access
from stac_world import World


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr(access, "WAIT_S", 0.02)
    monkeypatch.setattr(access, "TIMEOUT_S", 20.0)


@pytest.fixture
def world(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    world = World(folder)
    yield world
    world.close()
