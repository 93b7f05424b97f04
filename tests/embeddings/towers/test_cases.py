"""Tower files in the shapes people have them give the right value or one sentence; 0 of them a silent wrong one."""

import contextlib
import gzip
import tracemalloc
import warnings
import zipfile

import netCDF4
import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import catalog, towers
from fluxlens.embeddings.evaluation import gpp_at_tower
from fluxlens.models.errors import DataWarning, InputError

DAILY = "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2019-2019_1-4.csv"
HALF_HOURLY = DAILY.replace("_DD_", "_HH_")


def days(count: int = 30, **columns) -> pd.DataFrame:
    """Daily rows with GPP of 1, 2, 3 ..."""
    stamps = pd.date_range("2019-05-12", periods=count).strftime("%Y%m%d")
    table = pd.DataFrame(
        {"TIMESTAMP": stamps, "NEE_VUT_REF_QC": 1.0, "GPP_NT_VUT_REF": np.arange(count) % 30 + 1.0}
    )
    return table.assign(GPP_DT_VUT_REF=table["GPP_NT_VUT_REF"] + 0.5, **columns)


def half_hours(count: int = 4, minutes: int = 30, **columns) -> pd.DataFrame:
    """Rows of a few days with GPP of 10 umol m-2 s-1, wind and turbulence."""
    start = pd.date_range("2019-05-12", periods=count * 1440 // minutes, freq=f"{minutes}min")
    table = pd.DataFrame({"TIMESTAMP_START": start.strftime("%Y%m%d%H%M")})
    table["TIMESTAMP_END"] = (start + pd.Timedelta(minutes=minutes)).strftime("%Y%m%d%H%M")
    table = table.assign(NEE_VUT_REF_QC=0, GPP_NT_VUT_REF=10.0, GPP_DT_VUT_REF=9.0, P_F=0.2)
    return table.assign(WS=3.0, WD=200.0, USTAR=0.4, H=100.0, TA=15.0, **columns)


def write(path, table: pd.DataFrame, **options):
    """The table as CSV; returns the path."""
    table.to_csv(path, index=False, **options)
    return path


def test_stamps_rounded_by_a_spreadsheet_are_refused_with_their_count(tmp_path):
    path = write(tmp_path / HALF_HOURLY, half_hours().assign(TIMESTAMP_START="2.01905E+11"))
    for read in (towers.read, towers.turbulence):
        with pytest.raises(InputError, match="192 rows share 1 stamps such as 2"):
            read(path)


STYLES = {
    "digits": "%Y%m%d%H%M",
    "seconds": "%Y%m%d%H%M%S",
    "iso": "%Y-%m-%d %H:%M:%S",
    "iso with T": "%Y-%m-%dT%H:%M",
    "german": "%d.%m.%Y %H:%M",
    "american": "%m/%d/%Y %H:%M",
    "british": "%d/%m/%Y %H:%M",
    "twelve hours": "%m/%d/%Y %I:%M %p",
    "month in words": "%d-%b-%Y %H:%M:%S",
}


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_stamps_in_the_usual_styles_are_the_same_times(tmp_path, style):
    table = half_hours(4)
    expected = towers.read(write(tmp_path / HALF_HOURLY, table))
    start = pd.to_datetime(table["TIMESTAMP_START"], format="%Y%m%d%H%M")
    table = table.assign(TIMESTAMP_START=start.dt.strftime(style)).drop(columns="TIMESTAMP_END")
    assert towers.read(write(tmp_path / HALF_HOURLY, table)).identical(expected)


@pytest.mark.parametrize(
    ("style", "first"),
    [
        ("%m/%d/%y %H:%M", "05/12/19 00:00"),
        ("%d.%m.%y %H:%M", "12.05.19 00:00"),
        ("%d-%b-%y %H:%M", "12-May-19 00:00"),
    ],
)
def test_years_of_two_digits_are_told(tmp_path, style, first):
    table = half_hours()
    start = pd.to_datetime(table["TIMESTAMP_START"], format="%Y%m%d%H%M")
    styled = table.drop(columns="TIMESTAMP_END").assign(TIMESTAMP_START=start.dt.strftime(style))
    styled.to_csv(tmp_path / HALF_HOURLY, index=False)
    with pytest.warns(DataWarning, match=f"have two digits, such as {first}: read as 2019-05-12; write four"):
        found = towers.read(tmp_path / HALF_HOURLY)
    table.to_csv(tmp_path / "XX-Abc_HH.csv", index=False)
    np.testing.assert_array_equal(found["time"], towers.read(tmp_path / "XX-Abc_HH.csv")["time"])


def test_midnight_may_lack_its_time(tmp_path):
    start = pd.date_range("2019-05-12", periods=192, freq="30min").astype(str)
    table = half_hours(4).assign(TIMESTAMP_START=start.str.replace(" 00:00:00", ""))
    path = write(tmp_path / HALF_HOURLY, table)
    assert len(towers.turbulence(path)) == 192
    assert towers.read(path)["gpp_nt"].notnull().sum() == 4


def test_an_offset_of_zero_is_told_and_summer_time_is_moved_to_standard_time(tmp_path):
    start = pd.date_range("2019-05-12", periods=192, freq="30min").astype(str)
    path = write(tmp_path / HALF_HOURLY, half_hours(4).assign(TIMESTAMP_START=start + "+00:00"))
    with pytest.warns(DataWarning, match="192 stamps .* offset of zero"):
        assert len(towers.turbulence(path)) == 192
    local = pd.date_range("2019-03-30", periods=192, freq="30min", tz="UTC").tz_convert("Europe/Berlin")
    path = write(tmp_path / HALF_HOURLY, half_hours(4).assign(TIMESTAMP_START=local.astype(str)))
    with pytest.warns(DataWarning, match="in summer time are moved"):
        found = towers.turbulence(path)
    assert str(found.index[0]) == "2019-03-30 01:00:00"
    assert (np.diff(found.index) == np.timedelta64(30, "m")).all()


def test_repeated_stamps_are_told_with_their_count(tmp_path):
    table = pd.concat([days(), days().tail(3)])
    with pytest.warns(DataWarning, match="3 rows .* repeat a stamp, all alike"):
        assert towers.read(write(tmp_path / DAILY, table)).sizes["time"] == 30
    table = pd.concat([days(), days().tail(2).assign(GPP_NT_VUT_REF=0.0)])
    with pytest.warns(DataWarning, match="2 of them with other values"):
        assert float(towers.read(write(tmp_path / DAILY, table))["gpp_nt"][-1]) == 30
    with pytest.raises(InputError, match="30 rows share 1 stamps"):
        towers.read(write(tmp_path / DAILY, days().assign(TIMESTAMP="20190512")))


def test_stamps_that_are_no_dates_are_refused_with_their_count(tmp_path):
    table = days()
    table.loc[[3, 5], "TIMESTAMP"] = "20191399"
    with pytest.raises(InputError, match="2 of 30 stamps that are no date, such as '20191399'"):
        towers.read(write(tmp_path / DAILY, table))


def test_rows_of_empty_cells_at_the_end_hold_nothing(tmp_path):
    path = write(tmp_path / DAILY, days())
    path.write_text(path.read_text() + ",,,\n\n,,,\n")
    assert towers.read(path).sizes["time"] == 30


def test_the_stamps_say_the_step_and_not_the_name(tmp_path):
    for minutes, name in ((60, "hourly"), (30, "half-hourly"), (10, "10-minute")):
        tower = towers.read(write(tmp_path / HALF_HOURLY, half_hours(6, minutes)))
        assert tower.attrs["source_resolution"] == name
        np.testing.assert_allclose(tower["precip"], 0.2 * 1440 / minutes)
        np.testing.assert_allclose(tower["gpp_nt"], [10.377] * 6)
    tower = towers.read(write(tmp_path / DAILY, half_hours(6)))
    assert tower.attrs["source_resolution"] == "half-hourly"
    tower = towers.read(write(tmp_path / HALF_HOURLY, days()))
    assert (tower.attrs["source_resolution"], float(tower["gpp_nt"][4])) == ("daily", 5.0)


COLUMNS = [
    f"GPP_{method}_{kind}_{variant}"
    for method in ("NT", "DT")
    for kind in ("VUT", "CUT")
    for variant in ("REF", "MEAN", "50")
]


@pytest.mark.parametrize("column", COLUMNS)
def test_the_column_that_has_data_is_taken_and_named(tmp_path, column):
    table = days()[["TIMESTAMP", "NEE_VUT_REF_QC"]].assign(**dict.fromkeys(COLUMNS, -9999))
    table[column] = 7.0
    tower = towers.read(write(tmp_path / DAILY, table))
    flux = f"gpp_{column[4:6].lower()}"
    assert [name for name in tower if str(name) in ("gpp_nt", "gpp_dt")] == [flux]
    assert (tower[flux] == 7).all()
    assert tower[flux].attrs["source_column"] == column
    assert tower.attrs["ustar_threshold"] == column[7:10]


def test_gpp_that_is_all_missing_is_said_to_be(tmp_path):
    table = days().assign(GPP_NT_VUT_REF=-9999, GPP_DT_VUT_REF=-9999)
    with pytest.raises(InputError, match="is missing in all 30 rows"):
        towers.read(write(tmp_path / DAILY, table))


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    path = write(tmp_path / DAILY, days())
    path.write_text(path.read_text().replace("GPP_DT_VUT_REF", "GPP_NT_VUT_REF"))
    with pytest.raises(InputError, match="GPP_NT_VUT_REF 2 times"):
        towers.read(path)


def test_a_quality_that_is_all_missing_is_told(tmp_path):
    with pytest.warns(DataWarning, match="cannot be filtered by quality"):
        assert "qc" not in towers.read(write(tmp_path / DAILY, days().assign(NEE_VUT_REF_QC=-9999)))


def test_units_are_those_the_file_tells_or_those_of_its_kind(tmp_path):
    name = DAILY.replace("FLUXNET2015", "FLUXDATAKIT")
    tower = towers.read(write(tmp_path / name, days()))
    np.testing.assert_allclose(tower["gpp_nt"], (np.arange(30) + 1) * 1.0377)
    assert tower.attrs["gpp_source_units"] == "umol m-2 s-1 (FluxDataKit's daily means)"
    header, rest = days().to_csv(index=False).split("\n", 1)
    (tmp_path / name).write_text(f"{header}\n-,-,gC m-2 d-1,gC m-2 d-1\n{rest}")
    tower = towers.read(tmp_path / name)
    np.testing.assert_allclose(tower["gpp_nt"], np.arange(30) + 1)
    assert "told by the file" in tower.attrs["gpp_source_units"]
    (tmp_path / name).write_text(f"{header}\n-,-,furlongs,furlongs\n{rest}")
    with pytest.raises(InputError, match="furlongs"):
        towers.read(tmp_path / name)


@pytest.mark.parametrize(
    ("columns", "looks_like"),
    [
        ({"TA_F": 290.0}, "K, not degC"),
        ({"TA_F": 18.0, "SW_IN_F": 19.0}, "MJ m-2 d-1"),
        ({"TA_F": 18.0, "VPD_F": 0.8}, "kPa, not hPa"),
        ({"VPD_F": 800.0}, "Pa, not hPa"),
        ({"P_F": 0.001}, "m or mm s-1"),
        ({"GPP_NT_VUT_REF": 0.01}, "kg or mol"),
    ],
)
def test_numbers_in_other_units_are_told_with_the_unit_they_look_like(tmp_path, columns, looks_like):
    with pytest.warns(DataWarning, match=looks_like):
        towers.read(write(tmp_path / DAILY, days(90).assign(**columns)))


def test_gpp_no_vegetation_reaches_is_refused(tmp_path):
    with pytest.raises(InputError, match="no vegetation passes"):
        towers.read(write(tmp_path / DAILY, days(90, GPP_NT_VUT_REF=500.0).assign(GPP_NT_VUT_REF=500.0)))


def zip_of(path, members: dict[str, str]):
    """A zip with those members, in that order; returns the path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_the_order_of_members_does_not_matter(tmp_path):
    stem = "AMF_XX-Abc_FLUXNET_{}_2019-2019_v1.3_r1.csv"
    note = "SITE_ID,GROUP_ID,VARIABLE_GROUP,VARIABLE,DATAVALUE\nXX-Abc,1,GRP,A,B\n"
    members = {
        stem.format("BIFVARINFO_DD"): note,
        stem.format("BIF"): note,
        stem.format("ERA5_DD"): "TIMESTAMP,TA_ERA\n20190101,1\n",
        "AMF_XX-Abc_BASE_HH_2-5.csv": half_hours().filter(regex="^(?!GPP)").to_csv(index=False),
        "nested/" + stem.format("FLUXMET_DD"): days().to_csv(index=False),
    }
    for turn in range(len(members)):
        names = list(members)[turn:] + list(members)[:turn]
        path = zip_of(tmp_path / "AMF_XX-Abc.zip", {name: members[name] for name in names})
        assert towers.read(path).attrs["source"] == stem.format("FLUXMET_DD")
        assert len(towers.turbulence(path)) == 192


def test_a_zip_of_several_towers_is_refused(tmp_path):
    text = days().to_csv(index=False)
    path = zip_of(tmp_path / "all.zip", {DAILY: text, DAILY.replace("XX-Abc", "XX-Def"): text})
    with pytest.raises(InputError, match="2 towers in it"):
        towers.read(path)


def test_gzip_reads_as_the_file_in_it(tmp_path):
    path = write(tmp_path / DAILY, days())
    with gzip.open(tmp_path / (DAILY + ".gz"), "wb") as stream:
        stream.write(path.read_bytes())
    assert towers.read(tmp_path / (DAILY + ".gz")).identical(towers.read(path))
    (tmp_path / (DAILY + ".gz")).write_bytes((tmp_path / (DAILY + ".gz")).read_bytes()[:60])
    with pytest.raises(InputError, match="damaged zip or gz"):
        towers.read(tmp_path / (DAILY + ".gz"))


def base_table() -> str:
    """AmeriFlux BASE: comments, positions of sensors, an empty column beside a measured one."""
    table = half_hours(2).drop(columns=["GPP_NT_VUT_REF", "GPP_DT_VUT_REF", "NEE_VUT_REF_QC"])
    table = table.rename(columns={"WS": "WS_1_2_1", "TA": "TA_1_1_1", "H": "H_PI_F_1_1_1"})
    table = table.assign(WS_1_1_1=3.0, WS_2_1_1=9.0, TA=-9999, V_SIGMA=0.8, PA=99.0)
    table.loc[:42, ["WS_1_1_1", "WS_1_2_1", "WS_2_1_1", "WD", "USTAR", "H_PI_F_1_1_1"]] = -9999
    return "# Site: XX-Abc,,,\n# Version: 2-5,,,\n" + table.to_csv(index=False)


def test_ameriflux_base_serves_for_the_footprint(tmp_path):
    name = "AMF_XX-Abc_BASE_HH_2-5.csv"
    path = zip_of(
        tmp_path / "AMF_XX-Abc_BASE-BADM_2-5.zip", {name: base_table(), "AMF_XX-Abc_BIF_2020.xlsx": ""}
    )
    found = towers.turbulence(path)
    assert len(found) == 53
    assert (found["wind"] == 3).all()
    assert (found["sigma_v"] == 0.8).all()
    with pytest.raises(InputError, match="BASE serves for the footprint only"):
        towers.read(path)


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"GPP_PI": 10.0}, "GPP_PI"),
        ({"GPP_PI": -9999, "GPP_PI_F": 10.0}, "GPP_PI_F"),
        ({"GPP_PI_2_1_1": 99.0, "GPP_PI_1_1_1": 10.0}, "GPP_PI_1_1_1"),
        ({"GPP_PI_1": 99.0, "GPP_PI_F_1_1_A": 10.0}, "GPP_PI_F_1_1_A"),
        ({"GPP": 10.0, "RECO_PI": 99.0}, "GPP"),
    ],
)
def test_gpp_of_the_team_is_read_from_base_in_its_unit_and_named(tmp_path, columns, chosen):
    table = half_hours(3).drop(columns=["GPP_NT_VUT_REF", "GPP_DT_VUT_REF", "NEE_VUT_REF_QC", "P_F"])
    table = table.rename(columns={"TA": "TA_1_1_1"}).assign(P=0.2, VPD_PI=5.0, SW_IN_2_1_1=300.0, **columns)
    path = tmp_path / "AMF_XX-Abc_BASE_HH_2-5.csv"
    path.write_text(f"# Site: XX-Abc,,,\n# Version: 2-5,,,\n{table.to_csv(index=False)}")
    with pytest.warns(DataWarning, match=rf"is {chosen}, as the site's team partitioned it"):
        tower = towers.read(path)
    # 1 umol m-2 s-1 over a day: 86400 s x 12.011 g mol-1 x 1e-6.
    np.testing.assert_allclose(tower["gpp_nt"], [10 * 1.0377] * 3, rtol=1e-4)
    assert tower["gpp_nt"].attrs["source_column"] == chosen
    assert tower.attrs["gpp_source_units"] == "umol m-2 s-1 (AmeriFlux BASE)"
    np.testing.assert_allclose(
        [tower[name][1] for name in ("sw_in", "tair", "vpd", "precip")], [300, 15, 5, 9.6]
    )
    # The site's FLUXNET file comes first where there is one, alone BASE serves.
    assert towers.files(tmp_path) == {"XX-Abc": path}
    daily = write(tmp_path / "AMF_XX-Abc_FLUXNET_FULLSET_DD_2019-2019_3-5.csv", days())
    assert towers.files(tmp_path) == {"XX-Abc": daily}


def test_gpp_of_no_told_unit_and_no_known_kind_is_refused(tmp_path):
    path = write(tmp_path / "XX-Abc_my_days.csv", days()[["TIMESTAMP"]].assign(GPP=4.0))
    with pytest.raises(InputError, match="with GPP in no units"):
        towers.read(path)
    header, rest = path.read_text().split("\n", 1)
    path.write_text(f"{header}\n-,gC m-2 d-1\n{rest}")
    with pytest.warns(DataWarning, match="is GPP, as the site's team"):
        assert (towers.read(path)["gpp_nt"] == 4).all()


def test_in_a_folder_of_downloads_fluxnet_comes_before_base(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    base = zip_of(tmp_path / "AMF_XX-Abc_BASE-BADM_2-5.zip", {"AMF_XX-Abc_BASE_HH_2-5.csv": base_table()})
    daily = write(deep / "AMF_XX-Abc_FLUXNET_FULLSET_DD_2019-2019_3-5.csv", days())
    assert towers.files(tmp_path) == {"XX-Abc": daily}
    (tmp_path / "AMF_XX-Def_BASE-BADM_1-5.zip").write_bytes(base.read_bytes())
    (tmp_path / "FLX_XX-Bad_FLUXNET2015_FULLSET_2019.zip").write_bytes(base.read_bytes()[:-30])
    with pytest.warns(
        DataWarning, match=r"2 sites .* left out: XX-Def \(AmeriFlux BASE.*XX-Bad \(a damaged zip"
    ):
        assert list(towers.files(tmp_path)) == ["XX-Abc"]
    with pytest.warns(DataWarning, match="left out"):
        assert "AMF_XX-Abc_FLUXNET_FULLSET_DD" in catalog.towers_catalog(tmp_path, tmp_path)


def eddypro(full_output: bool = False) -> str:
    """EddyPro's two kinds of output for two days."""
    table = half_hours(2).drop(columns=["GPP_NT_VUT_REF", "GPP_DT_VUT_REF", "NEE_VUT_REF_QC"])
    if not full_output:
        table = table.rename(columns={"TA": "TA_EP"}).assign(DOY_START=132.0, MO_LENGTH=-30.0, TA_1_1_1=-9999)
        return table.assign(V_SIGMA=0.8, PA_EP=101.2, FILENAME_HF="x.ghg").to_csv(index=False)
    end = pd.to_datetime(table["TIMESTAMP_END"], format="%Y%m%d%H%M")
    full = pd.DataFrame(
        {"filename": "x.ghg", "date": end.dt.strftime("%Y-%m-%d"), "time": end.dt.strftime("%H:%M")}
    )
    full = full.assign(DOY=132.0, H=100.0, wind_speed=3.0, wind_dir=200.0)
    full["u*"], full["v_var"], full["air_temperature"], full["air_pressure"] = 0.4, 0.64, 288.15, 101200.0
    units = ",[yyyy-mm-dd],[HH:MM],[ddd.ddd],[W+1m-2],[m+1s-1],[deg_from_north],[m+1s-1],[m+2s-2],[K],[Pa]"
    header, rest = full.to_csv(index=False).split("\n", 1)
    return f"file_info,,,,corrected_fluxes\n{header}\n{units}\n{rest}"


def test_both_outputs_of_eddypro_give_the_same_turbulence(tmp_path):
    (tmp_path / "eddypro_XX-Abc_fluxnet_adv.csv").write_text(eddypro())
    (tmp_path / "eddypro_XX-Abc_full_output_adv.csv").write_text(eddypro(full_output=True))
    one = towers.turbulence(tmp_path / "eddypro_XX-Abc_fluxnet_adv.csv")
    other = towers.turbulence(tmp_path / "eddypro_XX-Abc_full_output_adv.csv")
    assert len(one) == 96
    pd.testing.assert_frame_equal(one, other[one.columns], check_freq=False)
    with pytest.raises(InputError, match="EddyPro output without GPP"):
        towers.read(tmp_path / "eddypro_XX-Abc_fluxnet_adv.csv")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("db.txt", "Year\tDoY\tHour\tNEE_uStar_f\n-\t-\t-\t-\n2019\t132\t0.5\t2.1\n", "a REddyProc text"),
        ("FLX_XX-Abc_FLUXNET-CH4_DD_2018-2019_1-1.csv", "TIMESTAMP,GPP_NT\n20190101,1\n", "FLUXNET-CH4"),
        ("bif.csv", "SITE_ID,GROUP_ID,VARIABLE_GROUP,VARIABLE,DATAVALUE\nXX-Abc,1,G,V,1\n", "a BIF"),
        (DAILY, "TIMESTAMP,GPP_f\n20190101,1\n", "GPP_F in no units"),
        (DAILY, "TIMESTAMP,GPP_uStar_f\n20190101,1\n", "whose columns of GPP are GPP_USTAR_F"),
    ],
)
def test_other_formats_are_named_for_what_they_are(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        towers.read(tmp_path / name)


def netcdf(path, units: str | None = "umol/m2/s", steps: int = 144, **variables):
    """A PLUMBER2 file: (time, y, x), seconds since its start."""
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("time", steps)
        data.createDimension("y", 1)
        data.createDimension("x", 1)
        time = data.createVariable("time", "f8", ("time",))
        time.units = "seconds since 2019-05-12 00:00:00"
        time[:] = np.arange(steps) * 1800.0
        for name, value in {"latitude": -35.5, "longitude": 148.25}.items():
            data.createVariable(name, "f4", ("y", "x"))[:] = value
        for name, (value, unit) in {"GPP": (10.0, units), **variables}.items():
            variable = data.createVariable(name, "f4", ("time", "y", "x"), fill_value=-9999.0)
            variable[:] = value
            if unit is not None:
                variable.units = unit
        data.site_code, data.IGBP_veg_short = "AU-Tum", "EBF"
    return path


def test_plumber2_netcdf_is_read_with_its_units_quality_and_place(tmp_path):
    path = netcdf(
        tmp_path / "AU-Tum_2002-2017_OzFlux_Flux.nc",
        NEE_qc=(np.tile([0, 1, 2, 0], 36).reshape(-1, 1, 1), "-"),
        Tair=(288.15, "K"),
        VPD=(0.8, "kPa"),
        Precip=(1e-4, "kg/m2/s"),
        SWdown=(200.0, "W/m2"),
    )
    tower = towers.read(path)
    np.testing.assert_allclose(tower["gpp_nt"], [10.377] * 3)
    np.testing.assert_allclose(tower["qc"], 0.75)
    expected = {"tair": 15, "vpd": 8, "precip": 8.64, "sw_in": 200}
    np.testing.assert_allclose(
        [float(tower[name].mean()) for name in expected], list(expected.values()), rtol=1e-4
    )
    assert (tower.attrs["site"], tower.attrs["igbp"], tower.attrs["lat"], tower.attrs["lon"]) == (
        ("AU-Tum", "EBF", -35.5, 148.25)
    )
    assert tower["gpp_nt"].attrs["source_column"] == "GPP"


WIND_OF_OZFLUX = dict(
    Ws=(3.0, "m/s"), Wd=(200.0, "deg"), ustar=(0.4, "m s-1"), Fh=(100.0, "W/m^2"), Ta=(15.0, "degC"), ps=(99.0, "kPa")
)  # fmt: skip


def test_ozflux_netcdf_serves_for_the_footprint_as_the_same_numbers_in_text(tmp_path):
    text = towers.turbulence(write(tmp_path / HALF_HOURLY, half_hours(3, PA=99.0)))
    found = towers.turbulence(netcdf(tmp_path / "AU-Tum_OzFlux_Flux.nc", **WIND_OF_OZFLUX))
    pd.testing.assert_frame_equal(found, text[list(found)], check_freq=False, check_names=False, rtol=1e-5)
    other = WIND_OF_OZFLUX | {"Ta": (288.15, "K"), "ps": (99_000.0, "Pa"), "V_Sd": (0.8, "m/s")}
    found = towers.turbulence(netcdf(tmp_path / "b.nc", **other))
    np.testing.assert_allclose(found["obukhov"], text["obukhov"], rtol=1e-4)
    np.testing.assert_allclose(found["sigma_v"], 0.8, rtol=1e-6)
    # without heat, the file's own length
    other = {key: value for key, value in WIND_OF_OZFLUX.items() if key != "Fh"} | {"L": (-50.0, "m")}
    np.testing.assert_allclose(towers.turbulence(netcdf(tmp_path / "c.nc", **other))["obukhov"], -50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Wd": None}, "without values of wd"),
        ({"Wd": (-9999.0, "deg"), "Fh": None}, "without values of wd, fh"),
        ({"ps": (99.0, "furlongs")}, "ps in furlongs"),
    ],
)
def test_netcdf_that_lacks_wind_says_what_is_missing(tmp_path, change, message):
    given = {key: value for key, value in (WIND_OF_OZFLUX | change).items() if value}
    with pytest.raises(InputError, match=message):
        towers.turbulence(netcdf(tmp_path / "a.nc", **given))


