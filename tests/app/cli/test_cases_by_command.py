"""Every case of the collected user files, through the command line: the value that is right, or one sentence.

The store is embedded from the corner of the measured cube that all cases share (April to September 2019).
"""

from __future__ import annotations

import json
import re

import intake
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from fluxlens.app.cli import main
from fluxlens.embeddings.readers import open_scene

pytestmark = [pytest.mark.real, pytest.mark.slow]

AT = "4.0631,50.7460"
CUBE = "0000280849BAC91C"
LEFT_M, TOP_M, SIDE_M = 574_920.0, 5_622_200.0, 160.0
FIRST_DAY, LAST_DAY = "2019-04-01", "2019-09-30"
EXCEL = "01_excel_timestamps/FLX_XX-Fld_FLUXNET2015_FULLSET_HH_2019-2019_1-4{}.csv"
WEEKS = "03_weekly_and_monthly_files/FLX_XX-Fld_FLUXNET2015_FULLSET_{}_2018-2019_1-4.csv"
MIDNIGHT = "05_midnight_without_time/FLX_XX-{}_FLUXNET2015_FULLSET_HH_2019-2019_1-4.csv"


@pytest.fixture(scope="module")
def cases(real_data):
    folder = real_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("cases not found beside the measured data")
    return folder


@pytest.fixture(scope="module")
def corner(real_data, tmp_path_factory):
    """The corner of the measured cube as a folder of NetCDF."""
    folder = tmp_path_factory.mktemp("corner")
    for kind in ("S2_L2A_10m", "S2_L2A_20m", "S1_GRD-ASCENDING_20m", "AgERA5_DAILY_1000m"):
        [path] = (real_data / "s1s2_daily_cubes" / CUBE).glob(f"{kind}_*.nc")
        with xr.open_dataset(path, mask_and_scale=False) as file:
            cut = file.sel(timestamp=slice(FIRST_DAY, LAST_DAY))
            if cut.sizes["x"] > 1:
                cut = cut.sel(x=slice(LEFT_M, LEFT_M + SIDE_M), y=slice(TOP_M, TOP_M - SIDE_M))
            for name in cut.variables:
                cut[name].attrs.pop("bounds", None)
            cut.to_netcdf(folder / path.name)
    return folder


