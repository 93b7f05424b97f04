"""What the words of a command line stand for."""

import pytest
import yaml
from fluxlens.app.cli.inputs import (
    CatalogFile,
    find_embeddings,
    is_series_table,
    open_feature_cube,
    open_store,
)
from fluxlens.embeddings.store import Store, write
from fluxlens.models.errors import InputError
from tiny_cube import blocks_of, random_cube


@pytest.fixture
def folder(tmp_path):
    """A store, and a catalog with an entry for it, one of the same name as a path, and a scene."""
    cube = random_cube()
    write(tmp_path / "store", cube, blocks_of(cube))
    entry = {"driver": "fluxlens_embeddings", "args": {"store": "store"}}
    scene = {"driver": "fluxlens_scene", "args": {"path": "nowhere"}}
    catalog = {"sources": {"tiny": entry, "scene": scene}}
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump(catalog))
    return tmp_path


def test_a_store_is_found_by_path_and_by_entry(folder):
    catalog = str(folder / "catalog.yaml")
    snapshot = Store.open(folder / "store").snapshot
    for name in (str(folder / "store"), "tiny"):
        found = find_embeddings(name, catalog)
        assert open_feature_cube(found) is None
        assert open_store(found, None).snapshot == snapshot
        assert open_store(found, snapshot).snapshot == snapshot
        with pytest.raises(InputError, match="snapshot"):
            open_store(found, "PCDBEYD8AMA1AVQCH00G")


def test_a_path_needs_no_sound_catalog_and_an_entry_does(folder):
    (folder / "catalog.yaml").write_text("sources: 3\n")
    catalog = str(folder / "catalog.yaml")
    assert find_embeddings(str(folder / "store"), catalog) == str(folder / "store")
    with pytest.raises(InputError):
        find_embeddings("tiny", catalog)
    with pytest.raises(InputError):
        CatalogFile.from_option(catalog)


def test_an_entry_without_embeddings_and_a_path_to_nothing_are_refused(folder):
    catalog = str(folder / "catalog.yaml")
    with pytest.raises(InputError, match="need one that holds embeddings"):
        find_embeddings("scene", catalog)
    with pytest.raises(InputError, match="does not exist"):
        open_store(find_embeddings("elsewhere", catalog), None)


def test_a_series_table_is_a_file_of_rows_and_not_a_scene(tmp_path):
    (tmp_path / "plots.CSV").write_text("id,date,B04\n")
    (tmp_path / "scene.nc").touch()
    (tmp_path / "folder.parquet").mkdir()
    assert is_series_table(str(tmp_path / "plots.CSV"))
    for name in ("scene.nc", "folder.parquet", "absent.csv"):
        assert not is_series_table(str(tmp_path / name))