def test_netcdf_without_units_or_gpp_or_of_many_places_is_refused(tmp_path):
    with pytest.raises(InputError, match="GPP in no units"):
        towers.read(netcdf(tmp_path / "a.nc", units=None))
    with netCDF4.Dataset(tmp_path / "b.nc", "w") as data:
        data.createDimension("time", 4)
        data.createDimension("x", 5)
        time = data.createVariable("time", "f8", ("time",))
        time.units, time[:] = "days since 2019-01-01", np.arange(4)
        data.createVariable("GPP", "f4", ("time", "x"))[:] = 1
    with pytest.raises(InputError, match="at 5 places"):
        towers.read(tmp_path / "b.nc")
    (tmp_path / "c.nc").write_bytes((tmp_path / "b.nc").read_bytes()[:600])
    with pytest.raises(InputError, match="damaged NetCDF"):
        towers.read(tmp_path / "c.nc")


def test_huge_declared_arrays_are_refused_before_they_are_read(tmp_path):
    with netCDF4.Dataset(tmp_path / "huge.nc", "w") as data:
        data.createDimension("time", 3_000_000)
        data.createVariable("time", "i4", ("time",), zlib=True).units = "minutes since 2019-01-01"
        data.createVariable("GPP", "i1", ("time",), zlib=True).units = "umol/m2/s"
    with pytest.raises(InputError, match="3,000,000 declared times"):
        towers.read(tmp_path / "huge.nc")


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_what_unpacks_to_more_than_any_tower_is_refused_without_memory(tmp_path, kind):
    header, line = b"TIMESTAMP,GPP_NT_VUT_REF\n", b"20190512," + b"0" * (2**20 - 10) + b"\n"
    path = tmp_path / (DAILY + ".gz" if kind == "gz" else "FLX_XX-Abc.zip")
    with contextlib.ExitStack() as stack:
        if kind == "gz":
            stream = stack.enter_context(gzip.open(path, "wb", 1))
        else:
            archive = stack.enter_context(zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1))
            stream = stack.enter_context(archive.open(DAILY, "w"))
        stream.write(header)
        for _ in range(100):
            stream.write(line)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"200 times its packed size|64 MiB for 262,144 cells"):
            towers.read(path)
        # A gz does not declare its size: it is read up to the bound, in pieces.
        assert tracemalloc.get_traced_memory()[1] < (8 if kind == "zip" else 128) * 2**20
    finally:
        tracemalloc.stop()


