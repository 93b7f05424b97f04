"""Towers whose years lie in several tables of one zip, and tables of REddyProc and of people."""

import zipfile

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import towers
from fluxlens.models.errors import DataWarning, InputError

DD = "ICOSETC_XX-Abc_FLUXNET_DD_{}-{}_L2.csv"


def days(first: str, last: str, step: str = "D") -> pd.DataFrame:
    index = pd.date_range(first, last, freq=step)
    gpp = 6 + 4 * np.sin(np.arange(len(index)) / 20)
    return pd.DataFrame(
        {"TIMESTAMP": index.strftime("%Y%m%d"), "GPP_NT_VUT_REF": gpp, "NEE_VUT_REF_QC": 1.0, "TA_F": 12.0}
    )


def pack(path, tables: dict[str, pd.DataFrame]):
    with zipfile.ZipFile(path, "w") as archive:
        for name, table in tables.items():
            archive.writestr(name, table.to_csv(index=False))
    return path


def test_years_of_one_product_in_a_zip_are_joined(tmp_path):
    years = {year: days(f"{year}-01-01", f"{year}-12-31") for year in (2020, 2018, 2019)}
    path = pack(tmp_path / "XX-Abc.zip", {DD.format(year, year): table for year, table in years.items()})
    tower = towers.read(path)
    whole = pd.concat([years[year] for year in (2018, 2019, 2020)])
    assert dict(tower.sizes) == {"time": 365 + 365 + 366}
    np.testing.assert_array_equal(tower.time.dt.strftime("%Y%m%d"), whole["TIMESTAMP"])
    np.testing.assert_allclose(tower["gpp_nt"], whole["GPP_NT_VUT_REF"])
    assert tower.attrs["source"].endswith("and 2 more")


def test_weeks_of_several_years_know_their_last_days(tmp_path):
    tables = {}
    for year in (2018, 2019):
        weeks = days(f"{year}-01-01", f"{year}-12-24", "7D").rename(columns={"TIMESTAMP": "TIMESTAMP_START"})
        ends = pd.to_datetime(weeks["TIMESTAMP_START"]) + pd.Timedelta("6D")
        ends.iloc[-1] = pd.Timestamp(year, 12, 31)
        weeks.insert(1, "TIMESTAMP_END", ends.dt.strftime("%Y%m%d"))
        tables[DD.replace("_DD_", "_WW_").format(year, year)] = weeks
    tower = towers.read(pack(tmp_path / "XX-Abc.zip", tables))
    right = pd.to_datetime(pd.concat([table["TIMESTAMP_END"] for table in tables.values()]))
    np.testing.assert_array_equal(tower["last_day"].values, right.values.astype("datetime64[ns]"))


def test_a_hole_between_years_is_told_and_stays_a_hole(tmp_path):
    tables = {DD.format(year, year): days(f"{year}-01-01", f"{year}-12-31") for year in (2015, 2019)}
    with pytest.warns(DataWarning, match="2 tables, joined, without rows between 2015-12-31 and 2019-01-01"):
        tower = towers.read(pack(tmp_path / "XX-Abc.zip", tables))
    assert int(tower["gpp_nt"].notnull().sum()) == 730
    assert bool(tower["gpp_nt"].sel(time=slice("2016-01-01", "2018-12-31")).isnull().all())


@pytest.mark.parametrize("why", ["overlap", "columns", "damaged"])
def test_years_that_cannot_be_joined_are_told(tmp_path, why):
    first, second = days("2018-01-01", "2018-12-31"), days("2019-01-01", "2019-12-31")
    message = r"1 are not read .*2019-2019_L2.csv \((other columns|cannot be read)\)"
    if why == "overlap":
        second = days("2018-12-01", "2019-12-31")
        message = r"2 tables .* overlap: 31 of 761 rows .* 31 of them with other values; only .* \(396 rows\) is read"
    elif why == "columns":
        second = second.drop(columns="TA_F")
    else:
        second = pd.DataFrame({"nothing": [1]})
    with pytest.warns(DataWarning, match=message):
        tower = towers.read(
            pack(tmp_path / "XX-Abc.zip", {DD.format(2018, 2018): first, DD.format(2019, 2019): second})
        )
    assert dict(tower.sizes) == {"time": 396 if why == "overlap" else 365}


