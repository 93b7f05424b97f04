"""Entries as people write them: paths, lists, URLs, catalogs in catalogs; what is wrong is one sentence."""

import zipfile
from pathlib import Path

import intake
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from fluxlens.embeddings import catalog
from fluxlens.embeddings.driver import SOURCES
from fluxlens.models.errors import InputError

TOWER = "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_{0}-{0}_1-4.csv"
DRIVERS = {
    "fluxlens_scene": "path",
    "fluxlens_tower": "path",
    "fluxlens_series": "table",
    "fluxlens_embeddings": "store",
}
"""The argument of each that is a path."""


def days(year: int) -> pd.DataFrame:
    index = pd.date_range(f"{year}-01-01", f"{year}-12-31")
    gpp = 6 + 4 * np.sin(np.arange(len(index)) / 20) + year - 2018
    return pd.DataFrame({"TIMESTAMP": index.strftime("%Y%m%d"), "GPP_NT_VUT_REF": gpp, "NEE_VUT_REF_QC": 1.0})


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "my data"
    folder.mkdir()
    for year in (2018, 2019):
        days(year).to_csv(folder / TOWER.format(year), index=False)
    return tmp_path


def write(folder: Path, name: str = "catalog.yaml", **entries) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump({"metadata": {"version": 1}, "sources": entries}))
    return path


def entry(driver: str, path) -> dict:
    return {"driver": driver, "args": {DRIVERS[driver]: path}}


def in_one_sentence(call, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert "Traceback" not in text
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    "path",
    [
        "my data/{}", "./my data/{}", "../{home}/my data/{}", "{{{{ CATALOG_DIR }}}}/my data/{}",
        "{{{{CATALOG_DIR}}}}my data/{}", "file://{root}/my%20data/{}", "{root}/my data/{}",
    ],
)  # fmt: skip
def test_a_path_is_found_however_it_is_written(home, path):
    path = path.format(TOWER.format(2018), home=home.name, root=home)
    listed = write(home, tower=entry("fluxlens_tower", path))
    for opened in (catalog.open(listed), intake.open_catalog(str(listed))):
        np.testing.assert_allclose(opened["tower"].read()["gpp_nt"], days(2018)["GPP_NT_VUT_REF"])
    if "}}my" in path:
        return  # intake ends CATALOG_DIR with a slash, but not of a catalog that is opened by a URL
    found = intake.open_catalog(f"file://{listed}")["tower"].read()
    np.testing.assert_allclose(found["gpp_nt"], days(2018)["GPP_NT_VUT_REF"])


def test_a_list_and_a_folder_of_a_tower_s_years_are_one_series(home):
    listed = [f"my data/{TOWER.format(year)}" for year in (2019, 2018)]
    opened = catalog.open(
        write(home, a=entry("fluxlens_tower", listed), b=entry("fluxlens_tower", "my data"))
    )
    right = pd.concat([days(2018), days(2019)])["GPP_NT_VUT_REF"]
    for name in ("a", "b"):
        np.testing.assert_allclose(opened[name].read()["gpp_nt"], right)
    text = catalog.towers_catalog(home / "my data", home)
    (home / "towers.yaml").write_text(text)
    found = catalog.open(home / "towers.yaml")["XX-Abc"].read()
    np.testing.assert_allclose(found["gpp_nt"], right)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("path", [5, True, {"a": 1}, [], ["a", 5], "", " ", [["a"]]])
def test_what_is_no_path_is_one_sentence(home, driver, path):
    opened = catalog.open(write(home, e=entry(driver, path)))
    in_one_sentence(lambda: opened["e"].read(), "Got")


@pytest.mark.parametrize("driver", ["fluxlens_tower", "fluxlens_series"])
def test_a_url_of_what_is_read_from_this_machine_alone_is_told(home, driver):
    opened = catalog.open(write(home, e=entry(driver, "https://example.org/a.csv")))
    in_one_sentence(lambda: opened["e"].read(), "Got the URL https://example.org/a.csv", "download it")


def test_files_in_the_wrong_driver_are_one_sentence(home):
    table = pd.DataFrame(
        {"id": "A", "date": pd.date_range("2020-04-01", periods=3), "B03": 0.06, "B04": 0.07}
    )
    table.to_csv(home / "plots.csv", index=False)
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(home / "a.nc")
    with zipfile.ZipFile(home / "a.zip", "w") as archive:
        archive.writestr("plots.csv", table.to_csv(index=False))
    names = {
        "plots.csv": "fluxlens_series",
        f"my data/{TOWER.format(2018)}": "fluxlens_tower",
        "a.nc": "",
        "a.zip": "fluxlens_series",
    }
    for name, right in {**names, "catalog.yaml": "", ".": "fluxlens_tower", "my data/*": ""}.items():
        for driver in DRIVERS:
            opened = catalog.open(write(home, e=entry(driver, name)))
            if driver != right:
                in_one_sentence(opened["e"].read, "Got")


def test_a_packed_scene_is_told_to_be_unpacked(home):
    with zipfile.ZipFile(home / "cube.zarr.zip", "w") as archive:
        archive.writestr("zarr.json", "{}")
    opened = catalog.open(write(home, e=entry("fluxlens_scene", "cube.zarr.zip")))
    in_one_sentence(opened["e"].read, "a packed file", "unpack it")


def test_a_catalog_in_a_catalog_has_paths_of_its_own(home):
    (home / "below").mkdir()
    (home / "my data").rename(home / "below" / "my data")
    write(home / "below", "child.yaml", tower=entry("fluxlens_tower", f"my data/{TOWER.format(2018)}"))
    nested = {"driver": "yaml_file_cat", "args": {"path": "{{ CATALOG_DIR }}/below/child.yaml"}}
    parent = write(home, "parent.yaml", child=nested)
    opened = intake.open_catalog(str(parent))
    np.testing.assert_allclose(opened["child"]["tower"].read()["gpp_nt"], days(2018)["GPP_NT_VUT_REF"])
    in_one_sentence(lambda: catalog.open(parent), "Got the entry 'child' with driver 'yaml_file_cat'")


def test_entries_answer_what_intake_asks(home):
    tower = catalog.open(write(home, t=entry("fluxlens_tower", f"my data/{TOWER.format(2018)}")))["t"]
    assert tower.schema == tower.discover()
    assert tower.schema["npartitions"] == 1
    right = tower.read()
    assert tower.to_dask().identical(right)
    assert tower.read_partition(0).identical(right)
    assert [part.identical(right) for part in tower.read_chunked()] == [True]


def test_arguments_that_an_entry_does_not_have_are_named(home):
    opened = catalog.open(write(home, t=entry("fluxlens_tower", f"my data/{TOWER.format(2018)}")))
    in_one_sentence(
        lambda: catalog.source(opened, "t", urlpath="a.csv"), "Got urlpath for t", "path, scene, sites"
    )
    later = catalog.source(opened, "t", path=f"my data/{TOWER.format(2019)}").read()
    np.testing.assert_allclose(later["gpp_nt"], days(2019)["GPP_NT_VUT_REF"])
    assert set(DRIVERS) < set(SOURCES)