def weekly(daily: pd.DataFrame) -> pd.DataFrame:
    """FLUXNET's weeks of daily rows."""
    out = []
    for first in range(0, len(daily) - 6, 7):
        rows = daily.iloc[first : first + 7]
        mean = rows["GPP_NT_VUT_REF"].mean()
        out.append((rows["TIMESTAMP"].iloc[0], rows["TIMESTAMP"].iloc[-1], 1.0, mean))
    return pd.DataFrame(out, columns=["TIMESTAMP_START", "TIMESTAMP_END", "NEE_VUT_REF_QC", "GPP_NT_VUT_REF"])


def test_weeks_and_months_are_compared_with_means_over_the_same_days(tmp_path):
    import xarray as xr

    rng = np.random.default_rng(3)
    daily = days(142).assign(GPP_NT_VUT_REF=rng.uniform(2, 12, 142).round(4))
    time = pd.date_range("2019-05-15", "2019-09-20", unit="ns")
    gpp = pd.Series(rng.uniform(2, 12, len(time)), time)
    predicted = xr.Dataset(
        {"gpp": ("time", gpp), "gpp_lo": ("time", gpp - 1), "gpp_hi": ("time", gpp + 1)}, {"time": time}
    )
    measured = pd.Series(daily["GPP_NT_VUT_REF"].values, pd.to_datetime(daily["TIMESTAMP"]))
    tower = towers.read(write(tmp_path / DAILY.replace("_DD_", "_WW_"), weekly(daily)))
    result = gpp_at_tower.evaluate_at_tower(predicted, tower)
    weeks = [day for day in measured.index[::7] if day >= time[0] and day + pd.Timedelta(days=6) <= time[-1]]
    o = np.array([measured[day : day + pd.Timedelta(days=6)].mean() for day in weeks])
    p = np.array([gpp[day : day + pd.Timedelta(days=6)].mean() for day in weeks])
    assert (result["model.weekly.n"], result["days"]) == (len(weeks), 7 * len(weeks))
    assert result["model.weekly.nse"] == pytest.approx(
        1 - ((o - p) ** 2).sum() / ((o - o.mean()) ** 2).sum(), abs=1e-6
    )
    assert result["start"] == str(weeks[0].date())
    months = measured.resample("MS").mean()
    table = pd.DataFrame({"TIMESTAMP": months.index.strftime("%Y%m"), "GPP_DT_CUT_REF": months.values})
    tower = towers.read(write(tmp_path / DAILY.replace("_DD_", "_MM_"), table))
    result = gpp_at_tower.evaluate_at_tower(predicted, tower)
    assert (result["model.monthly.n"], result["days"]) == (3, 30 + 31 + 31)
    assert result["gpp"] == "GPP_DT_CUT_REF"
    assert "GPP_DT_CUT_REF, in gC m-2 d-1" in gpp_at_tower.tower_report(result)


