"""A scene that breaks the contract is refused with one sentence: got, need, do."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings.geometry import Grid, spatial_ref
from fluxlens.embeddings.scenes import digest as scenes_digest
from fluxlens.embeddings.scenes import packing, schema, validation
from fluxlens.models.errors import InputError

FINE = Grid("EPSG:32631", 574_680.0, 5_622_440.0, 10.0, 8, 6)
COARSE = Grid("EPSG:32631", 574_680.0, 5_622_440.0, 20.0, 4, 3)


def dates(start: str, periods: int, freq: str = "D") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=periods, freq=freq).as_unit("ns")


@pytest.fixture
def scene() -> xr.DataTree:
    """Three Sentinel-2 dates, two Sentinel-1 dates and ten days of weather."""
    rng = np.random.default_rng(0)
    s2 = xr.Dataset(
        {
            "reflectance": (schema.CUBE, rng.uniform(0.01, 0.6, (3, 2, 6, 8)).astype("float32")),
            "clear": (schema.MAPS, rng.random((3, 6, 8)) < 0.7),
        },
        coords={"time": dates("2020-05-01", 3, "5D"), "band": ["B04", "B08"], **FINE.coords()},
    )
    s1 = xr.Dataset(
        {"backscatter": (schema.CUBE, rng.uniform(-25, -5, (2, 2, 3, 4)).astype("float32"))},
        coords={
            "time": dates("2020-05-02", 2, "6D"),
            "band": ["VV", "VH"],
            "orbit": ("time", ["ascending", "descending"]),
            **COARSE.coords(),
        },
    )
    weather = xr.Dataset(
        {
            "sw_in": ("time", np.full(10, 220, "float32")),
            "tair": ("time", np.linspace(5, 20, 10, dtype="float32")),
            "vpd": ("time", np.full(10, 6, "float32")),
            "precip": ("time", np.zeros(10, "float32")),
        },
        coords={"time": dates("2020-05-01", 10)},
    )
    return xr.DataTree.from_dict({"/s2": s2, "/s1": s1, "/weather": weather})


def changed(scene: xr.DataTree, **nodes) -> xr.DataTree:
    """The scene with functions applied to the datasets of some nodes; None drops a node."""
    datasets = {name: node.to_dataset() for name, node in scene.children.items()}
    for name, change in nodes.items():
        if change is None:
            del datasets[name]
        else:
            datasets[name] = change(datasets[name])
    return xr.DataTree.from_dict({f"/{name}": data for name, data in datasets.items()})


def test_a_scene_that_keeps_the_contract_passes_unchanged(scene):
    assert validation.validate(scene).identical(validation.validate(validation.validate(scene)))
    assert scenes_digest.digest(validation.validate(scene)) == scenes_digest.digest(scene)


def test_one_sensor_is_enough(scene):
    assert "s1" not in validation.validate(changed(scene, s1=None)).children
    assert "s2" not in validation.validate(changed(scene, s2=None)).children


def test_dims_in_another_order_are_put_right(scene):
    turned = changed(scene, s2=lambda s2: s2.transpose("x", "band", "y", "time"))
    assert validation.validate(turned).identical(validation.validate(scene))
    assert validation.validate(turned)["s2/reflectance"].dims == schema.CUBE


def test_times_of_any_resolution_become_nanoseconds(scene):
    coarse = changed(scene, s2=lambda s2: s2.assign_coords(time=s2["time"].astype("datetime64[s]")))
    assert validation.validate(coarse)["s2/time"].dtype == "datetime64[ns]"


def swap(name: str, change):
    """A change of one variable."""
    return lambda data: data.assign({name: change(data[name])})


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({"s1": None, "s2": None}, "Got /weather, need at least one of /s2 and /s1"),
        ({"s2": lambda s2: s2.drop_vars("clear")}, "need 'clear'.*(time, y, x)"),
        ({"s2": lambda s2: s2.rename(reflectance="sr")}, "need 'reflectance'"),
        ({"s2": lambda s2: s2.drop_vars("band")}, "without band names"),
        ({"s2": lambda s2: s2.assign_coords(band=["B4", "B8"])}, "bands B4, B8, need each of B02"),
        ({"s2": lambda s2: s2.isel(time=0)}, "without a time"),
        ({"s2": lambda s2: s2.isel(band=0)}, r"dims \(time, y, x\), need \(time, band, y, x\)"),
        ({"s2": swap("reflectance", lambda r: r * 10_000)}, "digital numbers, divide by 10000.*offset"),
        ({"s2": swap("reflectance", lambda r: (r * 10_000).astype("int16"))}, "int16.*digital numbers"),
        ({"s2": swap("reflectance", lambda r: r.where(r > 0.1, -9999))}, "down to -9999.*mask -9999"),
        ({"s2": swap("reflectance", lambda r: r.where(r > 0.1, -0.9999))}, "mask -9999 before scaling"),
        ({"s2": swap("reflectance", lambda r: r * np.nan)}, "all NaN"),
        ({"s2": swap("reflectance", lambda r: r.where(r.time > r.time[0]))}, "clear pixels without any data"),
        ({"s2": swap("clear", lambda c: c.astype("uint8"))}, "clear as uint8, need bool"),
        ({"s2": lambda s2: s2.isel(time=[0, 1, 1])}, "twice.*merge"),
        ({"s2": lambda s2: s2.isel(time=[1, 0, 2])}, "going back in time"),
        ({"s2": lambda s2: s2.isel(time=[])}, "without a single date"),
        ({"s2": lambda s2: s2.assign_coords(time=["a", "b", "c"])}, "need datetime64"),
        ({"s2": lambda s2: s2.isel(y=slice(None, None, -1))}, "In /s2: Got y ascending"),
        ({"s2": lambda s2: s2.assign_coords(x=s2.x * 2)}, "need square"),
        ({"s2": lambda s2: s2.drop_vars("spatial_ref")}, "In /s2: Got data without a CRS"),
        ({"s1": lambda s1: s1.assign_coords(spatial_ref=spatial_ref("EPSG:4326"))}, "In /s1.*projected"),
        ({"s1": lambda s1: s1.assign_coords(spatial_ref=spatial_ref("EPSG:32632"))}, "need one CRS for all"),
        ({"s1": swap("backscatter", lambda b: 10 ** (b / 10))}, "linear power"),
        ({"s1": swap("backscatter", lambda b: b * 10_000)}, "scaled integers"),
        ({"s1": lambda s1: s1.assign_coords(orbit=("time", ["A", "D"]))}, "orbit A, D, need ascending"),
        ({"weather": swap("tair", lambda t: t + 273.15)}, "subtract 273.15"),
        ({"weather": swap("sw_in", lambda s: s * 86400)}, "divide J m-2 d-1 by 86400"),
        ({"weather": swap("vpd", lambda v: v * 100)}, "divide Pa by 100"),
        ({"weather": swap("precip", lambda p: p - 9999)}, "mask -9999"),
    ],
)
def test_every_breach_is_named_with_what_to_do(scene, nodes, message):
    with pytest.raises(InputError, match=message) as caught:
        validation.validate(changed(scene, **nodes))
    text = str(caught.value)
    assert "need" in text
    assert text.endswith(".")
    assert "\n" not in text


def test_what_is_no_tree_is_refused():
    with pytest.raises(InputError, match=r"need an xarray\.DataTree"):
        validation.validate(xr.Dataset())


def test_validating_a_lazy_scene_keeps_it_lazy(scene):
    lazy = changed(scene, s2=lambda s2: s2.chunk(time=1))
    assert validation.validate(lazy)["s2/reflectance"].chunks is not None


def test_snow_and_the_offset_stay_legal(scene):
    bright = changed(scene, s2=swap("reflectance", lambda r: r.where(r > 0.02, 1.9).where(r < 0.58, -0.05)))
    validation.validate(bright)


def test_the_digest_sees_values_and_not_their_wrapping(scene):
    digest = scenes_digest.digest(scene)
    relabelled = changed(scene, s2=lambda s2: s2.assign_attrs(title="other")[["clear", "reflectance"]])
    lazy = changed(scene, s2=lambda s2: s2.chunk(time=1, y=2), s1=lambda s1: s1.chunk())
    other_spelling = changed(
        scene, s1=lambda s1: s1.assign_coords(spatial_ref=xr.Variable((), 0, {"crs_wkt": "EPSG:32631"}))
    )
    assert [scenes_digest.digest(tree) for tree in (relabelled, lazy, other_spelling)] == [digest] * 3
    one_bit = scene["s2/reflectance"].values.copy()
    one_bit[0, 0, 0, 0] = np.nextafter(one_bit[0, 0, 0, 0], np.float32(1))
    for tree in (
        changed(scene, s2=swap("reflectance", lambda r: r.copy(data=one_bit))),
        changed(scene, s1=None),
        changed(scene, s2=lambda s2: s2.assign_coords(time=s2.time + np.timedelta64(1, "D"))),
        changed(scene, s1=lambda s1: s1.assign_coords(spatial_ref=spatial_ref("EPSG:32632"))),
    ):
        assert scenes_digest.digest(tree) != digest


def test_quantising_twice_changes_nothing(scene):
    once = packing.round_scene(scene)
    assert scenes_digest.digest(packing.round_scene(once)) == scenes_digest.digest(once)
    np.testing.assert_allclose(once["s2/reflectance"], scene["s2/reflectance"], atol=5.1e-5)


def test_days_are_utc_days(scene):
    at_noon = scene["s2"].to_dataset().assign_coords(time=scene["s2/time"] + np.timedelta64(12, "h"))
    assert list(schema.utc_days(at_noon).astype(str)) == ["2020-05-01", "2020-05-06", "2020-05-11"]
