"""The tiny world as fixtures."""

import pytest
from app_world import TinyStore, predict, published_cube, write_store


@pytest.fixture
def store() -> TinyStore:
    return TinyStore()


@pytest.fixture(scope="session")
def catalog(tmp_path_factory):
    """A catalog file with the tiny world on disk, twice, published vectors of it, and a missing store."""
    folder = tmp_path_factory.mktemp("tiny")
    write_store(folder / "store")
    published_cube().to_zarr(folder / "theirs.zarr", zarr_format=2)
    (folder / "catalog.yaml").write_text(
        "metadata: {version: 1}\n"
        "sources:\n"
        "  tiny: {driver: fluxlens_embeddings, description: A tiny world., args: {store: store}}\n"
        "  later: {driver: fluxlens_embeddings, description: It again., args: {store: store}}\n"
        "  theirs: {driver: fluxlens_embeddings, description: Theirs., args: {features: theirs.zarr}}\n"
        "  missing: {driver: fluxlens_embeddings, description: Nothing there., args: {store: nowhere}}\n"
    )
    return folder / "catalog.yaml"


@pytest.fixture
def data(store):
    from fluxlens.app.data import ExplorerData

    return ExplorerData(store, predict)


@pytest.fixture(scope="session")
def shared_url(catalog):
    """One server for all browser tests that leave nothing behind on it; its address."""
    from test_browser import serving

    with serving(catalog) as address:
        yield address
