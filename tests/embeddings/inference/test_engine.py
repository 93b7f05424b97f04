"""The engine answers the same numbers whatever is asked together: tiling, order, period, stored or lazy."""

import numpy as np
import pytest
import torch
import xarray as xr
from fluxlens.embeddings.geometry import target_grid
from fluxlens.embeddings.gpp import table_embeddings
from fluxlens.embeddings.inference import batched_forward, engine, request
from fluxlens.embeddings.scenes.acquisitions import read_acquisitions, to_epoch_day
from fluxlens.embeddings.simulate import simulate
from fluxlens.embeddings.store import quantise
from fluxlens.models.batch import Tokens
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import HALO_PX
from fluxlens.models.errors import InputError
from fluxlens.models.fusion import WINDOW_DAYS
from fluxlens.models.sensors import S1, S2


@pytest.fixture(scope="module")
def scene() -> xr.DataTree:
    return simulate("engine", seed=5, size_px=20, start="2020-04-01", end="2020-06-30")


@pytest.fixture(scope="module")
def model() -> Embedder:
    torch.manual_seed(4)
    return Embedder().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def cube(scene, model) -> xr.Dataset:
    return engine.compute(scene, model)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(request, "BLOCK_PX", 8)


def numbers(cube: xr.Dataset) -> np.ndarray:
    return quantise.dequantise(cube).values


def test_every_day_and_pixel_is_filled(cube, scene):
    grid = target_grid(scene)
    assert cube["embedding"].dtype == np.int8
    assert cube["embedding"].dims == ("time", "y", "x", "feature")
    assert (cube.sizes["y"], cube.sizes["x"]) == grid.shape
    days = np.diff(cube["time"].values) / np.timedelta64(1, "D")
    assert (days == 1).all()
    for name in ("sigma", "days_from_s2", "days_from_s1"):
        assert np.isfinite(cube[name].values).all(), name
    assert cube.attrs["simulated"] == 1


def test_tiles_leave_no_trace(cube, scene, model, small_blocks):
    tiled = engine.compute(scene, model)
    # One int8 step is the least difference that rounding can show.
    step = cube["scale"].values.max()
    assert np.abs(numbers(tiled) - numbers(cube)).max() <= step * 1.01
    assert (tiled["embedding"].values != cube["embedding"].values).mean() < 1e-3


