"""What release 45e744a computed is computed still, and what it wrote still opens."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.app.cli import main
from fluxlens.embeddings import catalog
from fluxlens.embeddings.store import Store
from fluxlens.models import checkpoints
from golden_world import (
    DEMO_ARRAYS,
    GOLDEN,
    GPP_ARRAYS,
    SAMPLE,
    commands,
    digest,
    file_digest,
    machine_class,
    schema_of,
    state_of,
    unpack_release,
)
from safetensors import safe_open

ROOT = GOLDEN.parents[1]
RECORDED = json.loads((GOLDEN / "golden.json").read_text())
SCHEMAS = json.loads((GOLDEN / "schemas.json").read_text())

# A machine of another class sums float32 products in another order. Embeddings are rounded to int8, so that a last
# bit moves a value by one step, and only where it lay on the edge between two: of one value in some thousands.
MOVED_SHARE = 2e-3
# Sigma is stored in steps of 0.0005 and more; GPP in float32 is read off the rounded embeddings, where one feature of
# 32 that moves by one step changes it by less than this.
SIGMA_ATOL = 2e-3
GPP_ATOL_GC_M2_D = 0.05


@pytest.fixture(scope="module")
def fresh_cache(cache_of_run):
    """Scenes and stores are made by the code under test in this run, never taken from an earlier one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXLENS_CACHE", str(cache_of_run))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory, fresh_cache):
    """The release's files, unpacked, and an empty folder ``out``."""
    root = unpack_release(tmp_path_factory.mktemp("golden"))
    (root / "out").mkdir()
    return root


def check_sample(name: str, values: xr.DataArray) -> None:
    """The stored numbers of the demo within what another machine's last bits explain."""
    with np.load(GOLDEN / "samples.npz") as samples:
        golden = samples[name]
    found = values.isel(SAMPLE, missing_dims="ignore").values
    assert found.shape == golden.shape
    assert found.dtype == golden.dtype
    if name == "embedding":
        steps = np.abs(found.astype(int) - golden.astype(int))
        assert steps.max() <= 1
        assert (steps > 0).mean() <= MOVED_SHARE
    elif name == "sigma":
        np.testing.assert_allclose(found, golden, atol=SIGMA_ATOL)
    elif name in GPP_ARRAYS:
        np.testing.assert_allclose(found, golden, atol=GPP_ATOL_GC_M2_D)
    else:
        np.testing.assert_array_equal(found, golden)


@pytest.mark.slow
def test_the_demo_has_the_embeddings_and_the_gpp_of_the_release(fresh_cache, tmp_path):
    store = catalog.source(catalog.open(ROOT / "catalog.yaml"), "demo_embeddings").store()
    cube, path = store.cube().load(), tmp_path / "gpp.nc"
    assert main(["predict", "gpp", str(store.path), "--out", str(path)]) == 0
    with xr.open_dataset(path, engine="netcdf4") as maps:
        arrays = {name: cube[name] for name in DEMO_ARRAYS} | {name: maps[name].load() for name in GPP_ARRAYS}
    golden = RECORDED["demo"]
    assert dict(cube.sizes) == golden["sizes"]
    assert cube.attrs["model_digest"] == golden["model_digest"]
    for name, values in arrays.items():
        check_sample(name, values)
    for name in GPP_ARRAYS:
        assert float(arrays[name].mean()) == pytest.approx(golden["gpp_mean_gc_m2_d"][name], abs=1e-3)
    # Bit for bit where the release's own machine class computes; elsewhere the sample has decided.
    if machine_class() == RECORDED["machine"]:
        assert cube.attrs["scene_digest"] == golden["scene_digest"]
        recorded = golden["embedding"] | golden["gpp"]
        changed = [name for name, values in arrays.items() if digest(values) != recorded[name]]
        assert changed == []


def test_a_moved_value_is_seen_by_digest_and_sample():
    with np.load(GOLDEN / "samples.npz") as samples:
        sample = samples["embedding"]
    whole = np.zeros((30 * (len(sample) - 1) + 1, 80, 80, 32), np.int8)
    whole[::30, 8::16, 8::16] = sample
    same = xr.DataArray(whole, dims=("time", "y", "x", "feature"))
    check_sample("embedding", same)
    moved = same.copy(deep=True)
    moved[0, 8, 8, 0] = np.int8(0) if sample[0, 0, 0, 0] > 60 else np.int8(100)
    assert digest(moved) != digest(same)
    with pytest.raises(AssertionError):
        check_sample("embedding", moved)