@pytest.mark.parametrize("kind", ["days", "weeks"])
def test_years_that_repeat_rows_alike_are_joined_and_told(tmp_path, kind):
    step = {"days": "D", "weeks": "7D"}[kind]
    whole = days("2017-01-01", "2019-12-31", step)
    if kind == "weeks":
        ends = pd.to_datetime(whole["TIMESTAMP"]) + pd.Timedelta("6D")
        whole = whole.rename(columns={"TIMESTAMP": "TIMESTAMP_START"})
        whole.insert(1, "TIMESTAMP_END", ends.dt.strftime("%Y%m%d"))
    half, third = len(whole) // 2, len(whole) // 3
    name = DD if kind == "days" else DD.replace("_DD_", "_WW_")
    # One of them prints fewer digits.
    parts = {name.format(2017, 2018): whole[: half + 7].round(4), name.format(2018, 2019): whole[third:]}
    rows, again = half + 7 + len(whole) - third, half + 7 - third
    with pytest.warns(
        DataWarning, match=f"overlap: {again} of {rows} rows are of a time .* all alike: read once"
    ):
        tower = towers.read(spread(tmp_path, parts))
    np.testing.assert_allclose(tower["gpp_nt"], whole["GPP_NT_VUT_REF"], atol=1e-4)
    if kind == "weeks":
        np.testing.assert_array_equal(tower["last_day"].dt.strftime("%Y%m%d"), whole["TIMESTAMP_END"])


def test_of_two_versions_that_with_most_years_is_taken_and_told(tmp_path):
    name = "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_{}_{}.csv"
    files = {
        name.format("2015-2016", "1-3"): days("2015-01-01", "2016-12-31"),
        name.format("2016-2018", "2-4"): days("2016-01-01", "2018-12-31"),
    }
    with pytest.warns(
        DataWarning, match=r"1 sites .* several periods, of which one is taken: XX-Abc \(not 2015-2016"
    ):
        assert towers.files(spread(tmp_path / "periods", files))["XX-Abc"].name.endswith("2016-2018_2-4.csv")
    # The later version has fewer years.
    files[name.format("2012-2016", "1-3")] = days("2012-01-01", "2016-12-31")
    del files[name.format("2015-2016", "1-3")]
    with pytest.warns(DataWarning, match=r"several periods, of which one is taken: XX-Abc \(not 2016-2018\)"):
        assert towers.files(spread(tmp_path / "fewer", files))["XX-Abc"].name.endswith("2012-2016_1-3.csv")
    same = {name.format("2015-2016", version): days("2015-01-01", "2016-12-31").assign(V=version) for version in
            ("1-4", "1-3")}  # fmt: skip
    with pytest.warns(
        DataWarning, match=r"several versions, of which one is taken: .*_1-4.csv \(not .*_1-3.csv\)"
    ):
        assert towers.files(spread(tmp_path / "versions", same))["XX-Abc"].name.endswith("_1-4.csv")


def half_hours() -> pd.DataFrame:
    """Two days as REddyProc has them, stamped at the end of each half-hour."""
    ends = pd.date_range("2019-06-01 00:30", periods=96, freq="30min")
    gpp = np.clip(20 * np.sin(np.pi * ((np.arange(96) % 48) - 12) / 24), 0, None)
    return pd.DataFrame(
        {
            "DateTime": ends.strftime("%Y-%m-%d %H:%M:%S"), "NEE_uStar_fqc": np.tile([0, 0, 1, 2], 24),
            "GPP_uStar_f": gpp, "GPP_DT_uStar": gpp * 0.9, "Rg_f": 10 * gpp, "Tair_f": 15.0, "VPD_f": 7.0,
        }
    )  # fmt: skip


