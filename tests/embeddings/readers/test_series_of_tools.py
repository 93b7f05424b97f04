"""Series tables as Earth Engine, sits, FORCE and Digital Earth export them, and radar seen twice on a day."""

import numpy as np
import pandas as pd
import pytest
import shapely
from fluxlens.embeddings.readers import series_bands
from fluxlens.embeddings.readers.series_table import read_series
from fluxlens.embeddings.scenes.compositing import composite_daily
from fluxlens.models.errors import DataWarning, InputError
from fluxlens.models.sensors import SENSORS

BANDS = list(SENSORS["s2"].bands)
VALUES = np.random.default_rng(3).uniform(0.02, 0.4, (8, len(BANDS))).round(4).astype(np.float32)
DATES = pd.date_range("2020-05-01", periods=4, freq="5D")


def table(names=None, **columns) -> pd.DataFrame:
    rows = pd.DataFrame({"id": np.repeat(["a", "b"], 4), "date": [*DATES, *DATES]})
    return rows.assign(**dict(zip(names or BANDS, VALUES.T, strict=True))).assign(**columns)


@pytest.mark.parametrize(
    "names",
    [
        ["BLUE", "GREEN", "RED", "RE1", "RE2", "RE3", "BNIR", "NIR", "SWIR1", "SWIR2"],
        ["blue", "green", "red", "re1", "re2", "re3", "NIR_broad", "nir", "swir1", "swir2"],
        ["nbart_blue", "nbart_green", "nbart_red", "nbart_red_edge_1", "nbart_red_edge_2", "nbart_red_edge_3",
         "nbart_nir_1", "nbart_nir_2", "nbart_swir_2", "nbart_swir_3"],
        [f"FRE_{band.replace('B0', 'B')}" for band in BANDS],
        [f"{band}_mean" for band in BANDS],
    ],
)  # fmt: skip
def test_bands_of_tables_have_the_names_of_tools(names):
    found = read_series(table(names)).sensors["s2"].values
    np.testing.assert_array_equal(found, VALUES)


@pytest.mark.parametrize("is_power", [False, True])
def test_two_passes_of_a_day_are_averaged_as_power_in_tables_and_in_cubes(is_power):
    # Both directions of flight on the first and third day.
    decibel = np.array([[-10, -16], [-13, -20], [-11, -17], [-9, -15], [-14, -19]], np.float32)
    days = pd.to_datetime(
        ["2020-05-01 05:40", "2020-05-01 17:24", "2020-05-02 17:24", "2020-05-03 05:40", "2020-05-03 17:24"]
    )
    values = 10 ** (decibel / 10) if is_power else decibel
    rows = pd.DataFrame({"id": "a", "date": days, "VV": values[:, 0], "VH": values[:, 1]})
    with pytest.warns(DataWarning, match="power"):
        found = read_series(None, rows).sensors["s1"]
    power = pd.DataFrame(10 ** (decibel.astype(float) / 10)).groupby(days.normalize()).mean().to_numpy()
    np.testing.assert_allclose(found.values, 10 * np.log10(power), atol=2e-5)
    assert found.values[0, 0] == pytest.approx(-11.246, abs=1e-3)
    cube = composite_daily(
        decibel[:, :, None, None], np.ones((5, 1, 1), bool), days.values.astype("datetime64[D]"), is_db=True
    )
    np.testing.assert_allclose(cube[0][:, :, 0, 0], found.values, atol=2e-5)


UP = pd.DataFrame({"id": "a", "date": ["2020-05-01", "2020-05-07", "2020-05-13"], "VV": -10.0, "VH": -16.0})
DOWN = UP.assign(VV=-13.0, VH=-19.0)
MEAN = [-11.24595, -17.24595]


@pytest.mark.parametrize(
    ("column", "up", "down"),
    [
        ("orbitProperties_pass", "ASCENDING", "DESCENDING"),
        ("sat:orbit_state", "ascending", "descending"),
        ("pass", "A", "D"),
    ],
)
def test_passes_of_two_directions_on_a_day_are_told_and_on_other_days_kept(column, up, down):
    later = DOWN.assign(date=["2020-05-03", "2020-05-09", "2020-05-15"])
    rows = pd.concat(
        [UP.assign(**{column: up}), DOWN.assign(**{column: down})[:2], later.assign(**{column: down})]
    )
    message = (
        r"2 of 8 rows .* of a series and day that another row has \(0 of them alike, 2 of another pass\)"
    )
    with pytest.warns(DataWarning, match=message + ": averaged as power, as in cubes"):
        found = read_series(None, rows).sensors["s1"]
    right = [MEAN, [-13, -19], MEAN, [-13, -19], [-10, -16], [-13, -19]]
    np.testing.assert_allclose(found.values, right, atol=1e-4)