def test_the_order_of_acquisitions_is_of_no_account(scene, model):
    grid = target_grid(scene)
    series = read_acquisitions(scene, S2, grid, slice(0, 8), slice(0, 8), HALO_PX)
    turned = series.select(np.arange(len(series.day))[::-1])
    days = torch.arange(series.day[0], series.day[-1])[None]
    forth, back = (
        model.embed({"s2": batched_forward.encode(model, "s2", s)}, days).z for s in (series, turned)
    )
    torch.testing.assert_close(forth, back, atol=1e-5, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
def test_nearest_counts_days_to_the_nearest_clear_acquisition(causal):
    rng = np.random.default_rng(1)
    usable = rng.random((12, 7)) < 0.4
    day = np.sort(rng.choice(np.arange(18_000, 18_400), 12, replace=False))
    tokens = Tokens(torch.zeros(1, 12, 7, 2), torch.from_numpy(usable)[None], torch.from_numpy(day)[None])
    query_days = np.arange(18_050, 18_450)
    found = batched_forward.days_to_nearest(tokens, query_days, causal)
    for p in range(7):
        away = np.abs(query_days[:, None] - day[usable[:, p]])
        looked = (away <= WINDOW_DAYS) & ((day[usable[:, p]] <= query_days[:, None]) | (not causal))
        expected = np.where(looked, away, 999).min(1, initial=999)
        np.testing.assert_array_equal(found[:, p], np.where(expected == 999, -1, expected))


def test_distances_are_those_to_the_sensors_own_acquisitions(cube, scene):
    for sensor in ("s2", "s1"):
        days = to_epoch_day(scene[sensor]["time"].values)
        query_days = to_epoch_day(cube["time"].values)
        nearest = np.abs(query_days[:, None] - days).min(1)
        assert (cube[f"days_from_{sensor}"].values >= nearest[:, None, None]).all(), sensor
    assert (cube["days_from_s1"].values == nearest[:, None, None]).all()


def test_a_window_and_a_month_are_cut_from_the_same_numbers(cube, scene, model):
    part = engine.compute(scene, model, "2020-05-03", "2020-05-20", (slice(3, 9), slice(10, 20)))
    expected = cube.sel(time=slice("2020-05-03", "2020-05-20")).isel(y=slice(3, 9), x=slice(10, 20))
    xr.testing.assert_identical(part, expected)


def test_the_lazy_cube_is_the_computed_one(cube, scene, model, small_blocks):
    lazy = engine.lazy_cube(scene, model)
    assert lazy["embedding"].chunks is not None
    assert lazy["embedding"].data.numblocks == (1, 3, 3, 1)
    xr.testing.assert_identical(lazy.compute(), engine.compute(scene, model))
    assert cube.attrs == lazy.attrs


def test_the_template_announces_what_comes(cube, scene, model):
    template = engine.empty_cube(scene, model)
    assert template.attrs == cube.attrs
    assert {n: (v.dims, v.shape, v.dtype) for n, v in template.variables.items()} == {
        n: (v.dims, v.shape, v.dtype) for n, v in cube.variables.items()
    }


def test_blocks_cover_the_scene_once_and_count_up(scene, model, small_blocks):
    hits = np.zeros(target_grid(scene).shape, int)
    shares = []
    for block in engine.embed_blocks(scene, model, end="2020-04-20"):
        hits[block.rows, block.cols] += 1
        shares.append(block.share)
    assert (hits == 1).all()
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_coarse_pixels_are_repeated_and_the_outside_is_missing(scene):
    grid = target_grid(scene)
    series = read_acquisitions(scene, S1, grid, slice(0, 4), slice(0, 4), halo_px=3)
    assert np.isnan(series.values[:, :, :3]).all()
    assert not series.valid[:, :3].any()
    inner = series.values[:, :, 3:7, 3:7]
    np.testing.assert_array_equal(inner[:, :, ::2, ::2], inner[:, :, 1::2, 1::2])
    np.testing.assert_array_equal(inner[0, 0, 0, 0], scene["s1"]["backscatter"].values[0, 0, 0, 0])


def test_two_acquisitions_of_one_day_become_one(scene):
    s2 = scene["s2"].to_dataset()
    twin = s2.isel(time=[0]).assign_coords(time=s2["time"].values[:1] + np.timedelta64(3, "h"))
    both = xr.DataTree.from_dict(
        {"s2": xr.concat([s2.isel(time=[0]), twin, s2.isel(time=slice(1, None))], "time")}
    )
    grid = target_grid(scene)
    once, twice = (read_acquisitions(s, S2, grid, slice(0, 8), slice(0, 8)) for s in (scene, both))
    np.testing.assert_array_equal(once.day, twice.day)
    np.testing.assert_allclose(once.values, twice.values, rtol=1e-6)


def test_a_single_spectrum_is_embedded_alone(model):
    bands = np.random.default_rng(0).uniform(0, 0.4, (3, 6))
    names = ("B02", "B03", "B04", "B8A", "B11", "B12")
    z = table_embeddings.embed_spectra(model, bands, names)
    assert z.shape == (3, 32)
    assert np.isfinite(z).all()
    np.testing.assert_allclose(table_embeddings.embed_spectra(model, bands[1:2], names)[0], z[1], atol=1e-5)


@pytest.mark.parametrize(
    ("period", "sentence"),
    [
        (("2020-06-01", "2020-05-01"), "lies before start"),
        (("2031-01-01", None), "outside the scene.s acquisitions"),
        (("yesterday", None), "not a date"),
    ],
)
def test_a_period_that_cannot_be_is_told(scene, model, period, sentence):
    with pytest.raises(InputError, match=sentence):
        engine.empty_cube(scene, model, *period)


def test_out_of_device_memory_strips_are_asked_in_halves(cube, scene, model, monkeypatch):
    contextualise, tried = model.contextualise, []

    def limited(tokens, causal, group_days):
        pixels = next(iter(tokens.values())).valid.shape[2]
        tried.append(pixels)
        if pixels > 40:
            raise torch.OutOfMemoryError(f"no memory for {pixels} pixels")
        return contextualise(tokens, causal, group_days)

    monkeypatch.setattr(model, "contextualise", limited, raising=False)
    halved = engine.compute(scene, model)
    assert {128, 64, 32} <= set(tried)
    assert np.abs(numbers(halved) - numbers(cube)).max() <= cube["scale"].values.max() * 1.01
    assert (halved["embedding"].values != cube["embedding"].values).mean() < 1e-3
    for name in ("days_from_s2", "days_from_s1"):
        xr.testing.assert_identical(halved[name], cube[name])


def test_a_single_pixel_that_does_not_fit_is_told(scene, model, monkeypatch):
    def never(tokens, causal, group_days):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(model, "contextualise", never, raising=False)
    with pytest.raises(InputError, match="memory"):
        engine.compute(scene, model)