@pytest.mark.parametrize("scenario", ["uStar_", "U50_", ""])
def test_output_of_reddyproc_is_read(tmp_path, scenario):
    table = half_hours()
    mean = table["GPP_uStar_f"].iloc[:48].mean() * 1.0377
    names = {
        name: name.replace("uStar_", scenario).replace("_uStar", f"_{scenario}".rstrip("_")) for name in table
    }
    table.rename(columns=names).to_csv(tmp_path / "XX-Abc_reddyproc.csv", index=False)
    with pytest.warns(
        DataWarning, match="from 00:30 of the first day to midnight after the last: taken for the end"
    ):
        tower = towers.read(tmp_path / "XX-Abc_reddyproc.csv")
    assert dict(tower.sizes) == {"time": 2}
    np.testing.assert_allclose(tower["gpp_nt"], mean, rtol=1e-6)
    np.testing.assert_allclose(tower["gpp_dt"], mean * 0.9, rtol=1e-6)
    np.testing.assert_allclose(tower["qc"], 0.75)
    np.testing.assert_allclose(tower["tair"], 15)
    assert set(tower.data_vars) == {"gpp_nt", "gpp_dt", "qc", "sw_in", "tair", "vpd"}


def test_units_below_the_header_of_reddyproc_are_believed_and_days_without_are_refused(tmp_path):
    table = half_hours()
    units = dict.fromkeys(table, "-") | {"GPP_uStar_f": "umolm-2s-1", "GPP_DT_uStar": "umolm-2s-1"}
    path = tmp_path / "XX-Abc_reddyproc.txt"
    pd.concat([pd.DataFrame([units]), table]).to_csv(path, sep="\t", index=False)
    path = path.rename(tmp_path / "XX-Abc_reddyproc.csv")
    with pytest.warns(DataWarning, match="taken for the end"):
        assert towers.read(path).attrs["gpp_source_units"] == "umolm-2s-1 (told by the file)"
    table.assign(DateTime=pd.date_range("2019-06-01", periods=96).strftime("%Y-%m-%d")).to_csv(
        path, index=False
    )
    with pytest.raises(InputError, match="of days in no units, need them told"):
        towers.read(path)


def test_days_by_date_say_in_which_unit_they_are_taken(tmp_path):
    table = days("2019-01-01", "2019-12-31").rename(columns={"TIMESTAMP": "date"})
    table["date"] = pd.to_datetime(table["date"]).dt.strftime("%Y-%m-%d")
    table.insert(0, "sitename", "XX-Abc")
    table.to_csv(tmp_path / "XX-Abc_drivers.csv", index=False)
    with pytest.warns(DataWarning, match="taken for gC m-2 d-1; days of FluxDataKit are umol"):
        tower = towers.read(tmp_path / "XX-Abc_drivers.csv")
    np.testing.assert_allclose(tower["gpp_nt"], table["GPP_NT_VUT_REF"])


def test_half_hours_of_one_column_of_stamps_may_be_stamped_at_their_end(tmp_path):
    starts = pd.date_range("2019-06-01", periods=96, freq="30min")
    gpp = np.arange(96.0) % 48
    for shift, message in (
        (pd.Timedelta(0), None),
        (pd.Timedelta("30min"), "taken for the end of each step"),
    ):
        table = pd.DataFrame(
            {"TIMESTAMP": (starts + shift).strftime("%Y%m%d%H%M"), "GPP_NT_VUT_REF": gpp, "NEE_VUT_REF_QC": 0}
        )
        table.to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
        if message:
            with pytest.warns(DataWarning, match=message):
                tower = towers.read(tmp_path / "XX-Abc_HH.csv")
        else:
            tower = towers.read(tmp_path / "XX-Abc_HH.csv")
        np.testing.assert_allclose(tower["gpp_nt"], [23.5 * 1.0377] * 2)


def spread(folder, names: dict[str, pd.DataFrame]):
    for name, table in names.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
    return folder


NAMES_OF_YEARS = {
    "years twice": DD.replace("{}-{}", "{0}-{0}"),
    "one year": "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_{}.csv",
    "site and year": "XX-Abc_{}.csv",
    "a folder a year": "{}/XX-Abc_DD_.csv",
}


