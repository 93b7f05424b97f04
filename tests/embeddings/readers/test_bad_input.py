"""Whatever comes in, damaged, mistaken or hostile: the right answer or one sentence, and no other file touched."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from fluxlens.embeddings import catalog
from fluxlens.embeddings.catalog import validation as catalog_validation
from fluxlens.embeddings.geometry import spatial_ref
from fluxlens.embeddings.inference import engine
from fluxlens.embeddings.readers import open_scene, zarr
from fluxlens.embeddings.scenes import schema, validation
from fluxlens.embeddings.store import Store, write
from fluxlens.models import checkpoints
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tiny_cube import blocks_of, random_cube


def cases(number: int) -> settings:
    """The same cases in every run."""
    odd = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=odd,
    )


def one_sentence(error: InputError) -> None:
    assert "\n" not in str(error).strip()
    assert 20 < len(str(error)) < 600


@pytest.fixture(scope="module")
def model() -> Embedder:
    import torch

    torch.manual_seed(0)
    return Embedder().eval().requires_grad_(False)


def tiny_scene() -> xr.DataTree:
    days = np.array(["2020-06-01", "2020-06-03", "2020-06-04"], "datetime64[ns]")
    draw = np.random.default_rng(0)
    s2 = xr.Dataset(
        {
            "reflectance": (schema.CUBE, draw.uniform(0, 0.5, (3, 2, 4, 4)).astype("float32")),
            "clear": (schema.MAPS, np.ones((3, 4, 4), bool)),
        },
        {
            "time": days,
            "band": ["B04", "B08"],
            "x": 600005.0 + 10 * np.arange(4),
            "y": 5700035.0 - 10 * np.arange(4),
            "spatial_ref": spatial_ref("EPSG:32631"),
        },
    )
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"id": "tiny", "simulated": 1}), "/s2": s2})


CHANGES = {
    "other dims": lambda s, n: s.rename(x="lon"),
    "a dim less": lambda s, n: s.isel(band=0, drop=True),
    "a dim more": lambda s, n: s.expand_dims("member"),
    "dims in another order": lambda s, n: s.transpose("x", "y", "band", "time"),
    "no time": lambda s, n: s.drop_vars("time"),
    "times as numbers": lambda s, n: s.assign_coords(time=np.arange(s.sizes["time"])),
    "times backwards": lambda s, n: s.isel(time=slice(None, None, -1)),
    "a time twice": lambda s, n: s.isel(time=[0, *range(s.sizes["time"])]),
    "a missing time": lambda s, n: s.assign_coords(time=s.time.where(s.time > s.time[0])),
    "one date": lambda s, n: s.isel(time=[n % s.sizes["time"]]),
    "no date": lambda s, n: s.isel(time=[]),
    "one pixel": lambda s, n: s.isel(x=[0], y=[0]),
    "one column": lambda s, n: s.isel(x=[n % s.sizes["x"]]),
    "no pixel": lambda s, n: s.isel(x=[]),
    "no CRS": lambda s, n: s.drop_vars("spatial_ref"),
    "degrees": lambda s, n: s.assign_coords(spatial_ref=spatial_ref("EPSG:4326")),
    "feet": lambda s, n: s.assign_coords(spatial_ref=spatial_ref("EPSG:2263")),
    "rubbish CRS": lambda s, n: s.assign_coords(spatial_ref=((), 0, {"crs_wkt": "PROJCS[" + "x" * n})),
    "south up": lambda s, n: s.isel(y=slice(None, None, -1)),
    "east first": lambda s, n: s.isel(x=slice(None, None, -1)),
    "uneven pixels": lambda s, n: s.assign_coords(x=s.x + 3.0 * (s.x > s.x[0])),
    "oblong pixels": lambda s, n: s.assign_coords(x=600005.0 + 20 * np.arange(s.sizes["x"])),
    "all cloud": lambda s, n: s.assign(clear=s.clear & False),
    "all NaN": lambda s, n: s.assign(reflectance=s.reflectance * np.float32(np.nan)),
    "all infinite": lambda s, n: s.assign(reflectance=s.reflectance * np.float32(np.inf)),
    "some infinite": lambda s, n: s.assign(reflectance=s.reflectance.where(s.reflectance < 0.4, np.inf)),
    "digital numbers": lambda s, n: s.assign(reflectance=s.reflectance * 10000),
    "whole numbers": lambda s, n: s.assign(reflectance=(s.reflectance * 10000).astype("uint16")),
    "-9999": lambda s, n: s.assign(reflectance=s.reflectance.where(s.reflectance < 0.4, -9999)),
    "clear as numbers": lambda s, n: s.assign(clear=s.clear.astype("uint8")),
    "no mask": lambda s, n: s.drop_vars("clear"),
    "no reflectance": lambda s, n: s.drop_vars("reflectance"),
    "unknown bands": lambda s, n: s.assign_coords(band=["red", "nir"]),
    "a band twice": lambda s, n: s.assign_coords(band=["B04", "B04"]),
}


@cases(100)
@given(names=st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=2), number=st.integers(0, 9))
def test_a_mistaken_scene_is_embedded_right_or_refused(model, names, number):
    scene = tiny_scene()
    s2 = scene["s2"].to_dataset()
    try:
        for name in names:
            s2 = CHANGES[name](s2, number)
    except (ValueError, KeyError, AttributeError, IndexError):
        return  # the second change has nothing left to change
    scene["s2"] = xr.DataTree(s2)
    try:
        scene = validation.validate(scene)
        cube = engine.compute(scene, model, window=(slice(0, 2), slice(0, 2)))
    except InputError as error:
        one_sentence(error)
        return
    assert cube["embedding"].dtype == np.int8
    assert np.isfinite(cube["sigma"].values).all()
    clear = bool((scene["s2"]["clear"] & np.isfinite(scene["s2"]["reflectance"]).all("band")).any())
    assert clear or (cube["days_from_s2"].values == -1).all()


HOSTILE = st.sampled_from(
    [
        "!!python/object/apply:os.system ['touch CANARY']",
        "!!python/object/new:subprocess.Popen [['touch', 'CANARY']]",
        "{{ env(HOME) }}",
        "{{ shell('touch CANARY') }}",
        "{% for i in range(9) %}{{ CATALOG_DIR }}{% endfor %}",
        "shell(touch CANARY)",
        "env(HOME)",
        "client_env(HOME)",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "os.system",
        "intake.source.base.DataSource",
        "fluxlens_scene",
        "../../../../etc/passwd",
        "{{ CATALOG_DIR }}/../../etc",
        "file:///etc/passwd",
        "simulated",
        "&a [*a]",
        "",
    ]
)
KEYS = st.sampled_from(
    ["sources", "driver", "args", "path", "scene", "store", "metadata", "version", "plugins", "source"]
) | st.sampled_from(["module", "parameters", "description", "cache", "catalog_dir", "model", "direct_access"])
TREES = st.recursive(
    HOSTILE | st.integers() | st.none() | st.booleans() | st.text(max_size=12),
    lambda inner: st.dictionaries(KEYS, inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=12,
)


@cases(150)
@given(
    sources=st.dictionaries(HOSTILE, st.fixed_dictionaries({"driver": HOSTILE, "args": TREES}), max_size=3)
    | TREES,
    more=st.dictionaries(KEYS, TREES, max_size=2),
    tail=HOSTILE,
)
def test_a_hostile_catalog_runs_nothing(tmp_path, monkeypatch, sources, more, tail):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "catalog.yaml"
    text = yaml.safe_dump({**more, "sources": sources})
    path.write_text(text if len(tail) % 2 else f"{text}\nmore: {tail}\n")
    try:
        for name, _ in catalog.problems(catalog.open(path)):
            assert catalog.check(path)[name]["driver"] in catalog_validation.KINDS
    except InputError as error:
        one_sentence(error)
    assert [found.name for found in tmp_path.iterdir()] == ["catalog.yaml"]


class Touch:
    """A pickle that runs a command when it is opened."""

    def __reduce__(self):
        return os.system, ("touch CANARY",)


@cases(40)
@given(data=st.binary(max_size=60), suffix=st.sampled_from([".safetensors", ".pt", ".pkl", ".bin", ""]))
def test_a_pickle_is_no_checkpoint(tmp_path, monkeypatch, data, suffix):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(pickle.dumps((data, Touch())))
    with pytest.raises(InputError) as refused:
        checkpoints.load(path, "cpu")
    one_sentence(refused.value)
    path.unlink()
    assert list(tmp_path.iterdir()) == []


def damage(path: Path, where: float, cut: bool, bit: int) -> bool:
    """Cuts a file off, or flips a bit, at a share of its length; False where nothing changed."""
    kept_bytes = bytearray(path.read_bytes())
    if not kept_bytes:
        return False
    at = int(where * len(kept_bytes))
    kept_bytes = (
        kept_bytes[:at]
        if cut
        else kept_bytes[:at] + bytes([kept_bytes[at] ^ 1 << bit]) + kept_bytes[at + 1 :]
    )
    path.write_bytes(kept_bytes)
    return True


DAMAGE = {
    "which": st.floats(0, 1, exclude_max=True),
    "where": st.floats(0, 1, exclude_max=True),
    "cut": st.booleans(),
    "bit": st.integers(0, 7),
}


def damaged(whole: Path, copy: Path, which: float, where: float, cut: bool, bit: int) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    damage(files[int(which * len(files))], where, cut, bit)


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> Path:
    """A scene, a store and weights, whole."""
    folder = tmp_path_factory.mktemp("whole")
    zarr.write(tiny_scene(), folder / "scene")
    cube = random_cube(ny=8, nx=8)
    write(folder / "store", cube, blocks_of(cube))
    checkpoints.save(Embedder(), folder / "weights" / "m.safetensors", "untrained", {})
    return folder


@cases(100)
@given(**DAMAGE)
def test_a_damaged_scene_is_told_or_read_right(model, places, tmp_path, which, where, cut, bit):
    damaged(places / "scene", tmp_path / "scene", which, where, cut, bit)
    try:
        scene = open_scene(tmp_path / "scene")
        engine.compute(scene, model, window=(slice(0, 1), slice(0, 1)), start="2020-06-01", end="2020-06-01")
    except InputError as error:
        one_sentence(error)


@cases(100)
@given(**DAMAGE)
def test_a_damaged_store_is_told_or_read_right(places, tmp_path, which, where, cut, bit):
    damaged(places / "store", tmp_path / "store", which, where, cut, bit)
    cube = random_cube(ny=8, nx=8)
    try:
        store = Store.open(tmp_path / "store")
        series, day = store.series(3, 4), store.map(cube.time.values[5])
    except InputError as error:
        one_sentence(error)
        return
    xr.testing.assert_identical(series, cube.isel(y=3, x=4))
    xr.testing.assert_identical(day, cube.isel(time=5))


def netcdf_folder(folder: Path) -> None:
    folder.mkdir()
    grid = {"x": 600010.0 + 20 * np.arange(3), "y": 5700050.0 - 20 * np.arange(3)}
    times = {"time": np.array(["2020-06-01", "2020-06-03"], "datetime64[ns]")}
    draw = np.random.default_rng(0)
    dims = ("time", "y", "x")
    bands = {name: (dims, draw.integers(1, 9000, (2, 3, 3)).astype("int16")) for name in schema.S2_BANDS_20M}
    scl = {"SCL": (dims, np.full((2, 3, 3), 4, "uint8"))}
    file = xr.Dataset(bands | scl, grid | times, {"epsg": 32631})
    packed = {name: {"zlib": True, "fletcher32": True} for name in file.data_vars}
    file.to_netcdf(folder / "S2_L2A_20m_a.nc", engine="netcdf4", encoding=packed)


@pytest.mark.slow
@cases(25)
@given(**DAMAGE)
def test_a_damaged_netcdf_is_told_or_read_right(tmp_path, which, where, cut, bit):
    whole = tmp_path / "whole"
    if not whole.exists():
        netcdf_folder(whole)
    damaged(whole, tmp_path / "copy", which, where, cut, bit)
    try:
        open_scene(tmp_path / "copy")
    except InputError as error:
        one_sentence(error)
