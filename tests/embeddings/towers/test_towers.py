"""Tower files open whatever the order of their columns, in one set of units, with what is missing as NaN."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import towers
from fluxlens.embeddings.scenes import schema
from fluxlens.models.errors import DataWarning, InputError

DAILY = "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2018-2018_1-4.csv"
HOURLY = "ICOSETC_XX-Abc_FLUXNET_HH_L2.csv"


def daily_table(days: int = 10) -> pd.DataFrame:
    """Ten days as FLUXNET writes them, with a gap and a negative night-time GPP."""
    rng = np.random.default_rng(0)
    stamps = pd.date_range("2018-06-01", periods=days).strftime("%Y%m%d").astype(int)
    table = pd.DataFrame({"TIMESTAMP": stamps, "TA_F_QC": 1.0, "NEE_VUT_REF": -3.0, "RECO_NT_VUT_REF": 4.0})
    for name, low, high in [
        ("GPP_NT_VUT_REF", 2, 12),
        ("GPP_DT_VUT_REF", 2, 12),
        ("GPP_NT_VUT_05", 1, 2),
        ("GPP_DT_VUT_95", 12, 13),
        ("NEE_VUT_REF_QC", 0, 1),
        ("SW_IN_F", 100, 300),
        ("TA_F", 5, 25),
        ("VPD_F", 1, 10),
        ("P_F", 0, 9),
    ]:
        table[name] = rng.uniform(low, high, days).round(5)
    table.loc[3, ["GPP_NT_VUT_REF", "TA_F"]] = -9999
    table.loc[4, "GPP_NT_VUT_REF"] = -0.3
    return table


def hourly_table(days: int = 3) -> pd.DataFrame:
    """Half-hours of constant GPP, 10 umol m-2 s-1; the last day has only eleven valid hours."""
    start = pd.date_range("2018-06-01", periods=48 * days, freq="30min")
    stamp = "%Y%m%d%H%M"
    table = pd.DataFrame(
        {
            "TIMESTAMP_START": start.strftime(stamp),
            "TIMESTAMP_END": (start + pd.Timedelta("30min")).strftime(stamp),
            "GPP_NT_VUT_REF": 10.0,
            "GPP_DT_VUT_REF": 9.0,
            "NEE_VUT_REF_QC": np.tile([0, 1, 2, 3], 12 * days),
            "SW_IN_F": 200.0,
            "TA_F": 15.0,
            "VPD_F": 8.0,
            "P_F": 0.1,
        }
    )
    table.loc[48 * (days - 1) + 22 :, "GPP_NT_VUT_REF"] = -9999
    return table


def test_a_daily_file_opens_in_the_units_of_the_contract(tmp_path):
    table = daily_table()
    table.to_csv(tmp_path / DAILY, index=False)
    tower = towers.read(tmp_path / DAILY)
    assert dict(tower.sizes) == {"time": 10}
    assert tower["time"].dtype == "datetime64[ns]"
    assert str(tower["time"].values[0])[:10] == "2018-06-01"
    valid = np.arange(10) != 3
    np.testing.assert_array_equal(tower["gpp_nt"][valid], table["GPP_NT_VUT_REF"][valid])
    np.testing.assert_array_equal(tower["gpp_dt"], table["GPP_DT_VUT_REF"])
    np.testing.assert_array_equal(tower["gpp_nt_05"], table["GPP_NT_VUT_05"])
    np.testing.assert_array_equal(tower["qc"], table["NEE_VUT_REF_QC"])
    assert tower["gpp_nt"].attrs["units"] == "gC m-2 d-1"
    assert [tower[name].attrs["units"] for name in schema.WEATHER] == ["W m-2", "degC", "hPa", "mm d-1"]
    assert tower.attrs["site"] == "XX-Abc"
    assert tower.attrs["resolution"] == "daily"


def test_missing_is_nan_and_negative_night_time_gpp_stays(tmp_path):
    daily_table().to_csv(tmp_path / DAILY, index=False)
    tower = towers.read(tmp_path / DAILY)
    assert np.isnan(tower["gpp_nt"][3])
    assert np.isnan(tower["tair"][3])
    assert float(tower["gpp_nt"][4]) == -0.3
    assert float(tower.min().to_array().min()) > -1


def test_the_order_of_columns_does_not_matter(tmp_path):
    table = daily_table()
    table.to_csv(tmp_path / DAILY, index=False)
    expected = towers.read(tmp_path / DAILY)
    (tmp_path / "shuffled").mkdir()
    for seed in range(3):
        mixed = table.sample(frac=1, axis="columns", random_state=seed).sample(frac=1, random_state=seed)
        mixed.to_csv(tmp_path / "shuffled" / DAILY, index=False)
        assert towers.read(tmp_path / "shuffled" / DAILY).identical(expected)


def test_quality_is_that_of_the_flux_and_not_the_first_one_in_the_file(tmp_path):
    table = daily_table()
    table.to_csv(tmp_path / DAILY, index=False)
    assert list(table.columns).index("TA_F_QC") < list(table.columns).index("NEE_VUT_REF_QC")
    np.testing.assert_array_equal(towers.read(tmp_path / DAILY)["qc"], table["NEE_VUT_REF_QC"])


def test_half_hours_become_days_in_grams_of_carbon(tmp_path):
    hourly_table().to_csv(tmp_path / HOURLY, index=False)
    with pytest.warns(DataWarning, match="1 of 3 days"):
        tower = towers.read(tmp_path / HOURLY)
    np.testing.assert_allclose(tower["gpp_nt"][:2], 10.377)
    np.testing.assert_allclose(tower["gpp_dt"], 9 * 1.0377)
    assert np.isnan(tower["gpp_nt"][2])
    np.testing.assert_allclose(tower["qc"], 0.5)
    np.testing.assert_allclose(tower["precip"], 4.8)
    np.testing.assert_allclose(tower["sw_in"], 200)
    assert (tower.attrs["resolution"], tower.attrs["source_resolution"]) == ("daily", "half-hourly")


def test_scattered_holes_leave_a_day_and_a_hole_at_noon_or_a_night_alone_does_not(tmp_path):
    table = hourly_table(4)
    table["GPP_NT_VUT_REF"] = 10.0
    table.loc[[3, 20, 21, 47], "GPP_NT_VUT_REF"] = -9999  # scattered
    table.loc[48 + 20 : 48 + 27, "GPP_NT_VUT_REF"] = -9999  # four hours around noon
    table.loc[96 + 12 : 96 + 35, "GPP_NT_VUT_REF"] = -9999  # the night's twelve hours are there
    table.to_csv(tmp_path / HOURLY, index=False)
    with pytest.warns(DataWarning, match="2 of 4 days"):
        tower = towers.read(tmp_path / HOURLY)
    np.testing.assert_allclose(tower["gpp_nt"], [10.377, np.nan, np.nan, 10.377])


def test_missing_flags_and_missing_fluxes_count_against_the_quality_of_a_day(tmp_path):
    table = hourly_table(2).assign(NEE_VUT_REF_QC=0, GPP_NT_VUT_REF=10.0)
    table.loc[:11, "NEE_VUT_REF_QC"] = -9999
    table.loc[[50, 60], "GPP_NT_VUT_REF"] = -9999
    table.to_csv(tmp_path / HOURLY, index=False)
    np.testing.assert_allclose(towers.read(tmp_path / HOURLY)["qc"], [36 / 48, 46 / 48])


def test_the_resolution_is_seen_where_the_name_does_not_tell(tmp_path):
    hourly_table(2).assign(GPP_NT_VUT_REF=10.0).to_csv(tmp_path / "mine.csv", index=False)
    daily_table().to_csv(tmp_path / "days.csv", index=False)
    assert towers.read(tmp_path / "mine.csv").attrs["source_resolution"] == "half-hourly"
    assert towers.read(tmp_path / "days.csv").attrs["source_resolution"] == "daily"


def test_weeks_and_months_are_kept_as_they_are(tmp_path):
    table = daily_table(6).rename(columns={"TIMESTAMP": "TIMESTAMP_START"})
    table["TIMESTAMP_START"] = pd.date_range("2018-01-01", periods=6, freq="7D").strftime("%Y%m%d")
    table.to_csv(tmp_path / DAILY.replace("_DD_", "_WW_"), index=False)
    weekly = towers.read(tmp_path / DAILY.replace("_DD_", "_WW_"))
    assert (weekly.sizes["time"], weekly.attrs["resolution"]) == (6, "weekly")
    table = daily_table(6).assign(TIMESTAMP=range(201801, 201807))
    table.to_csv(tmp_path / DAILY.replace("_DD_", "_MM_"), index=False)
    monthly = towers.read(tmp_path / DAILY.replace("_DD_", "_MM_"))
    assert str(monthly["time"].values[-1])[:7] == "2018-06"


def test_a_missing_day_is_a_gap_and_not_a_shorter_axis(tmp_path):
    daily_table().drop(index=5).to_csv(tmp_path / DAILY, index=False)
    tower = towers.read(tmp_path / DAILY)
    assert tower.sizes["time"] == 10
    assert np.isnan(tower["gpp_dt"][5])


def test_the_daily_file_of_a_zip_is_taken(tmp_path):
    with zipfile.ZipFile(tmp_path / "FLX_XX-Abc.zip", "w") as archive:
        archive.writestr(HOURLY, hourly_table().to_csv(index=False))
        archive.writestr("FLX_XX-Abc_FLUXNET2015_ERAI_DD_1989-2014_1-4.csv", "TIMESTAMP,TA_ERA\n20180101,1\n")
        archive.writestr(f"inside/{DAILY}", daily_table().to_csv(index=False))
    tower = towers.read(tmp_path / "FLX_XX-Abc.zip")
    assert tower.attrs["source"] == DAILY
    assert tower.sizes["time"] == 10


def test_a_constant_threshold_serves_where_the_varying_one_is_missing(tmp_path):
    table = daily_table().rename(columns=lambda name: name.replace("VUT", "CUT"))
    table.to_csv(tmp_path / DAILY, index=False)
    tower = towers.read(tmp_path / DAILY)
    assert tower.attrs["ustar_threshold"] == "CUT"
    assert {"gpp_nt", "gpp_dt", "qc"} <= set(tower)


def test_absent_columns_are_left_out(tmp_path):
    daily_table()[["TIMESTAMP", "GPP_NT_VUT_REF"]].to_csv(tmp_path / DAILY, index=False)
    assert list(towers.read(tmp_path / DAILY)) == ["gpp_nt"]


def test_other_separators_blanks_and_a_byte_order_mark_do_no_harm(tmp_path):
    text = daily_table().to_csv(index=False, sep=";").replace(";", " ; ")
    (tmp_path / DAILY).write_text(text, encoding="utf-8-sig")
    assert towers.read(tmp_path / DAILY).sizes["time"] == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (daily_table().drop(columns="TIMESTAMP").to_csv(index=False), "need a FLUXNET file with"),
        (daily_table().filter(regex="^(?!GPP)").to_csv(index=False), "without GPP, need GPP_NT_VUT_REF"),
        (daily_table().to_csv(index=False).replace("20180603", "never"), "stamps"),
        (daily_table().replace(20180603, 20181399).to_csv(index=False), "no date"),
        (daily_table().to_csv(index=False).replace("-0.3", "n.a"), "cells that are no numbers"),
        ("<html><body>Sign in</body></html>", "need a FLUXNET file"),
        ("", "need a FLUXNET file"),
        (bytes(range(256)) * 20, "need a FLUXNET file"),
        ("TIMESTAMP,GPP_NT_VUT_REF\n", "without rows"),
    ],
)
def test_what_is_no_tower_file_is_refused(tmp_path, content, message):
    path = tmp_path / DAILY
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        towers.read(path)
    assert "\n" not in str(caught.value)


def test_yearly_files_and_empty_places_are_refused(tmp_path):
    daily_table().to_csv(tmp_path / DAILY.replace("_DD_", "_YY_"), index=False)
    with pytest.raises(InputError, match="yearly"):
        towers.read(tmp_path / DAILY.replace("_DD_", "_YY_"))
    with pytest.raises(InputError, match="is no file"):
        towers.read(tmp_path / "absent.csv")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(InputError, match=r"without a \*_DD_\*\.csv"):
        towers.read(tmp_path / "empty.zip")


def test_a_damaged_zip_is_named(tmp_path):
    path = tmp_path / "FLX_XX-Abc.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(DAILY, daily_table().to_csv(index=False))
    content = bytearray(path.read_bytes())
    content[120:160] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged zip"):
        towers.read(path)


SITES = {
    "plain.txt": "XX-Abc,51.5,-3.25,GRA,fluxnet \nXX-Xyz,-15.4,23.2,DBF,fluxnet \n",
    "header.csv": "name,SITE_ID,Longitude,Latitude,IGBP\n"
    "Meadow,XX-Abc,-3.25,51.5,GRA\nWood,XX-Xyz,23.2,-15.4,DBF\n",
    "bif.csv": "SITE_ID,GROUP_ID,VARIABLE_GROUP,VARIABLE,DATAVALUE\n"
    + "".join(
        f"{site},{group},GRP,{name},{value}\n"
        for site, *values in [("XX-Abc", 51.5, -3.25, "GRA"), ("XX-Xyz", -15.4, 23.2, "DBF")]
        for group, (name, value) in enumerate(
            zip(("LOCATION_LAT", "LOCATION_LONG", "IGBP"), values, strict=True)
        )
    ),
    "points.geojson": json.dumps(
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {"site": site, "igbp": igbp},
                    "geometry": {"type": "Point", "coordinates": [lon, lat]},
                }
                for site, lat, lon, igbp in [("XX-Abc", 51.5, -3.25, "GRA"), ("XX-Xyz", -15.4, 23.2, "DBF")]
            ],
        }
    ),
}


@pytest.mark.parametrize("name", SITES)
def test_sites_come_from_many_kinds_of_tables(tmp_path, name):
    (tmp_path / name).write_text(SITES[name])
    table = towers.sites(tmp_path / name)
    assert list(table.index) == ["XX-Abc", "XX-Xyz"]
    assert table.loc["XX-Abc", ["lon", "lat", "igbp"]].tolist() == [-3.25, 51.5, "GRA"]
    daily_table().to_csv(tmp_path / DAILY, index=False)
    tower = towers.read(tmp_path / DAILY, table)
    assert (tower.attrs["lon"], tower.attrs["lat"], tower.attrs["igbp"]) == (-3.25, 51.5, "GRA")


def test_of_the_sheets_of_a_workbook_the_one_with_places_is_read_and_told(tmp_path, monkeypatch):
    path = tmp_path / "sites.xlsx"
    path.write_bytes(b"a workbook")
    place = {"site": ["XX-Abc"], "lat": ["51.5"], "lon": ["-3.25"]}
    sheets = {
        "Notes": pd.DataFrame({"note": ["made in May"]}),
        "Sites": pd.DataFrame(place),
        "Empty": pd.DataFrame(),
    }
    # Excel needs openpyxl, which is no dependency.
    monkeypatch.setattr(
        pd, "read_excel", lambda *_, **options: sheets if options["sheet_name"] is None else 1 / 0
    )
    with pytest.warns(DataWarning, match=r"of the 2 sheets of sites.xlsx, 'Sites' is read, not Notes"):
        assert towers.sites(path).loc["XX-Abc", ["lon", "lat"]].tolist() == [-3.25, 51.5]
    sheets["Old"] = pd.DataFrame(place)
    with pytest.raises(
        InputError, match=r"with 2 sheets of sites \(Sites, Old\), need one; save the one you mean"
    ):
        towers.sites(path)
    del sheets["Notes"], sheets["Old"]
    assert list(towers.sites(path).index) == ["XX-Abc"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "x,y\n1,2\n", "no table of sites"),
        ("a.csv", "site,latitude\nXX-Abc,51\n", "without lon"),
        ("a.csv", "site,lat,lon\nXX-Abc,151,3\n", "off the globe"),
        ("a.geojson", "{}", "no table of sites"),
        ("a.geojson", "{", "no table of sites"),
    ],
)
def test_wrong_site_tables_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        towers.sites(tmp_path / name)


@pytest.mark.real
def test_an_official_file(real_data):
    folder = real_data / "flux_fluxnet2015"
    (path,) = folder.glob("FLX_US-Tw1_*_DD_*.csv")
    tower = towers.read(path, towers.sites(folder / "allflux_metadata.txt"))
    raw = pd.read_csv(path, usecols=["TIMESTAMP", "GPP_NT_VUT_REF", "NEE_VUT_REF_QC", "SW_IN_F"])
    assert tower.sizes["time"] == len(raw) == 1096
    np.testing.assert_array_equal(tower["gpp_nt"], raw["GPP_NT_VUT_REF"].where(raw["GPP_NT_VUT_REF"] > -9999))
    np.testing.assert_array_equal(tower["qc"], raw["NEE_VUT_REF_QC"])
    assert float(tower["gpp_nt"].min()) < 0
    assert tower.attrs["site"] == "US-Tw1"
    assert tower.attrs["igbp"] == "WET"
    assert (tower.attrs["lon"], tower.attrs["lat"]) == (-121.6469, 38.1074)
    assert {f"gpp_{kind}_{share}" for kind in ("nt", "dt") for share in schema.GPP_PERCENTILES} <= set(tower)


def windy_table() -> pd.DataFrame:
    return hourly_table().assign(WS_F=3.0, WD=200.0, USTAR=0.4, H_F_MDS=100.0, PA_F=101.325)


def test_wind_and_turbulence_come_from_the_half_hours(tmp_path):
    windy_table().to_csv(tmp_path / HOURLY, index=False)
    found = towers.turbulence(tmp_path / HOURLY)
    assert list(found.columns) == ["wind", "direction", "ustar", "obukhov"]
    # -rho cp T u*^3 / (k g H), by hand
    density = 101325 / (287.05 * 288.15)
    assert found["obukhov"].iloc[0] == pytest.approx(-density * 1005 * 288.15 * 0.064 / (0.4 * 9.81 * 100))
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.writestr(DAILY, daily_table().to_csv(index=False))
        archive.writestr(HOURLY, windy_table().drop(columns="PA_F").to_csv(index=False))
    np.testing.assert_allclose(towers.turbulence(tmp_path / "both.zip")["obukhov"], found["obukhov"])


def test_no_heat_flux_is_neutral_air_and_not_a_division_by_zero(tmp_path):
    windy_table().assign(H_F_MDS=0.0).to_csv(tmp_path / HOURLY, index=False)
    assert (towers.turbulence(tmp_path / HOURLY)["obukhov"].abs() > 1e6).all()


def test_turbulence_needs_half_hours_with_wind(tmp_path):
    daily_table().to_csv(tmp_path / DAILY, index=False)
    with pytest.raises(InputError, match="half-hourly"):
        towers.turbulence(tmp_path / DAILY)
    hourly_table().to_csv(tmp_path / HOURLY, index=False)
    with pytest.raises(InputError, match="without WS_F, WD"):
        towers.turbulence(tmp_path / HOURLY)