def test_slices_of_one_pass_are_no_passes():
    rows = pd.concat([UP, UP.assign(VV=-11.0)]).assign(orbit="ascending")
    with pytest.warns(DataWarning, match=r"3 of 6 rows .* \(0 of them alike\): averaged as power\."):
        read_series(None, rows)
    times = pd.to_datetime(rows["date"]) + pd.to_timedelta([17.5] * 3 + [17.51] * 3, unit="h")
    with pytest.warns(DataWarning, match=r"\(0 of them alike\): averaged as power\."):
        read_series(None, rows.drop(columns="orbit").assign(date=times))
    with pytest.warns(DataWarning, match=r"3 of another pass\): averaged as power, as in cubes"):
        read_series(
            None,
            rows.drop(columns="orbit").assign(
                date=times.mask(rows["VV"] == -11, times - pd.Timedelta("12h"))
            ),
        )


@pytest.mark.parametrize(
    "names",
    [
        ("{}_asc", "{}_desc"), ("ASCENDING_{}", "DESCENDING_{}"), ("{}.mean.asc", "{}.mean.desc"), ("{}_A", "{}_D"),
        ("{}A", "{}D"), ("{}_ascending", "{}_descending"), ("{}asc", "{}dsc"), ("S1_{}_A", "S1_{}_D"),
        ("{}_gamma0_ASC_dB", "{}_gamma0_DESC_dB"), ("{}_A_88", "{}_D110"), ("d{}_asc"[1:], "D_{}"),
        ("Sentinel-1_{}_ASC_median", "Sentinel-1_{}_DESC_median"),
    ],
)  # fmt: skip
def test_columns_of_one_direction_of_flight_are_passes(names):
    up, down = (
        frame.rename(columns={band: name.format(band) for band in ("VV", "VH")})
        for frame, name in zip((UP, DOWN), names, strict=True)
    )
    wide = up.join(down.drop(columns=["id", "date"])).assign(orbit="both")
    wide.iloc[1, 2:4] = np.nan
    wide.iloc[2, 4:6] = np.nan
    with pytest.warns(DataWarning, match="1 of 4 rows .* 1 of another pass"):
        found = read_series(None, wide).sensors["s1"]
    np.testing.assert_allclose(found.values, [MEAN, [-13, -19], [-10, -16]], atol=1e-4)


def test_passes_of_two_relative_orbits_in_columns_keep_their_rows():
    wide = UP.rename(columns={"VV": "VV_A_88", "VH": "VH_A_88"})
    wide = wide.assign(VV_A_161=DOWN["VV"], VH_A_161=DOWN["VH"])
    with pytest.warns(DataWarning, match=r"3 of 6 rows .*: averaged as power"):
        read_series(None, wide)


def test_columns_like_backscatter_that_are_not_read_are_named():
    with pytest.warns(DataWarning, match="VV_smoothed, VH_88 of .* look like backscatter and are not read"):
        read_series(None, UP.assign(VV_smoothed=1.0, VH_88=2.0, VV_std=1.0, VVVH_ratio=3.0))


def test_reflectance_divided_twice_is_refused():
    rows = table()
    rows[BANDS] /= 10_000
    with pytest.raises(InputError, match=r"reflectance of [34](\.\d)?e-05 at most.*divided by 10000 twice"):
        read_series(rows)


SHAPES = {
    "GeoJSON": lambda lon: f'{{"type":"Point","coordinates":[{lon},50.74]}}',
    "WKT": lambda lon: f"POINT ({lon} 50.74)",
    "WKT of PostGIS": lambda lon: f"SRID=4326;POINT Z ({lon} 50.74 12)",
    "WKB": lambda lon: shapely.to_wkb(shapely.Point(lon, 50.74)),
    "polygon": lambda lon: shapely.box(lon - 0.001, 50.739, lon + 0.001, 50.741).wkt,
}