@pytest.mark.real
@pytest.mark.parametrize(
    ("case", "count", "flux"),
    [
        ("02_partitioning_that_is_there/EUF_XX-Dt1_FLUXNET_FLUXMET_DD_2018-2019_v1.3_r1.csv", 730, "gpp_dt"),
        ("02_partitioning_that_is_there/EUF_XX-Dt2_FLUXNET_FLUXMET_DD_2018-2019_v1.3_r1.csv", 730, "gpp_dt"),
        ("08_fluxnet_zip_member_order/alphabetical_AMF_XX-Fld_FLUXNET_2018-2019_v1.3_r1.zip", 730, "gpp_nt"),
        ("08_fluxnet_zip_member_order/oneflux_order_AMF_XX-Fld_FLUXNET_2018-2019_v1.3_r1.zip", 730, "gpp_nt"),
        ("09_hourly_named_HH/FLX_XX-Hr1_FLUXDATAKIT_FULLSET_HH_2019_2019_2-3.csv", 30, "gpp_nt"),
        ("20_other_tower_formats/AU-Tum_2002-2017_OzFlux_Flux.nc", 3, "gpp_nt"),
        ("20_other_tower_formats/FLX_XX-Fld_FLUXDATAKIT_FULLSET_DD_2018_2019_2-3.csv.gz", 60, "gpp_nt"),
    ],
)
def test_a_file_of_the_cases_gives_its_days(real_data, case, count, flux):
    path = real_data.parent / "cases" / case
    if not path.is_file():
        pytest.skip("cases not found beside the measured data")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tower = towers.read(path)
    assert int(tower[flux].notnull().sum()) == count
    if "Hr1" in case:
        np.testing.assert_allclose(tower["precip"], 4.8)


