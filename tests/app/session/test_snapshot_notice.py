"""The line that a newer snapshot is there, and the way to it."""

import app_world
import pytest
from bokeh.document import Document
from fluxlens.app.background.catalog_loader import LOADER
from fluxlens.app.session.explorer import Explorer
from fluxlens.app.session.panel_setup import setup
from fluxlens.embeddings import catalog as catalogs
from fluxlens.embeddings.store import Store, write
from tiny_cube import blocks_of


@pytest.fixture
def served(tmp_path):
    """A screen that shows the store of a catalog, and the store's path."""
    setup()
    app_world.write_store(tmp_path / "store")
    (tmp_path / "catalog.yaml").write_text(
        "sources:\n  fields:\n    driver: fluxlens_embeddings\n    args: {store: '{{ CATALOG_DIR }}/store'}\n"
    )
    explorer = Explorer(catalogs.open(tmp_path / "catalog.yaml"), entry="fields")
    explorer.start("fields")
    explorer._load.wait(60)
    explorer._check_load()
    explorer.panel().server_doc(Document())
    return explorer, tmp_path / "store"


def committed(path, message: str) -> str:
    """A commit on top of the store: the same cube with another sigma."""
    store = Store.open(path)
    cube = store.cube().load()
    cube["sigma"] = cube["sigma"] * 0
    return write(path, cube, blocks_of(cube), store.scene(), message, overwrite=True)


def looked(explorer) -> None:
    """What two periods of the page's timer do."""
    for _ in range(2):
        explorer.snapshot_notice.poll()
        explorer.snapshot_notice.wait()
    explorer.snapshot_notice.poll()


def test_a_newer_snapshot_is_told_and_shown_on_request_with_the_same_view(served):
    explorer, path = served
    before = explorer.data.store.snapshot
    explorer.state.param.update(layer="sigma" if "sigma" in explorer.data.layers else explorer.state.layer)
    day = explorer.data.first + (explorer.data.last - explorer.data.first) / 2
    explorer.state.day = day
    looked(explorer)
    assert len(explorer.snapshot_notice.view) == 0
    newer = committed(path, "updated by <one> pass")
    looked(explorer)
    text, button = explorer.snapshot_notice.view[0]
    assert "newer snapshot" in text.object
    assert "updated by &lt;one&gt; pass" in text.object
    assert explorer.data.store.snapshot == before
    button.clicks += 1
    if explorer._load is not None:
        explorer._load.wait(60)
        explorer._check_load()
    assert explorer.data.store.snapshot == newer
    assert (explorer.state.day, explorer.state.entry, explorer.state.message) == (day, "fields", "")
    looked(explorer)
    assert len(explorer.snapshot_notice.view) == 0
    # Who comes now opens the newest too.
    other = Explorer(explorer.cat, entry="fields")
    other.start("fields")
    other._load.wait(60) if other._load is not None else None
    assert LOADER._loads[str(explorer.cat.path), "fields", ""].data.store.snapshot == newer
    # The store of before stays readable, by its id.
    old, new = (float(Store.open(path, snapshot).cube().sigma.max()) for snapshot in (before, None))
    assert old > 0.03
    assert new < 1e-3