@pytest.mark.parametrize("form", SHAPES)
@pytest.mark.parametrize("has_id", [True, False])
def test_geometries_place_the_series_and_name_them_where_nothing_does(tmp_path, form, has_id):
    column = ".geo" if form == "GeoJSON" else "geometry"
    rows = table(**{column: [SHAPES[form](4.06)] * 4 + [SHAPES[form](4.07)] * 4})
    rows = rows if has_id else rows.drop(columns="id")
    path = tmp_path / "samples.parquet"
    rows.to_parquet(path)
    if has_id:
        found = read_series(path)
        assert list(found.ids) == ["a", "b"]
    else:
        with pytest.warns(DataWarning, match="no column .* names the series: its 2 places do"):
            found = read_series(path)
        assert list(found.ids) == ["4.06_50.74", "4.07_50.74"]
    np.testing.assert_allclose(found.lon, [4.06, 4.07], atol=1e-9)
    np.testing.assert_allclose(found.lat, [50.74, 50.74], atol=1e-9)
    assert len(found.sensors["s2"].day) == 8


def test_a_column_of_classes_is_not_taken_for_names():
    far = {"longitude": [4.06] * 4 + [5.3] * 4, "latitude": 50.74}
    rows = table(label="Forest", **far)
    by_polygon = rows.rename(columns={"id": "polygon_id"})
    assert list(read_series(by_polygon).ids) == ["a", "b"]
    with pytest.raises(InputError, match=r"such as Forest over 1\.24 degrees, need one place per id"):
        read_series(rows.drop(columns="id"))


MASKS = {
    "fmask": [0, 1, 2, 4],
    "Fmask": [64, 64 | 1, 64 | 2, 64 | 8],
    "oa_fmask": [1, 5, 2, 3],
    "oa_s2cloudless_mask": [1, 1, 2, 0],
    "QAI": [0, 32, 2, 8],
    "CLM": [0, 0, 1, 255],
    "CLP": [0, 80, 255, 200],
    "is_cloud": ["no", "no", "yes", "yes"],
    "cloudmask": ["clear", "clear", "cloud", "shadow"],
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_of_providers_are_used_in_tables(name):
    with pytest.warns(DataWarning, match=f"4 of 8 rows .* cloudy by their column {name}: left out"):
        found = read_series(table(**{name: MASKS[name] * 2})).sensors["s2"]
    np.testing.assert_array_equal(found.day.reshape(2, 2), [np.unique(found.day)] * 2)
    np.testing.assert_array_equal(found.values, VALUES.reshape(2, 4, -1)[:, :2].reshape(4, -1))


def test_a_mask_that_is_not_understood_is_told():
    with pytest.warns(DataWarning, match="cloud_mask .* not understood: all rows count as clear"):
        found = read_series(table(cloud_mask=["A", "B", "C", "D"] * 2))
    assert len(found.sensors["s2"].day) == 8


def test_feather_and_blanks_between_thousands_are_read(tmp_path):
    table().to_feather(tmp_path / "plots.feather")
    np.testing.assert_array_equal(read_series(tmp_path / "plots.feather").sensors["s2"].values, VALUES)
    numbers = (VALUES.astype(float) * 10_000).round().astype(int)
    for mark in (" ", "\u202f", "'", "\u2019"):
        texts = {
            band: [f"{n:,}".replace(",", mark) for n in column]
            for band, column in zip(BANDS, numbers.T, strict=True)
        }
        table(**texts).to_csv(tmp_path / "plots.csv", sep=";", index=False)
        with pytest.warns(DataWarning, match="divided by 10000"):
            found = read_series(tmp_path / "plots.csv").sensors["s2"].values
        np.testing.assert_allclose(found, VALUES, atol=1e-7)
    (tmp_path / "cut.feather").write_bytes((tmp_path / "plots.feather").read_bytes()[:200])
    with pytest.raises(InputError, match="need a whole Feather file"):
        read_series(tmp_path / "cut.feather")


@pytest.mark.parametrize(
    ("column", "stated", "expected"),
    [("processing_baseline", "04.00", 4.0), ("product", "S2A_MSIL2A_20220125T105031_N0400_R051_T31UES", 4.0)],
)
def test_a_row_that_does_not_state_its_baseline_has_not_that_of_the_last_row(column, stated, expected):
    rows = pd.DataFrame({column: pd.Series([None, "other", stated], dtype="str")})
    baseline, _ = series_bands._stated_baselines(rows)
    np.testing.assert_array_equal(baseline, [np.nan, np.nan, expected])


def test_a_row_that_does_not_state_whether_its_offset_is_off_has_it_on():
    rows = pd.DataFrame({"earthsearch:boa_offset_applied": pd.Series([None, "false", "true"], dtype="str")})
    assert series_bands._stated_baselines(rows)[1].tolist() == [False, False, True]