@pytest.mark.real
@pytest.mark.parametrize(
    ("case", "count"),
    [
        ("01_excel_timestamps/FLX_XX-Fld_FLUXNET2015_FULLSET_HH_2019-2019_1-4.csv", 1920),
        ("05_midnight_without_time/FLX_XX-Fld_FLUXNET2015_FULLSET_HH_2019-2019_1-4.csv", 960),
        ("06_ameriflux_base_zip/AMF_US-CRT_BASE_HH_2-5.csv", 53),
        ("06_ameriflux_base_zip/downloads/AMF_US-CRT_BASE-BADM_2-5.zip", 53),
        ("23_eddypro_fluxnet/eddypro_XX-Fld_fluxnet_2019-05-24T120000_adv.csv", 576),
    ],
)
def test_a_file_of_the_cases_gives_its_half_hours(real_data, case, count):
    path = real_data.parent / "cases" / case
    if not path.is_file():
        pytest.skip("cases not found beside the measured data")
    assert len(towers.turbulence(path)) == count


def test_what_is_streamed_is_closed(tmp_path):
    path = zip_of(tmp_path / "FLX_XX-Abc.zip", {DAILY: days().to_csv(index=False)})
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        towers.read(path)
    path.unlink()


ICOS = "ICOSETC_XX-Abc_FLUXNET_DD_L2.csv"


