"""A small simulated world keeps its promises: same seed same bytes, physics in bounds, an imperfect mask."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import progress
from fluxlens.embeddings.simulate import random_request, random_scene, simulate, steps, write_tower_file
from fluxlens.embeddings.simulate.landscape import COVERS
from fluxlens.models.errors import InputError

SMALL = {"size_px": 24, "start": "2020-04-01", "end": "2020-09-30"}


@pytest.fixture(scope="module")
def scene():
    return simulate("tiny", seed=5, **SMALL)


def digest(tree) -> str:
    """Of every array and attribute."""
    h = hashlib.sha256(repr(sorted(tree.attrs.items())).encode())
    for node in tree.subtree:
        for name, variable in sorted(node.to_dataset().variables.items()):
            h.update(f"{node.path} {name} {sorted(variable.attrs.items())}".encode())
            values = variable.values
            h.update(values.tobytes() if values.dtype != object else repr(values.tolist()).encode())
    return h.hexdigest()


def test_same_seed_gives_the_same_bytes(scene):
    assert digest(simulate("tiny", seed=5, **SMALL)) == digest(scene)


def test_another_seed_gives_another_scene(scene):
    other = simulate("tiny", seed=6, **SMALL)
    assert (other["truth/land_cover"].values != scene["truth/land_cover"].values).any()
    assert digest(other) != digest(scene)


def test_without_truth_the_observations_are_the_same(scene):
    bare = simulate("tiny", seed=5, truth=False, **SMALL)
    assert "truth" not in bare.children
    np.testing.assert_array_equal(bare["s2/reflectance"].values, scene["s2/reflectance"].values)
    np.testing.assert_array_equal(bare["s1/backscatter"].values, scene["s1/backscatter"].values)


def test_scene_passes_the_contract(scene):
    from fluxlens.embeddings.scenes.validation import validate

    validate(scene)


def test_everything_says_simulated(scene):
    assert scene.attrs["simulated"] == 1
    assert "simulated" in scene.attrs["title"]
    assert scene["tower"].attrs["site"].startswith("SIM-")
    assert all(node.attrs["simulated"] == 1 for node in scene.children.values())


def test_sentinel_1_lies_on_the_20_m_parent_of_the_10_m_grid(scene):
    s2, s1 = scene["s2"], scene["s1"]
    np.testing.assert_array_equal(s1.x.values, s2.x.values.reshape(-1, 2).mean(1))
    np.testing.assert_array_equal(s1.y.values, s2.y.values.reshape(-1, 2).mean(1))
    assert (s2.x.values[0] - 5) % 20 == 0


def test_20_m_bands_are_repeated_pairwise(scene):
    red_edge = scene["s2/reflectance"].sel(band="B05").values
    np.testing.assert_array_equal(red_edge[:, ::2, ::2], red_edge[:, 1::2, 1::2])
    red = scene["s2/reflectance"].sel(band="B04").values
    assert (red[:, ::2, ::2] != red[:, 1::2, 1::2]).any()


def test_reflectance_and_absorbed_light_are_fractions(scene):
    clear = scene["s2/reflectance"].where(scene["s2/clear"] & ~scene["s2/cloud_truth"]).values
    assert np.nanmin(clear) >= 0
    assert np.nanmax(clear) <= 1
    fapar = scene["truth/fapar"].values
    assert fapar.min() >= 0
    assert fapar.max() <= 1


def test_mask_is_imperfect_but_mostly_right(scene):
    clear, cloudy = scene["s2/clear"].values, scene["s2/cloud_truth"].values
    assert (clear == ~cloudy).mean() > 0.8
    assert (clear & cloudy).any()
    assert (~clear & ~cloudy).any()


def test_dark_days_are_cloudy(scene):
    cloud = scene["s2/cloud_truth"].mean(("y", "x")).values
    days = scene["s2"].time.values.astype("datetime64[D]").astype("datetime64[ns]")
    sun = scene["weather/sw_in"].sel(time=days).values
    assert np.corrcoef(cloud, sun)[0, 1] < -0.3


def test_nothing_grows_on_water():
    from fluxlens.embeddings.simulate.landscape import LandscapeConfig

    lake = simulate(
        "lake", seed=2, landscape=LandscapeConfig(water=0.3), size_px=24, start="2020-06-01", end="2020-06-30"
    )
    water = lake["truth/land_cover"].values == COVERS.index("water")
    assert water.any()
    assert (lake["truth/gpp"].values[:, water] == 0).all()
    assert lake["truth/gpp"].values[:, ~water].max() > 5


def test_boreal_midwinter_has_no_gpp_and_may_have_snow():
    north = simulate(
        "north", seed=1, climate="boreal", lat=68.5, size_px=16, start="2020-12-10", end="2021-01-10"
    )
    assert north["truth/gpp"].values.max() < 0.05


def test_seasons_turn_around_south_of_the_equator():
    south = simulate("south", seed=1, climate="southern", size_px=16, start="2020-01-01", end="2020-12-31")
    sun = south["weather/sw_in"].to_series()
    assert sun[sun.index.month == 1].mean() > 2 * sun[sun.index.month == 6].mean()
    assert south["s2"].to_dataset().rio.crs.to_epsg() // 100 == 327


def test_harvest_takes_the_leaves_in_a_day():
    from fluxlens.embeddings.simulate.landscape import LandscapeConfig

    arable = LandscapeConfig(forest=0, grass=0, cereal=1, water=0, village=0)
    land = simulate("arable", seed=3, landscape=arable, size_px=24, start="2020-05-01", end="2020-10-31")
    lai = land["truth/lai"].values
    fields = land["truth/land_cover"].values == COVERS.index("winter_cereal")
    drop = (lai[:-1] - lai[1:])[:, fields].max(0)
    assert np.median(drop) > 0.5
    assert np.median(lai[:, fields].max(0)) > 2


def test_wet_bare_soil_is_brighter_to_radar_and_darker_to_the_eye():
    from dataclasses import replace

    from fluxlens.embeddings.simulate import landscape, radar
    from fluxlens.embeddings.simulate.ground import Pixels
    from fluxlens.embeddings.simulate.vegetation import Growth

    rng = np.random.default_rng(0)
    land = landscape.draw_land(rng, 16, landscape.LandscapeConfig(forest=0, water=0, village=0))
    zero = np.zeros((len(land.unit_cover), 1), dtype=np.float32)
    dry = Growth(
        lai=zero,
        green=zero + 1,
        cab=zero + 40,
        water=zero + 0.01,
        litter=zero,
        rough_db=zero,
        moisture=zero + 0.08,
        stress=zero + 1,
        snow=np.zeros(1),
        skin=np.zeros(1),
        frozen=np.zeros(1, bool),
        leaf=zero.astype(np.int8),
        c4=zero.astype(bool),
    )
    wet = replace(dry, moisture=zero + 0.34, skin=np.ones(1))
    scatterers = radar.draw_scatterers(np.random.default_rng(1), Pixels(land, dry))
    pairs = [
        radar.surface_backscatter(Pixels(land, g), scatterers, 0, 15.0, 0.0, 0.0, 38.0)["VV"]
        for g in (dry, wet)
    ]
    gain_db = 10 * np.log10(pairs[1] / pairs[0])
    assert np.median(gain_db) > 3
    light = [Pixels(land, g).reflectance(0, 40.0, 0.5)[:, 2].mean() for g in (dry, wet)]
    assert light[1] < 0.75 * light[0]


def test_tower_file_reads_back_with_gaps(scene, tmp_path):
    path = write_tower_file(scene, tmp_path)
    assert path.name == "FLX_SIM-tiny-5_FLUXNET2015_SUBSET_DD_2020-2020_1-3.csv"
    table = pd.read_csv(path, parse_dates=["TIMESTAMP"])
    assert len(table) == scene["weather"].sizes["time"]
    gpp = table["GPP_NT_VUT_REF"]
    assert (gpp == -9999).any()
    kept = gpp[gpp != -9999]
    truth = scene["tower/gpp_nt"].to_series().dropna()
    np.testing.assert_allclose(kept.values, truth.values, atol=1e-4)
    assert {"TA_F", "SW_IN_F", "VPD_F", "P_F", "NEE_VUT_REF_QC", "GPP_DT_VUT_REF", "GPP_NT_VUT_25"} <= set(
        table
    )


def test_tower_stands_inside_on_vegetation(scene):
    from pyproj import Transformer

    tower = scene["tower"]
    to_utm = Transformer.from_crs(4326, scene["s2"].to_dataset().rio.crs, always_xy=True)
    x, y = to_utm.transform(tower.attrs["lon"], tower.attrs["lat"])
    pixel = scene["truth"].to_dataset().sel(x=x, y=y, method="nearest")
    assert COVERS[int(pixel.land_cover)] not in ("water", "settlement")
    assert pixel.gpp.max() > 2


def test_a_scene_without_tower_has_no_tower_file(tmp_path):
    bare = simulate("bare", truth=False, size_px=8, start="2020-06-01", end="2020-06-10")
    with pytest.raises(InputError, match="no tower"):
        write_tower_file(bare, tmp_path)


def test_steps_yield_progress_and_return_the_scene():
    progress = steps("short", size_px=8, start="2020-06-01", end="2020-06-20")
    reports = []
    while True:
        try:
            reports.append(next(progress))
        except StopIteration as stop:
            scene = stop.value
            break
    fractions = [fraction for _, fraction in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert "s2" in scene.children


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"climate": "lunar"}, "lunar"),
        ({"size_px": 33}, "33"),
        ({"start": "2020-02-01", "end": "2020-01-01"}, "before"),
        ({"lat": 89.0}, "lat"),
    ],
)
def test_impossible_requests_are_refused_with_advice(wrong, word):
    with pytest.raises(InputError, match=word):
        simulate("bad", **wrong)


def test_random_scenes_differ_in_climate_and_density():
    drawn = [random_request(seed) for seed in range(40)]
    assert len({request.climate for request in drawn}) == 5
    assert min(request.lat for request in drawn) < 0 < max(request.lat for request in drawn)
    assert {request.orbits.second for request in drawn} == {True, False}
    made = random_scene(11, size_px=16, start="2019-03-01", end="2019-05-31")
    assert made.attrs["title"].startswith("simulated")
    assert (
        progress.run(steps("again", size_px=8, start="2020-06-01", end="2020-06-12"))["s1"].sizes["band"] == 2
    )
