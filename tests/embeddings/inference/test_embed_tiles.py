"""A scene cut into stores has the numbers of the uncut one, is resumed, and is one catalog entry."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from fluxlens.app.cli import main
from fluxlens.embeddings import catalog
from fluxlens.embeddings.inference import embed_tiles
from fluxlens.embeddings.readers import zarr
from fluxlens.embeddings.simulate import simulate
from fluxlens.embeddings.store import Mosaic, Store
from fluxlens.models import checkpoints
from fluxlens.models.embedder import Embedder

DAYS = ["--start", "2020-06-05", "--end", "2020-06-06", "--device", "cpu"]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A scene of 72 x 72 pixels, untrained weights and the uncut store."""
    import torch

    folder = tmp_path_factory.mktemp("tiles")
    torch.manual_seed(0)
    checkpoints.save(Embedder(), folder / "m.safetensors", "untrained", {})
    scene = simulate("tiny", seed=3, size_px=72, start="2020-06-01", end="2020-06-12", truth=False)
    zarr.write(scene, folder / "scene")
    assert main(command(folder, folder / "whole")) == 0
    return folder


def command(world: Path, out: Path, *more: str) -> list[str]:
    words = ["embed", str(world / "scene"), "--out", str(out), "--model", str(world / "m.safetensors")]
    return [*words, *DAYS, *more]


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 32 pixels, the block that is computed at once: larger scenes would take minutes."""
    monkeypatch.setattr(embed_tiles, "ALIGN_PX", 32)


def test_tiles_hold_the_bits_of_the_uncut_store_and_are_resumed(world, tmp_path, small_tiles, capsys):
    out = tmp_path / "cut"
    assert main(command(world, out, "--tiles", "32", "--resume")) == 0
    assert "9 stores that fit together" in capsys.readouterr().out
    entry = yaml.safe_load((out / "catalog.yaml").read_text())["sources"]["cut"]
    assert entry["args"]["store"][:4] == ["tile_0_0", "tile_0_1", "tile_0_2", "tile_1_0"]
    mosaic = catalog.source(catalog.open(out / "catalog.yaml"), "cut").store()
    assert isinstance(mosaic, Mosaic)
    whole = Store.open(world / "whole")
    for layout in ("maps", "series"):
        xr.testing.assert_identical(mosaic.cube(layout).compute(), whole.cube(layout).compute())
    assert mosaic.stores[4].grid.shape == (32, 32)
    # Each store carries its own part of the images, and all of them are the scene.
    assert mosaic.stores[4].scene()["s2"].sizes["x"] * 3 < 72 * 2
    for name in ("s2", "s1"):
        mine, theirs = (one.scene()[name].to_dataset().load() for one in (mosaic, whole))
        for variable in theirs.data_vars:
            np.testing.assert_array_equal(mine[variable].values, theirs[variable].values)
    snapshots = mosaic.snapshot
    # A tile that is lost is made again, and the others are left as they are.
    import shutil

    shutil.rmtree(out / "tile_1_1")
    assert main(command(world, out, "--tiles", "32", "--resume")) == 0
    again = Mosaic.open([store.path for store in mosaic.stores])
    assert [a == b for a, b in zip(again.snapshot.split(","), snapshots.split(","), strict=True)].count(
        False
    ) == 1
    xr.testing.assert_identical(again.cube().compute(), whole.cube().compute())
    capsys.readouterr()
    assert main(command(world, out, "--tiles", "32", "--resume")) == 0
    assert "whole already" in capsys.readouterr().out


def test_a_size_that_does_not_fit_and_a_folder_in_use_are_refused(world, tmp_path, capsys):
    for size in ("100", "0", "-128"):
        assert main(command(world, tmp_path / "cut", "--tiles", size)) == 2
        assert "need a multiple of 128 pixels" in capsys.readouterr().err
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "mine.txt").write_text("mine")
    assert main(command(world, tmp_path / "cut", "--tiles", "128")) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(command(world, world / "whole", "--tiles", "128")) == 2
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["mine.txt"]
