"""Calibration of GPP to towers: few days move it little and a year far, its band holds, its file is checked."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from fluxlens.embeddings import gpp, metrics
from fluxlens.embeddings.gpp import calibrate, calibration_file
from fluxlens.embeddings.gpp.calibration import (
    MEMORY_DAYS,
    TERMS,
    DayTerms,
    Prior,
    SiteRows,
    fit,
    learn_prior,
)
from fluxlens.embeddings.gpp.drivers import daily_drivers
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.daily_head import Config, DailyHead
from fluxlens.models.gpp.drivers import NORMAL_90

from tests.tiny_cube import random_cube

# Fixed, so that the engine is tested alike whatever head is shipped: the prior of towers that need much.
PRIOR = Prior(
    np.array(
        [
            [0.0772, -0.0409, -0.02585, 0.0426],
            [-0.0409, 0.03849, 0.02006, -0.06095],
            [-0.02585, 0.02006, 0.04072, -0.17103],
            [0.0426, -0.06095, -0.17103, 0.98845],
        ]
    ),
    spread=0.846,
    band=0.97,
)
DAYS = pd.date_range("2018-01-01", "2020-12-31")


def season(days: pd.DatetimeIndex = DAYS) -> xr.Dataset:
    """Weather of a temperate place with cloud that changes from day to day."""
    angle = 2 * np.pi * (days.day_of_year.values - 105) / 365
    cloud = np.random.default_rng(5).uniform(0.4, 1.0, len(days))
    parts = {"sw_in": (150 + 120 * np.sin(angle)) * cloud, "tair": 9 + 9 * np.sin(angle - 0.4)}
    return xr.Dataset({name: ("time", values) for name, values in parts.items()}, {"time": days})


def tower(gain: float, offset: float = 0.0, seed: int = 0, noise: float = 0.5) -> SiteRows:
    """A tower that measures ``gain`` times the prediction, an offset with the light, and slow and fast errors."""
    weather = season()
    sw, drivers = daily_drivers(weather, DAYS, 50.0)
    terms = DayTerms.from_drivers(sw, drivers)
    predicted = 0.03 * sw * np.clip(weather["tair"].values / 15, 0.1, 1.2)
    spread = 0.4 + 0.2 * predicted
    rng = np.random.default_rng(seed)
    slow = np.zeros(len(DAYS))
    for i in range(1, len(DAYS)):
        slow[i] = 0.9 * slow[i - 1] + np.sqrt(1 - 0.81) * rng.normal()
    error = noise * spread * (slow + rng.normal(size=len(DAYS))) / np.sqrt(2)
    measured = gain * predicted + offset * sw / 200 + error
    return SiteRows(DAYS.values.astype("datetime64[D]").astype(int), measured, predicted, spread, terms)


def calibrated(rows: SiteRows, adjustment) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    half = NORMAL_90 * rows.spread
    return adjustment.apply(rows.predicted, rows.predicted - half, rows.predicted + half, rows.terms)


def test_three_days_move_it_little_and_a_year_recovers_the_gain():
    rows = tower(1.5, noise=0.25)
    year = DAYS.year == 2018
    summer = np.flatnonzero(year & (DAYS.month == 7))
    three, _ = fit({"a": rows.take(summer[:3])}, PRIOR)
    whole, _ = fit({"a": rows.take(year)}, PRIOR)
    july = rows.take(summer[15:16])
    moved_three, moved_year = (calibrated(july, one)[0][0] / july.predicted[0] for one in (three, whole))
    # A year of days that resemble each other counts as about thirteen: most of the gain, not all of it.
    assert 1 < moved_three < 1.25
    assert 1.3 < moved_year < 1.55
    # How sure it is: the effect on a day is known better after a year.
    design = july.terms.design(july.predicted)[0]
    sd = [np.sqrt(design @ one.covariance @ design) for one in (three, whole)]
    assert sd[1] < 0.7 * sd[0]


def test_days_in_a_row_count_less_than_days_apart():
    rows = tower(1.5)
    near, far = rows.take(np.arange(180, 190)), rows.take(np.arange(0, 1000, 100))
    assert near.row_weights.sum() < 2 < 9 < far.row_weights.sum()
    day = rows.day[:400]
    direct = 1 / np.exp(-np.abs(day[:, None] - day) / MEMORY_DAYS).sum(1)
    np.testing.assert_allclose(rows.take(np.arange(400)).row_weights, direct)


@pytest.mark.parametrize("gain", [0.6, 1.0, 1.6])
def test_another_year_is_no_worse_and_its_band_holds(gain):
    inside, before, after = [], [], []
    for seed in range(6):
        rows = tower(gain, 0.5 * (gain - 1), seed, noise=PRIOR.spread)
        adjustment, _ = fit({"a": rows.take(DAYS.year == 2018)}, PRIOR)
        other = rows.take(DAYS.year == 2019)
        mean, low, high = calibrated(other, adjustment)
        inside.append((other.gpp >= low) & (other.gpp <= high))
        before.append(metrics.nse(other.gpp, other.predicted))
        after.append(metrics.nse(other.gpp, mean))
    assert np.mean(after) > np.mean(before) - 0.02
    assert 0.85 <= np.mean(inside) <= 0.97
    if gain != 1:
        assert np.mean(after) > np.mean(before) + 0.1


def test_shuffled_labels_calibrate_nothing_but_the_level():
    rows = tower(1.0)
    year = DAYS.year == 2018
    order = np.random.default_rng(3).permutation(year.sum())
    known = rows.take(year)
    shuffled = SiteRows(known.day, known.gpp[order], known.predicted, known.spread, known.terms)
    adjustment, _ = fit({"a": shuffled}, PRIOR)
    other = rows.take(DAYS.year == 2019)
    honest, _ = fit({"a": known}, PRIOR)
    shuffled_nse = metrics.nse(other.gpp, calibrated(other, adjustment)[0])
    assert shuffled_nse < metrics.nse(other.gpp, calibrated(other, honest)[0]) - 0.1


def test_a_set_of_towers_moves_a_place_that_is_none_of_them_less_than_each_of_them():
    sites = {name: tower(1.5, seed=i).take(DAYS.year == 2018) for i, name in enumerate("abc")}
    pooled, own = fit(sites, PRIOR)
    rows = tower(1.5).take([200])
    moved = [calibrated(rows, one)[0][0] / rows.predicted[0] for one in (pooled, own["a"])]
    assert 1.2 < moved[0] < moved[1]
    assert pooled.covariance[0, 0] > own["a"].covariance[0, 0]


def test_two_days_are_refused():
    with pytest.raises(InputError, match="Got 2 measured days, need 3"):
        fit({"a": tower(1.5).take([1, 200])}, PRIOR)


def test_nothing_is_added_in_the_dark():
    rows = tower(0.5, 3.0)
    adjustment, _ = fit({"a": rows}, PRIOR)
    dark = DayTerms.from_drivers(np.zeros(1), np.zeros((1, 14), np.float32))
    assert adjustment.of_days(dark).offset[0] == 0
    assert (calibrated(rows, adjustment)[0] >= 0).all()


def test_the_prior_of_towers_that_need_none_is_narrow():
    alike = learn_prior({str(i): tower(1.0, seed=i) for i in range(8)}, 30)
    different = learn_prior({str(i): tower(0.5 + 0.15 * i, seed=i) for i in range(8)}, 30)
    assert alike.covariance[0, 0] < 0.5 * different.covariance[0, 0]


@pytest.fixture(scope="module")
def head() -> gpp.DailyGppHead:
    torch.manual_seed(3)
    return gpp.DailyGppHead(DailyHead(Config(4)).eval().requires_grad_(False), "0" * 8, "abc", {})


@pytest.fixture
def made(head) -> gpp.Calibration:
    """Of a tower that measures half more than the head predicts for one pixel."""
    cube, weather = random_cube(ny=2, nx=2), season(pd.date_range("2019-01-01", "2020-12-31"))
    plain = gpp.predict(cube.isel(y=0, x=0), weather, head)
    # Towers of other sensors than the head is used to: any daily numbers do.
    days = plain.indexes["time"]
    measured = xr.Dataset(
        {"gpp_dt": ("time", 1.5 * plain["gpp"].values + 0.1)}, {"time": days}, {"site": "XX-Tst"}
    )
    return gpp.calibrate_series(plain, measured, weather, 50.0, "abc")


def test_a_map_is_calibrated_and_says_so(head, made, tmp_path):
    cube, weather = random_cube(ny=2, nx=2), season(pd.date_range("2019-01-01", "2020-12-31"))
    made.save(tmp_path / "cal.json")
    plain = gpp.predict(cube, weather, head)
    given = gpp.predict(cube, weather, head, tmp_path / "cal.json")
    assert float(given["gpp"].mean()) > 1.01 * float(plain["gpp"].mean())
    assert ((given.gpp_lo <= given.gpp) & (given.gpp <= given.gpp_hi)).all()
    assert given.attrs["gpp_calibration"].startswith("XX-Tst: ")
    assert given.attrs["gpp_calibration_digest"] == made.digest
    assert "gpp_calibration" not in plain.attrs
    carried = gpp.predict(cube.assign_attrs(gpp_calibration_json=made.text()), weather, head)
    xr.testing.assert_allclose(carried, given)
    pixel = gpp.predict(cube.isel(y=1, x=0), weather, head, made)
    np.testing.assert_allclose(pixel["gpp_hi"], given["gpp_hi"][:, 1, 0], rtol=1e-4)


def test_a_calibration_of_other_weights_is_refused(made):
    other = gpp.DailyGppHead(DailyHead(Config(4)).eval(), "0" * 8, "def", {})
    with pytest.raises(InputError, match=r"made with the GPP weights abc .* need one made with def"):
        gpp.predict(random_cube(ny=2, nx=2), None, other, made)


def test_the_file_reads_back_as_it_was_written(made, tmp_path):
    path = tmp_path / "cal.json"
    made.save(path)
    back = gpp.load_calibration(path)
    assert back.digest == made.digest
    assert back.text() == path.read_text()
    document = json.loads(path.read_text())
    assert document["measured"]["variable"] == "gpp_dt"
    assert (
        set(document["heads"][0]["pooled"]["mean"]) == set(document["heads"][0]["pooled"]["sd"]) == set(TERMS)
    )
    assert list(tmp_path.iterdir()) == [path]


def _without_digest(document):
    del document["digest"]


def _nan(document):
    document["heads"][0]["pooled"]["mean"]["gain"] = float("nan")


def _huge(document):
    document["heads"][0]["pooled"]["mean"]["gain"] = 1e9


def _edited(document):
    document["heads"][0]["pooled"]["mean"]["gain"] += 0.5


def _no_covariance(document):
    document["heads"][0]["pooled"]["covariance"][0][0] = -1.0


def _newer(document):
    document["fluxlens_gpp_calibration"] = 2


def _no_heads(document):
    document["heads"] = []


def _lists(document):
    document["heads"] = "all"


@pytest.mark.parametrize(
    "change", [_without_digest, _nan, _huge, _edited, _no_covariance, _newer, _no_heads, _lists]
)
def test_a_file_with_a_wrong_part_is_refused(made, tmp_path, change):
    document = json.loads(made.text())
    change(document)
    path = tmp_path / "cal.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"cal\.json.*need"):
        gpp.load_calibration(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe\x00", b"[" * 100_000, b'{"a": 1'])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "cal.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no whole calibration"):
        gpp.load_calibration(path)


def test_a_missing_file_and_a_wrong_place_to_write_are_refused(made, tmp_path):
    with pytest.raises(InputError, match="is not there"):
        gpp.load_calibration(tmp_path / "none.json")
    for path in (tmp_path / "cal.txt", tmp_path / "no" / "cal.json"):
        with pytest.raises(InputError, match=r"need a \.json file"):
            calibration_file.check_path(path)


def test_blocks_left_out_tell_before_and_after():
    sites = {"a": tower(1.5).take(DAYS.year == 2018)}
    checked = calibrate.check_on_blocks(sites, PRIOR)
    assert checked["rmse_after"] < 0.7 * checked["rmse_before"]
    assert checked["days"] == 365
    assert calibrate.check_on_blocks({"a": sites["a"].take(np.arange(5))}, PRIOR) == {}


def test_weeks_are_no_days(head):
    plain = gpp.predict(random_cube(ny=1, nx=1).isel(y=0, x=0), None, head)
    weeks = xr.Dataset({"gpp_nt": plain["gpp"]}, attrs={"resolution": "weekly"})
    with pytest.raises(InputError, match="weekly GPP, need days"):
        gpp.calibrate_series(plain, weeks, None, 50.0, "abc")
