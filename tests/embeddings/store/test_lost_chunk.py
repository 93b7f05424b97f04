"""A store that lost a chunk of ``quality`` is told as one sentence wherever it is read, never shown as zeros."""

import shutil
from pathlib import Path

import pytest
import zarr
from app_world import predict, write_store
from fluxlens.app.background.catalog_loader import EntryLoad
from fluxlens.app.cli import main
from fluxlens.app.data import ExplorerData
from fluxlens.app.session.explorer import Explorer
from fluxlens.embeddings.store import Store
from fluxlens.embeddings.store.repository import icechunk_library, storage
from fluxlens.models.errors import InputError
from zarr.core.sync import sync

TOLD = "which is damaged or not ours (a chunk of quality is missing); restore it or write it again."


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "store"
    write_store(path)
    return path


@pytest.fixture
def damaged(tmp_path, whole) -> Path:
    """The tiny world on disk, without any chunk of ``quality`` in either layout, as after a partial copy or sync."""
    path = tmp_path / "store"
    shutil.copytree(whole, path)
    session = icechunk_library().Repository.open(storage(path)).writable_session("main")
    for layout in ("maps", "series"):
        assert zarr.open_group(session.store, path=layout, mode="r")["quality"].nchunks_initialized
        sync(session.store.delete_dir(f"{layout}/quality/c"))
    session.commit("chunks lost")
    return path


def place(path: Path) -> str:
    store = Store.open(path)
    lon, lat = store.grid.lonlat(store.grid.x[28], store.grid.y[20])
    return f"{float(lon):.6f},{float(lat):.6f}"


@pytest.mark.parametrize("suffix", [".csv", ".nc"])
def test_the_command_line_says_it_in_one_sentence_and_writes_nothing(damaged, whole, capsys, suffix):
    at, out = place(whole), damaged.parent / f"pixel{suffix}"
    assert main(["export", str(whole), "--at", at, "--out", str(out)]) == 0
    out.unlink()
    capsys.readouterr()
    assert main(["export", str(damaged), "--at", at, "--out", str(out)]) == 2
    printed = capsys.readouterr().err
    assert TOLD in printed
    assert "Traceback" not in printed
    assert len(printed.strip().splitlines()) == 1
    assert [file.name for file in damaged.parent.iterdir()] == ["store"]


def test_python_raises_it_from_every_read(damaged):
    store = Store.open(damaged)
    everywhere = slice(None)
    for read in (
        lambda: store.series(20, 28),
        lambda: store.map(store.days[0]),
        lambda: store.window(slice(0, 2), everywhere, everywhere),
        lambda: store.cube().compute(),
        lambda: store.cube("series").compute(),
    ):
        with pytest.raises(InputError) as error:
            read()
        assert TOLD in str(error.value)


def test_the_dashboard_shows_it_as_its_message(damaged):
    load = EntryLoad("tiny")
    load.run(iter([ExplorerData(Store.open(damaged), predict)]))
    assert TOLD in load.error
    explorer = Explorer()
    explorer.fail(load.error)
    assert TOLD in explorer.state.message


def test_a_tap_on_a_lost_pixel_is_not_taken_for_one_outside_the_scene(damaged, whole, monkeypatch):
    data = ExplorerData(Store.open(whole), predict)
    explorer = Explorer(data=data)
    explorer.panel()
    # The tiny world is one shard: its other pixels would be lost too. The rest of the screen stays on the whole store.
    lost = Store.open(damaged)
    monkeypatch.setattr(data.store, "series", lost.series)
    explorer.tap(*data.centre(5, 50))
    assert TOLD in explorer.state.message
    explorer.tap(0.0, 0.0)
    assert "outside the scene" in explorer.state.message