def icos_fluxes() -> pd.DataFrame:
    """Half-hours in the layout of ICOS ETC's FLUXES: turbulence and the Obukhov length, no temperature, no GPP."""
    table = half_hours(2)[["TIMESTAMP_START", "TIMESTAMP_END", "WS", "WD", "USTAR", "H"]]
    return table.assign(NEE=-5.0, NEE_UNCLEANED=-5.1, V_SIGMA=0.8, MO_LENGTH=-30.0, ZL=-0.5, FETCH_90=240.0)


def test_the_archive_of_an_icos_station_gives_its_days_and_its_half_hours(tmp_path):
    members = {
        "ICOSETC_XX-Abc_ANCILLARY_L2.csv": "SITE_ID,GROUP_ID,VARIABLE_GROUP,VARIABLE,DATAVALUE\n",
        "ICOSETC_XX-Abc_FLUXES_L2.csv": icos_fluxes().to_csv(index=False),
        "ICOSETC_XX-Abc_VARINFO_FLUXNET_DD_L2.csv": "SITE_ID,GROUP_ID,VARIABLE_GROUP,VARIABLE,DATAVALUE\n",
        "ICOSETC_XX-Abc_FLUXNET_HH_L2.csv": half_hours(2).to_csv(index=False),
        ICOS: days(30).to_csv(index=False),
        "ICOSETC_XX-Abc_METEO_L2.csv": half_hours(2)[["TIMESTAMP_START", "TA"]].to_csv(index=False),
    }
    path = tmp_path / "ICOSETC_XX-Abc_ARCHIVE_L2.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    tower = towers.read(path)
    assert (tower.attrs["source"], tower.attrs["network"], tower.sizes["time"]) == (ICOS, "ICOS", 30)
    assert len(towers.turbulence(path)) == 96
    assert towers.data_files.files(tmp_path) == {"XX-Abc": path}