@pytest.mark.parametrize("name", NAMES_OF_YEARS.values(), ids=NAMES_OF_YEARS)
def test_a_file_per_year_in_one_folder_is_one_tower(tmp_path, name):
    years = {year: days(f"{year}-01-01", f"{year}-12-31") for year in (2020, 2018, 2019)}
    folder = spread(tmp_path / "XX", {name.format(year): table for year, table in years.items()})
    found = towers.files(folder)["XX-Abc"]
    for source in (folder, str(folder), found, [str(path) for path in reversed(found)]):
        tower = towers.read(source)
        assert dict(tower.sizes) == {"time": 365 + 365 + 366}
        whole = pd.concat([years[year] for year in (2018, 2019, 2020)])
        np.testing.assert_allclose(tower["gpp_nt"], whole["GPP_NT_VUT_REF"])
    assert tower.attrs["source"].endswith("and 2 more")


def test_a_zip_per_year_and_files_named_by_their_year_alone_are_one_tower(tmp_path):
    (tmp_path / "zips").mkdir()
    for year in (2018, 2019):
        table = days(f"{year}-01-01", f"{year}-12-31")
        pack(tmp_path / "zips" / f"FLX_XX-Abc_{year}-{year}.zip", {DD.format(year, year): table})
        spread(tmp_path / "years", {f"{year}.csv": table})
    for folder in ("zips", "years"):
        assert towers.read(tmp_path / folder).sizes["time"] == 730


def test_a_table_beside_the_zip_it_comes_from_is_read_once(tmp_path):
    table = days("2018-01-01", "2018-12-31")
    spread(tmp_path, {DD.format(2018, 2018): table})
    pack(tmp_path / "FLX_XX-Abc.zip", {DD.format(2018, 2018): table})
    assert towers.files(tmp_path)["XX-Abc"].name in ("FLX_XX-Abc.zip", DD.format(2018, 2018))
    assert towers.read(tmp_path).sizes["time"] == 365


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("FLX_XX-Abc_DD_2018.csv", "FLX_XX-Abd_DD_2018.csv"),
            "with files of 2 towers .XX-Abc, XX-Abd., need one",
        ),
        (("2018_a.csv", "2018_b.csv"), "without tower files"),
        ((), "without tower files"),
    ],
)
def test_a_folder_of_several_towers_or_none_is_refused(tmp_path, names, message):
    spread(tmp_path, {name: days("2018-01-01", "2018-12-31") for name in names})
    with pytest.raises(InputError, match=message):
        towers.read(tmp_path)
    with pytest.raises(InputError, match="empty list of tower files"):
        towers.read([])


def test_wind_of_all_years_makes_the_footprint(tmp_path):
    wind = {"WS_F": 3.0, "WD": 200.0, "USTAR": 0.3, "H_F_MDS": 50.0, "PA_F": 98.0}
    tables = {}
    for year, month in ((2018, 12), (2019, 1)):
        index = pd.date_range(f"{year}-{month:02d}-01", f"{year}-{month:02d}-31 23:30", freq="30min")
        table = pd.DataFrame({"TIMESTAMP_START": index.strftime("%Y%m%d%H%M"), **wind, "TA_F": 15.0})
        tables[f"FLX_XX-Abc_FLUXNET2015_FULLSET_HH_{year}-{year}_1-4.csv"] = table
    path = pack(tmp_path / "FLX_XX-Abc.zip", tables)
    spread(tmp_path / "folder", tables)
    for source in (path, tmp_path / "folder"):
        found = towers.turbulence(source)
        assert len(found) == 2 * 31 * 48
        assert sorted(set(found.index.year)) == [2018, 2019]


@pytest.mark.parametrize("style", ["%d. %m. %Y", "%Y%m%dT000000", "%Y%m%dT0000"])
def test_stamps_of_other_programs_are_the_days(tmp_path, style):
    table = days("2018-01-01", "2018-12-31")
    stamps = pd.to_datetime(table["TIMESTAMP"]).dt.strftime(style)
    spread(tmp_path, {DD.format(2018, 2018): table.assign(TIMESTAMP=stamps)})
    tower = towers.read(tmp_path / DD.format(2018, 2018))
    np.testing.assert_array_equal(tower.time.dt.strftime("%Y%m%d"), table["TIMESTAMP"])