@pytest.fixture(scope="module")
def store(corner, tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "corner"
    assert main(["embed", str(corner), "--out", str(path)]) == 0
    return path


@pytest.fixture
def run(capfd):
    """Runs a command; returns its exit code, what it printed and its error stream without progress."""

    def call(*arguments) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        lines = [line for line in re.split(r"[\r\n]+", err) if line.startswith("fluxlens: ")]
        return code, out, "\n".join(lines)

    return call


def refused(result, sentence: str) -> None:
    """The command ended with exit code 2 and one sentence."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.count("\n") == 0
    assert re.search(sentence, err), err


def read_rows(path) -> pd.DataFrame:
    return pd.read_csv(path, comment="#")


FOOTPRINTS = [
    (EXCEL.format(""), 1920, ""),
    (EXCEL.format("_saved_by_excel"), "1920 rows share 2 stamps such as 2.01905E.11", None),
    (MIDNIGHT.format("Fld"), 960, ""),
    (MIDNIGHT.format("Utc"), 480, "480 stamps .* carry an offset of zero"),
    ("06_ameriflux_base_zip/AMF_US-CRT_BASE_HH_2-5.csv", 53, ""),
    ("06_ameriflux_base_zip/downloads/AMF_US-CRT_BASE-BADM_2-5.zip", 53, ""),
    ("23_eddypro_fluxnet/eddypro_XX-Fld_fluxnet_2019-05-24T120000_adv.csv", 576, ""),
]


@pytest.mark.parametrize(("case", "right", "message"), FOOTPRINTS)
def test_a_footprint_has_all_half_hours_of_its_file(run, cases, store, tmp_path, case, right, message):
    out = tmp_path / "mean.csv"
    result = run("export", store, "--at", AT, "--tower", cases / case, "--height-m", 10, "--out", out)
    if isinstance(right, str):
        refused(result, right)
        return
    assert result[0] == 0
    assert re.search(message, result[2]) if message else not result[2]
    assert f"of {right} half-hours" in out.read_text()
    assert len(read_rows(out)) == 181


SCORES = [
    (EXCEL.format(""), dict(days=40, gpp="GPP_NT_VUT_REF", resolution="daily")),
    (EXCEL.format("_saved_by_excel"), "1920 rows share 2 stamps"),
    (
        "02_partitioning_that_is_there/EUF_XX-Dt1_FLUXNET_FLUXMET_DD_2018-2019_v1.3_r1.csv",
        dict(days=181, gpp="GPP_DT_VUT_REF"),
    ),
    (
        "02_partitioning_that_is_there/EUF_XX-Dt2_FLUXNET_FLUXMET_DD_2018-2019_v1.3_r1.csv",
        dict(days=181, gpp="GPP_DT_VUT_REF"),
    ),
    (WEEKS.format("DD"), dict(days=181, start=FIRST_DAY, end="2019-09-28")),
    (WEEKS.format("WW"), {"days": 175, "model.weekly.n": 25, "start": "2019-04-02", "end": "2019-09-23"}),
    (WEEKS.format("MM"), {"days": 153, "model.monthly.n": 5, "start": FIRST_DAY, "end": "2019-08-31"}),
    (MIDNIGHT.format("Fld"), dict(days=20)),
    (MIDNIGHT.format("Utc"), dict(days=10)),
    ("06_ameriflux_base_zip/AMF_US-CRT_BASE_HH_2-5.csv", "without GPP.*BASE serves for the footprint only"),
    ("08_fluxnet_zip_member_order/alphabetical_AMF_XX-Fld_FLUXNET_2018-2019_v1.3_r1.zip", dict(days=181)),
    ("08_fluxnet_zip_member_order/oneflux_order_AMF_XX-Fld_FLUXNET_2018-2019_v1.3_r1.zip", dict(days=181)),
    ("09_hourly_named_HH/FLX_XX-Hr1_FLUXDATAKIT_FULLSET_HH_2019_2019_2-3.csv", dict(days=30)),
    ("09_hourly_named_HH/FLX_XX-Hr1_FLUXNET2015_FULLSET_HR_2019-2019_1-4.csv", dict(days=30)),
    ("20_other_tower_formats/AU-Tum_2002-2017_OzFlux_Flux.nc", "GPP from 2019-01-01 to 2019-01-03 beside"),
    (
        "20_other_tower_formats/FLX_XX-Fld_FLUXDATAKIT_FULLSET_DD_2018_2019_2-3.csv.gz",
        "GPP from 2018-01-01 to 2018-03-01 beside",
    ),
    ("20_other_tower_formats/FLX_XX-Fld_FLUXNET-CH4_DD_2018-2019_1-1.csv", "a file of FLUXNET-CH4"),
    ("20_other_tower_formats/REddyProc_DB.txt", "REddyProc_DB.txt of 1 days, none of which has GPP in all"),
    ("20_other_tower_formats/dup_FLX_XX-Fld_DD_.csv", "the column TA_F 2 times"),
    ("23_eddypro_fluxnet/eddypro_XX-Fld_fluxnet_2019-05-24T120000_adv.csv", "EddyPro output without GPP"),
]


@pytest.mark.parametrize(("case", "right"), SCORES)
def test_a_tower_is_scored_on_the_days_it_has(run, cases, store, tmp_path, case, right):
    path = tmp_path / "scores.json"
    result = run("evaluate", "gpp", "--store", store, "--data", cases / case, "--at", AT, "--json", path)
    if isinstance(right, str):
        refused(result, right)
        return
    assert result[0] == 0
    scores = json.loads(path.read_text())
    assert {name: scores[name] for name in right} == right


@pytest.mark.parametrize(("kind", "printed"), [("WW", -5.23), ("MM", -3.77)])
def test_weeks_and_months_score_as_means_over_the_same_days(run, cases, store, tmp_path, kind, printed):
    daily = tmp_path / "daily.csv"
    assert run("export", store, "--at", AT, "--out", daily)[0] == 0
    rows = read_rows(daily)
    predicted = pd.Series(rows["gpp"].values, pd.to_datetime(rows["time"]))
    tower = pd.read_csv(cases / WEEKS.format(kind), dtype=str)
    if kind == "WW":
        first, last = (pd.to_datetime(tower[f"TIMESTAMP_{which}"]) for which in ("START", "END"))
    else:
        first = pd.to_datetime(tower["TIMESTAMP"], format="%Y%m")
        last = first + pd.offsets.MonthEnd(0)
    pairs = []
    for begin, end, measured in zip(first, last, tower["GPP_NT_VUT_REF"].astype(float), strict=True):
        days = predicted[begin:end]
        if len(days) == (end - begin).days + 1:
            pairs.append((measured, days.mean()))
    o, p = np.array(pairs).T
    right = 1 - ((o - p) ** 2).sum() / ((o - o.mean()) ** 2).sum()
    path = tmp_path / "scores.json"
    run("evaluate", "gpp", "--store", store, "--data", cases / WEEKS.format(kind), "--at", AT, "--json", path)
    scale = {"WW": "weekly", "MM": "monthly"}[kind]
    # Exported GPP is rounded to seven digits.
    assert json.loads(path.read_text())[f"model.{scale}.nse"] == pytest.approx(right, rel=1e-4)
    attrs = daily.read_text().split("\ntime")[0]
    if RELEASED_HEAD in attrs:
        assert right == pytest.approx(printed, abs=0.005)


RELEASED_HEAD = "gpp_head_digest: 03d1cd152aaa0a44"
"""Of the head whose scores stand in the list of cases; another head predicts other means of the same days."""


def test_in_a_folder_of_downloads_the_daily_file_is_taken(run, cases, tmp_path):
    path = tmp_path / "towers.yaml"
    assert run("catalog", "towers", cases / "06_ameriflux_base_zip/downloads", "--out", path)[0] == 0
    [entry] = yaml.safe_load(path.read_text())["sources"].values()
    assert entry["args"]["path"].endswith("AMF_US-CRT_FLUXNET_FULLSET_DD_2018-2019_3-5.csv")


@pytest.mark.parametrize(
    ("case", "site", "lat", "lon"),
    [
        ("excel_german.csv", "DE-Tha", 50.9626, 13.5651),
        ("excel_german.csv", "DE-Hai", 51.0792, 10.4522),
        ("fluxnet_site_info_all_falge.csv", "AR-Lac", -29.264, -61.028),
        ("sites_list_icos.csv", "AT-Fue", 47.367374, 11.854709),
        ("fluxnet_shuttle_snapshot_windows.csv", "AR-CCg", -35.9244, -61.1855),
        ("fluxnet_shuttle_snapshot_utf8.csv", "AR-CCg", -35.9244, -61.1855),
        ("AMF_XX-Qfo_BIF_cp1252.csv", "XX-Qfo", 49.6925, -74.3421),
        ("BIF_moved_tower.csv", "XX-Mov", 40.2, -88.2),
        ("ameriflux_site_search.tsv", "US-Ha1", 42.5378, -72.1715),
        ("fdk_site_info.csv", "AT-Neu", 47.116668701171875, 11.317500114440918),
    ],
)
def test_a_site_list_says_where_its_tower_stands(run, cases, tmp_path, case, site, lat, lon):
    name = f"FLX_{site}_FLUXNET2015_FULLSET_DD_2018-2019_1-4.csv"
    (tmp_path / name).write_bytes((cases / WEEKS.format("DD")).read_bytes())
    path = tmp_path / "towers.yaml"
    code, _, err = run(
        "catalog", "towers", tmp_path, "--sites", cases / "07_site_lists" / case, "--out", path
    )
    assert (code, err) == (0, "")
    tower = intake.open_catalog(str(path))[site].read()
    assert (tower.attrs["lat"], tower.attrs["lon"]) == (lat, lon)


CUBES = [
    ("10_cf_packing/add_offset", "10_cf_packing/plain", ""),
    ("10_cf_packing/other_step", "10_cf_packing/plain", ""),
    # Its dates are of another season than the plain file's: reflectance is compared below, embeddings cannot be.
    ("11_baseline_in_files/one_file_both_baselines", None, ""),
    ("13_topleft_coordinates/topleft", "10_cf_packing/plain", ""),
    ("13_topleft_coordinates/twenty_metre_off_by_10m", None, "10 m west and 10 m north"),
    ("15_agera5_of_cds/scene", "10_cf_packing/plain", ""),
    ("10_cf_packing/fill_65535", None, ""),
    ("12_s1_db_times_100/db100", "12_s1_db_times_100/plain", ""),
    ("12_s1_db_times_100/linear_noise_corrected", None, "1.6% of VV .* power of 0 or less"),
    ("19_one_cube/odc_stac_v2.zarr", "19_one_cube/odc_stac.nc", ""),
    ("19_one_cube/odc_stac_v3.zarr", "19_one_cube/odc_stac.nc", ""),
    ("19_one_cube/openeo", "19_one_cube/odc_stac.nc", ""),
]


@pytest.mark.parametrize(("case", "plain", "message"), CUBES)
def test_a_cube_is_embedded_as_its_plain_form(run, cases, tmp_path, case, plain, message):
    found = {}
    for name in filter(None, (case, plain)):
        store, rows = tmp_path / f"store{len(found)}", tmp_path / f"rows{len(found)}.csv"
        code, out, err = run("embed", cases / name, "--out", store)
        assert code == 0
        assert "16 x 16 pixels" in out
        if name == case:
            assert re.search(message, err) if message else not err
        assert run("export", store, "--at", AT, "--out", rows)[0] == 0
        found[name] = read_rows(rows)
    assert len(found[case])
    if plain:
        features = [column for column in found[plain] if re.fullmatch(r"e\d\d", column)]
        assert (found[case]["time"] == found[plain]["time"]).all()
        # Quantised steps: the float32 of another packing may fall on the other side of one.
        steps = np.abs(found[case][features] - found[plain][features]).to_numpy()
        assert np.median(steps) == 0
        assert steps.max() <= 0.05 * np.abs(found[plain][features].to_numpy()).max()


def test_the_baseline_of_each_date_is_that_of_the_date(cases):
    found, plain = (
        open_scene(cases / name)["s2"]["reflectance"].values
        for name in ("11_baseline_in_files/one_file_both_baselines", "10_cf_packing/plain")
    )
    assert np.abs(np.nanmean(found - plain, axis=(1, 2, 3))).max() < 5e-4


@pytest.fixture(scope="module")
def series(corner, tmp_path_factory):
    """The corner's middle pixel as a series table in the months of the weather tables."""
    s2 = open_scene(corner)["s2"].to_dataset().isel(x=8, y=8).load()
    table = pd.DataFrame(s2["reflectance"].values, columns=s2["band"].values.astype(str))
    dates = s2.indexes["time"].normalize() + pd.DateOffset(years=1)
    table = table.assign(id="p1", date=dates.strftime("%Y-%m-%d"), lon=4.0631, lat=50.746)
    path = tmp_path_factory.mktemp("series") / "s2.csv"
    table[s2["clear"].values].to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("excel_german.csv", "right.csv"),
        ("local_midnight_stamps.csv", "right.csv"),
        ("FLX_XX-Fld_FLUXNET2015_FULLSET_DD.csv", "right.csv"),
        ("radiation_MJ_per_day.csv", "it looks like MJ m-2 d-1"),
        ("vpd_kPa.csv", "it looks like kPa"),
        ("precip_m_of_era5.csv", r"it looks like m \(as ERA5"),
    ],
)
def test_gpp_with_a_weather_table_is_that_of_the_right_one(run, cases, series, tmp_path, name, right):
    folder = cases / "16_weather_tables"
    result = run("embed", series, "--weather", folder / name, "--out", tmp_path / "gpp.csv")
    if not right.endswith(".csv"):
        refused(result, right)
        return
    assert result[0] == 0
    assert run("embed", series, "--weather", folder / right, "--out", tmp_path / "right.csv")[0] == 0
    found, expected = (read_rows(tmp_path / one)["gpp"] for one in ("gpp.csv", "right.csv"))
    assert expected.max() > 5
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "names", "message"),
    [
        ("bom.csv", [""], ""),
        ("decimal_comma.csv", [""], "separates columns and decimals by commas"),
        ("excel_latin1.csv", ["Grünland"], ""),
        ("excel_semicolon.csv", ["plot A"], ""),
        ("excel_unicode_text.csv", [""], ""),
        ("extra_cell_no_header.csv", ["plot A", "plot B"], "has no header"),
        ("longitude_latitude.csv", ["plot A"], ""),
        ("one_outside.csv", ["in"], r"1 of 2 points lie outside the scene: left out \(out\)"),
        ("site_column.csv", ["XX-Fld", "XX-Fl2"], ""),
        ("trailing_empty_row.csv", ["plot A"], ""),
    ],
)
def test_points_are_exported_under_their_own_names(run, cases, store, tmp_path, name, names, message):
    out = tmp_path / "points.csv"
    code, _, err = run("export", store, "--points", cases / "17_points_tables" / name, "--out", out)
    assert code == 0
    assert re.search(message, err) if message else not err
    rows = read_rows(out)
    assert len(rows) == 181 * len(names)
    if names != [""]:
        assert list(rows["name"].unique()) == names
    assert rows.iloc[0][["lon", "lat"]].tolist() == pytest.approx([4.0631, 50.746], abs=6e-5)


@pytest.mark.parametrize(
    ("name", "pixels", "message"),
    [
        ("plain", {"f0": 25}, ""),
        ("crs84_multipolygon_3d", {"f0": 25}, ""),
        ("esri_bom", {"f0": 25}, ""),
        ("utm_with_crs_member", {"f0": 25}, ""),
        ("two_fields", {"f0": 25, "f1": 20}, ""),
        ("ndjson", {"1": 25, "2": 20}, ""),
        ("one_null_geometry", {"f1": 25}, r"no geometry: left out \(f0\)"),
        ("half_outside", {"f0": 40}, "inside: f0 43%"),
    ],
)
def test_a_polygon_has_the_pixels_of_the_plain_one(run, cases, store, tmp_path, name, pixels, message):
    out, path = tmp_path / "pixels.csv", cases / "18_polygons" / f"{name}.geojson"
    period = ("--start", "2019-05-01", "--end", "2019-05-01")
    code, _, err = run("export", store, "--polygon", path, *period, "--out", out)
    assert code == 0
    assert re.search(message, err) if message else not err
    assert read_rows(out)["name"].astype(str).value_counts().to_dict() == pixels