@pytest.mark.parametrize("suffix", [".csv", ".zip"])
def test_fluxes_of_icos_serve_for_the_footprint_by_their_own_length(tmp_path, suffix):
    name = "ICOSETC_XX-Abc_FLUXES_INTERIM_L2"
    path = write(tmp_path / f"{name}.csv", icos_fluxes())
    if suffix == ".zip":
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.write(path, path.name)
        path = tmp_path / f"{name}.zip"
    found = towers.turbulence(path)
    assert len(found) == 96
    assert (found[["obukhov", "sigma_v"]] == [-30.0, 0.8]).all(axis=None)
    with pytest.raises(InputError, match=r"serve for the footprint only|without a"):
        towers.read(path)


def test_a_stability_without_its_height_is_told(tmp_path):
    table = icos_fluxes().drop(columns=["MO_LENGTH", "H"])
    with pytest.raises(
        InputError, match=r"without H_F_MDS, TA_F.*its ZL is of a height the file does not tell: MO_LENGTH"
    ):
        towers.turbulence(write(tmp_path / "ICOSETC_XX-Abc_FLUXES_L2.csv", table))


@pytest.mark.parametrize(("year", "length"), [(2019, 8), (2020, 9)])
def test_the_last_week_of_a_year_ends_with_it(tmp_path, year, length):
    starts = pd.date_range(f"{year}-01-01", periods=52, freq="7D")
    table = pd.DataFrame({"TIMESTAMP": starts.strftime("%Y%m%d"), "GPP_NT_VUT_REF": 3.0})
    tower = towers.read(write(tmp_path / DAILY.replace("_DD_", "_WW_"), table))
    days_of_each = (tower["last_day"].values - tower["time"].values) / np.timedelta64(1, "D") + 1
    assert days_of_each.tolist() == [7.0] * 51 + [length]


