"""Generated tower files: the answer equals pandas on the same content, or is one sentence."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import towers
from fluxlens.models.errors import DataWarning, InputError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DAYS = 40
STYLES = ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%dT00:00:00+00:00")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")
# Two of the same method are never generated together: which one is taken is another test's subject.
FLUXES = {"gpp_nt": ("GPP_NT_VUT_REF", "GPP_NT_CUT_REF"), "gpp_dt": ("GPP_DT_VUT_REF", "GPP_DT_CUT_REF")}
WEATHER = {"tair": "TA_F", "vpd": "VPD_F", "sw_in": "SW_IN_F", "precip": "P_F"}
RENAMED = {"GPP_NT_VUT_REF": "gpp_nt_vut_ref", "TA_F": " TA_F ", "GPP_DT_VUT_REF": '"GPP_DT_VUT_REF"'}


@st.composite
def tower_files(draw) -> tuple[bytes, pd.DataFrame]:
    """Bytes of a daily file, and what it says by our names; no columns of GPP where all are left out."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    times = pd.date_range("2019-05-12", periods=DAYS)
    threshold = draw(st.integers(0, 1))
    names = {ours: pair[threshold] for ours, pair in FLUXES.items()} | WEATHER
    kept = draw(st.lists(st.sampled_from(list(names)), min_size=1, unique=True))
    ranges = {"tair": (8, 25), "vpd": (4, 12), "sw_in": (120, 320), "precip": (0.5, 9)}
    truth = pd.DataFrame(
        {ours: random.uniform(*ranges.get(ours, (3, 12)), DAYS).round(3) for ours in kept}, times
    )
    truth = truth.mask(random.random(truth.shape) < draw(st.sampled_from([0.0, 0.1, 0.5])))
    rows = np.sort(random.choice(DAYS, draw(st.integers(20, DAYS)), replace=False))
    truth = truth.iloc[rows]
    separator, decimal = draw(st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")]))
    missing = draw(st.sampled_from(["-9999", ""]))
    cells = truth.map(lambda value: missing if np.isnan(value) else f"{value:.3f}".replace(".", decimal))
    cells.columns = [names[ours] for ours in kept]
    if draw(st.booleans()):
        cells.columns = [RENAMED.get(column, column) for column in cells.columns]
    # A text column of a language with accents, which cp1252 and UTF-8 write differently.
    cells["NOTE"] = "Höhe 3 m"
    cells["TIMESTAMP"] = truth.index.strftime(draw(st.sampled_from(STYLES)))
    cells = cells[draw(st.permutations(list(cells.columns)))]
    lines = [separator.join(row) for row in [list(cells.columns), *cells.values.tolist()]]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return (end.join(lines) + end).encode(draw(st.sampled_from(ENCODINGS))), truth


def check_file(content: bytes, truth: pd.DataFrame) -> None:
    """The file gives the content by day, or one sentence where it has no GPP at all."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        path = Path(folder) / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2019-2019_1-4.csv"
        path.write_bytes(content)
        fluxes = [ours for ours in FLUXES if ours in truth and truth[ours].notna().any()]
        if not fluxes:
            with pytest.raises(InputError) as caught:
                towers.read(path)
            assert "\n" not in str(caught.value)
            return
        tower = towers.read(path)
    expected = truth.asfreq("D")
    for ours in truth:
        if not truth[ours].notna().any() and ours not in tower:
            continue
        np.testing.assert_allclose(tower[ours].to_series().reindex(expected.index), expected[ours], rtol=1e-6)
    assert set(map(str, tower.data_vars)) <= set(truth)


FINE_STYLES = ("%Y%m%d%H%M", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%S+00:00")
PARTS = 8
UMOL = 86400 * 12.011e-6
"""gC m-2 d-1 of 1 umol CO2 m-2 s-1."""


@st.composite
def fine_tower_files(draw) -> tuple[bytes, str, pd.DataFrame]:
    """Bytes of a half-hourly or hourly file, its name, and the days of what it says by our names."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    per_day, code = draw(st.sampled_from([(48, "HH"), (24, "HR"), (24, "HH"), (48, "XX")]))
    count = draw(st.integers(3, 8))
    times = pd.date_range("2019-05-12", periods=count * per_day, freq=pd.Timedelta(days=1) / per_day)
    names = {ours: pair[draw(st.integers(0, 1))] for ours, pair in FLUXES.items()} | WEATHER
    kept = draw(st.lists(st.sampled_from(list(names)), min_size=1, unique=True))
    ranges = {"tair": (8, 25), "vpd": (4, 12), "sw_in": (120, 320), "precip": (0, 0.9)}
    cells = pd.DataFrame(
        {ours: random.uniform(*ranges.get(ours, (-1, 12)), len(times)).round(3) for ours in kept}, times
    )
    cells = cells.mask(random.random(cells.shape) < draw(st.sampled_from([0.0, 0.05, 0.3])))
    # A hole of some hours in one column, as calibrations and rain leave.
    first = draw(st.integers(0, len(times) - 1))
    cells.iloc[first : first + draw(st.integers(0, 20)), draw(st.integers(0, len(kept) - 1))] = np.nan
    is_kept = random.random(len(times)) >= draw(st.sampled_from([0.0, 0.1]))
    is_kept[0] = is_kept[-1] = True
    cells = cells[is_kept]
    # What is right, by numpy alone: means of three hours known by half, and of days known in all of their parts.
    grid = cells.reindex(times).to_numpy().reshape(count, PARTS, per_day // PARTS, len(kept))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        part = np.where(np.isfinite(grid).sum(2) * 2 >= per_day // PARTS, np.nanmean(grid, axis=2), np.nan)
    truth = pd.DataFrame(part.mean(1), pd.date_range("2019-05-12", periods=count), columns=kept)
    factors = {"gpp_nt": UMOL, "gpp_dt": UMOL, "precip": per_day}
    truth = truth * pd.Series({ours: factors.get(ours, 1.0) for ours in kept})
    separator, decimal = draw(st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", ".")]))
    missing = draw(st.sampled_from(["-9999", "", "-9999.00"]))
    text = cells.map(lambda value: missing if np.isnan(value) else f"{value:.3f}".replace(".", decimal))
    text.columns = [names[ours] for ours in kept]
    style = draw(st.sampled_from(FINE_STYLES))
    stamp, shift = draw(st.sampled_from([("TIMESTAMP_START", 0), ("TIMESTAMP", 0), ("TIMESTAMP_END", 1)]))
    text[stamp] = (text.index + shift * pd.Timedelta(days=1) / per_day).strftime(style)
    text = text[draw(st.permutations(list(text.columns)))]
    rows = text.values.tolist()
    if draw(st.booleans()):
        random.shuffle(rows)
    lines = [separator.join(row) for row in [list(text.columns), *rows]]
    content = ("\n".join(lines) + "\n").encode(draw(st.sampled_from(ENCODINGS)))
    return content, f"FLX_XX-Abc_FLUXNET2015_FULLSET_{code}_2019-2019_1-4.csv", truth


def check_fine_file(content: bytes, name: str, truth: pd.DataFrame) -> None:
    """The file gives the days of its content, or one sentence where it has no GPP at all."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            tower = towers.read(path)
        except InputError as error:  # either outcome may be right, so pytest.raises does not fit
            assert "\n" not in str(error)  # noqa: PT017
            assert not [ours for ours in FLUXES if ours in truth and truth[ours].notna().any()]
            return
    for ours in truth:
        if ours in tower or truth[ours].notna().any():
            found = tower[ours].to_series().reindex(truth.index)
            np.testing.assert_allclose(found, truth[ours], rtol=1e-4, atol=1e-6)


OPTIONS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@settings(max_examples=30, **OPTIONS)
@given(tower_files())
def test_a_generated_tower_file_gives_its_content_or_one_sentence(file):
    check_file(*file)


@pytest.mark.slow
@settings(max_examples=500, **OPTIONS)
@given(tower_files())
def test_500_generated_tower_files_give_their_content_or_one_sentence(file):
    check_file(*file)


@settings(max_examples=20, **OPTIONS)
@given(fine_tower_files())
def test_a_generated_half_hourly_file_gives_its_complete_days_or_one_sentence(file):
    check_fine_file(*file)


@pytest.mark.slow
@settings(max_examples=500, **OPTIONS)
@given(fine_tower_files())
def test_500_generated_half_hourly_files_give_their_complete_days_or_one_sentence(file):
    check_fine_file(*file)


def test_a_day_stamped_at_midnight_and_at_noon_is_told_once(tmp_path):
    days = pd.date_range("2019-05-01", periods=30)
    rows = [f"{day:%Y%m%d},{5 + i / 10:.1f},12.0" for i, day in enumerate(days)]
    rows.insert(4, "201905041200,9.9,12.0")
    path = tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2019-2019_1-4.csv"
    path.write_text("TIMESTAMP,GPP_NT_VUT_REF,TA_F\n" + "\n".join(rows) + "\n")
    with pytest.warns(DataWarning, match="1 rows .* repeat a stamp"):
        tower = towers.read(path)
    assert float(tower.gpp_nt.sel(time="2019-05-04")) == pytest.approx(5.3)