def test_the_shipped_weights_load_and_are_the_recorded_ones():
    assert {path.stem for path in checkpoints.WEIGHTS.glob("*.safetensors")} == set(RECORDED["weights"])
    for name, recorded in RECORDED["weights"].items():
        path = checkpoints.WEIGHTS / f"{name}.safetensors"
        assert file_digest(path) == recorded["sha256"], name
        with safe_open(path, framework="pt") as file:
            assert file.metadata()["digest"] == recorded["digest"], name
    for name in checkpoints.shipped():
        assert checkpoints.load(name, "cpu").identity.digest == RECORDED["weights"][name]["digest"]


def test_the_old_catalog_and_its_store_open(folder):
    assert main(["catalog", "check", "--catalog", str(folder / "catalog.yaml")]) == 0
    cube = catalog.open(folder / "catalog.yaml")["golden_store"].read()
    assert dict(cube.sizes) == {"time": 32, "y": 8, "x": 8, "feature": 32}
    store = Store.open(folder / "store")
    assert store.snapshot == json.loads((folder / "replay.json").read_text())["made"]["store_snapshot"]
    maps, series = (store.cube(layout).load() for layout in ("maps", "series"))
    for name in DEMO_ARRAYS:
        order = maps[name].dims
        np.testing.assert_array_equal(maps[name], series[name].transpose(*order))
    assert set(store.scene().children) == {"s1", "s2", "tower", "truth", "weather"}


def test_the_old_replay_file_makes_the_same_export_again(folder, capsys):
    out = folder / "again.csv"
    assert main(["export", "--again", str(folder / "replay.json"), "--out", str(out)]) == 0
    if machine_class() == RECORDED["machine"]:
        assert "the same numbers" in capsys.readouterr().out
    # Features are stored integers times a scale, equal everywhere; GPP is computed anew.
    old, new = (pd.read_csv(path, comment="#") for path in (folder / "a.csv", out))
    pd.testing.assert_frame_equal(old.drop(columns=[*GPP_ARRAYS]), new.drop(columns=[*GPP_ARRAYS]))
    np.testing.assert_allclose(new[[*GPP_ARRAYS]], old[[*GPP_ARRAYS]], atol=1e-3)


def test_old_permalinks_restore_what_they_stood_for(folder):
    from fluxlens.app.data.explorer_data import ExplorerData
    from fluxlens.app.session import permalink
    from fluxlens.app.state.selection import State
    from fluxlens.embeddings import gpp

    data = ExplorerData(Store.open(folder / "store"), gpp.predict)
    for recorded in json.loads((folder / "permalinks.json").read_text()):
        # The entry is chosen from the address by the page, before the rest is restored.
        fields, state = permalink.parse_query(recorded["query"]), State(entry=recorded["state"]["entry"])
        permalink.restore(fields, state, data)
        assert state.message == ""
        assert state_of(state) == recorded["state"]


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_a_command_writes_the_form_of_the_release(folder, name):
    assert main(commands(folder)[name]) == 0
    assert schema_of(folder / "out" / name) == SCHEMAS[name]


def test_a_table_gets_the_gpp_of_the_release(folder):
    out = folder / "predicted_again.csv"
    assert main(["predict", "gpp", "--table", str(folder / "table.csv"), "--out", str(out)]) == 0
    release, old, new = (
        pd.read_csv(path) for path in (folder / "predicted.csv", GOLDEN / "predicted_rows.csv", out)
    )
    # The form and the rows of the release; the numbers are those of the head that tables and maps share since.
    assert list(new) == list(release)
    pd.testing.assert_frame_equal(new[["site", "date"]], release[["site", "date"]])
    pd.testing.assert_frame_equal(old, new, atol=1e-3)


def test_another_form_is_seen(folder, tmp_path):
    assert set(commands(folder)) == set(SCHEMAS)
    assert main(commands(folder)["points.csv"]) == 0
    shutil.copy(folder / "out" / "points.csv", tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(text.replace(",sigma,", ",doubt,"))
    assert schema_of(tmp_path / "a.csv") != SCHEMAS["points.csv"]