def test_a_quality_in_percent_is_a_share_and_told(tmp_path):
    with pytest.warns(DataWarning, match="reaches 95: read as percent"):
        tower = towers.read(write(tmp_path / DAILY, days(30).assign(NEE_VUT_REF_QC=95)))
    assert (tower["qc"] == 0.95).all()
    with pytest.raises(InputError, match="quality of 0 to 4000"):
        towers.read(write(tmp_path / DAILY, days(30).assign(NEE_VUT_REF_QC=[0.0, *[4000.0] * 29])))


def test_a_gap_that_is_always_the_same_is_the_step_whatever_the_name_says(tmp_path):
    tower = towers.read(write(tmp_path / DAILY, days(90).iloc[::7]))
    assert (tower.attrs["resolution"], tower.sizes["time"]) == ("weekly", 13)
    with pytest.raises(InputError, match="a stamp every 8 days"):
        towers.read(write(tmp_path / DAILY, days(90).iloc[::8]))
    holes = days(90).iloc[[0, 2, 4, 7, 9, 30, 32, 50, 52]]
    assert towers.read(write(tmp_path / DAILY, holes)).attrs["resolution"] == "daily"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"PK\x03\x04" + b"0" * 500, "a workbook"), (b"<!DOCTYPE html><html>Sign in</html>", "a web page")],
)
def test_what_is_no_text_is_named_for_what_it_is(tmp_path, content, message):
    path = tmp_path / DAILY
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        towers.read(path)


def test_day_numbers_of_a_spreadsheet_are_dates_and_told(tmp_path):
    right = towers.read(write(tmp_path / DAILY, days()))
    table = days()
    table["TIMESTAMP"] = (pd.to_datetime(table["TIMESTAMP"]) - pd.Timestamp("1899-12-30")).dt.days
    with pytest.warns(DataWarning, match="such as 43597 are days as a spreadsheet counts them"):
        assert towers.read(write(tmp_path / DAILY, table)).identical(right)
    fine = half_hours().drop(columns="TIMESTAMP_END")
    stamps = pd.to_datetime(fine["TIMESTAMP_START"], format="%Y%m%d%H%M")
    fine["TIMESTAMP_START"] = (stamps - pd.Timestamp("1899-12-30")) / pd.Timedelta(days=1)
    with pytest.warns(DataWarning, match="as a spreadsheet counts them"):
        assert (towers.turbulence(write(tmp_path / HALF_HOURLY, fine)).index == stamps).all()


def test_hour_24_is_the_next_midnight(tmp_path):
    right = towers.read(write(tmp_path / HALF_HOURLY, half_hours()))
    table = half_hours().drop(columns="TIMESTAMP_START")
    before = pd.to_datetime(half_hours()["TIMESTAMP_START"], format="%Y%m%d%H%M").dt.strftime("%Y%m%d2400")
    table["TIMESTAMP_END"] = table["TIMESTAMP_END"].where(
        ~table["TIMESTAMP_END"].str.endswith("0000"), before
    )
    assert towers.read(write(tmp_path / HALF_HOURLY, table)).equals(right)


def test_gpp_counted_negative_is_refused_and_noise_is_not(tmp_path):
    table = days(60)
    with pytest.raises(InputError, match="GPP_NT_VUT_REF below 0 on 60 of 60 days"):
        towers.read(write(tmp_path / DAILY, table.assign(GPP_NT_VUT_REF=-table["GPP_NT_VUT_REF"])))
    noise = table.assign(GPP_NT_VUT_REF=-0.1, GPP_DT_VUT_REF=0.0)
    assert (towers.read(write(tmp_path / DAILY, noise))["gpp_nt"] == -0.1).all()


@pytest.mark.parametrize(("unit", "factor"), [("gC m-2 d-1", 1.0), ("µmol m⁻² s⁻¹", 1.0377)])
def test_a_unit_behind_the_name_of_a_column_is_its_unit(tmp_path, unit, factor):
    table = days().rename(columns={"GPP_NT_VUT_REF": f"GPP_NT_VUT_REF ({unit})", "GPP_DT_VUT_REF": "OTHER"})
    tower = towers.read(write(tmp_path / DAILY, table))
    np.testing.assert_allclose(tower["gpp_nt"], days()["GPP_NT_VUT_REF"] * factor, rtol=1e-4)
    assert tower.attrs["gpp_source_units"] == f"{unit} (told by the file)"


def test_a_gzip_without_its_suffix_is_read(tmp_path):
    right = towers.read(write(tmp_path / DAILY, days()))
    (tmp_path / DAILY).write_bytes(gzip.compress((tmp_path / DAILY).read_bytes()))
    assert towers.read(tmp_path / DAILY).identical(right)


def test_files_of_several_periods_of_which_one_is_read_are_told(tmp_path):
    later = DAILY.replace("2019-2019", "2020-2020")
    text = days().to_csv(index=False)
    path = zip_of(tmp_path / "FLX_XX-Abc_FULLSET_2019-2020.zip", {DAILY: text, later: text})
    with pytest.warns(
        DataWarning,
        match="2 tables of other years that overlap: 30 of 60 rows are of a time that another table has, all alike",
    ):
        towers.read(path)
    path.unlink()
    for name in (DAILY, later):
        (tmp_path / name).write_text(text)
    # The same product in two files is joined; another product in other years is told.
    assert [path.name for path in towers.files(tmp_path)["XX-Abc"]] == [DAILY, later]
    (tmp_path / later).rename(tmp_path / later.replace("FULLSET", "SUBSET"))
    with pytest.warns(DataWarning, match=r"of which one is taken: XX-Abc \(not 2020-2020\)"):
        assert towers.files(tmp_path)["XX-Abc"].name == DAILY
