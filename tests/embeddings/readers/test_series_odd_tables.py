"""Tables of plots as spreadsheets and Earth Engine write them: the numbers that pandas has, or one sentence."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings.readers.series_table import read_series
from fluxlens.embeddings.text_cells import to_numbers
from fluxlens.embeddings.text_table import read_table
from fluxlens.models.errors import DataWarning, InputError

BANDS = ["B2", "B3", "B4", "B8", "B11"]
AT = [0, 1, 2, 6, 8]
TIMES = pd.to_datetime(
    ["2019-02-12 10:50:31", "2019-05-17 10:50:29", "2020-02-29 10:50:31", "2020-12-31 10:50:31"]
)
VALUES = np.random.default_rng(1).uniform(0.02, 0.4, (8, 5)).round(4)
EPOCH = pd.Timestamp("1899-12-30")


def table(**columns) -> pd.DataFrame:
    rows = pd.DataFrame({"id": np.repeat(["A", "B"], 4), "date": [*TIMES, *TIMES]})
    return rows.assign(**dict(zip(BANDS, VALUES.T, strict=True))).assign(**columns)


def read(tmp_path, rows: pd.DataFrame | str, message: str | None = None, **options):
    """Days, values and table of a CSV; with a warning where one is due, and without any where none is."""
    text = rows if isinstance(rows, str) else rows.to_csv(index=False, **options)
    (tmp_path / "plots.csv").write_text(text, encoding="utf-8")
    if message is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = read_series(tmp_path / "plots.csv")
    else:
        with pytest.warns(DataWarning, match=message):
            found = read_series(tmp_path / "plots.csv")
    s2 = found.sensors["s2"]
    return s2.day.astype("datetime64[D]"), s2.values[:, AT], found


def date_columns() -> dict[str, tuple[dict, str | None]]:
    dates = table()["date"]
    days = (dates - EPOCH) / pd.Timedelta(days=1)
    index = dates.dt.strftime("%Y%m%dT%H%M%S")
    message = "are days as a spreadsheet counts them"
    styles = {
        style: ({"date": dates.dt.strftime(style)}, None)
        for style in (
            "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)", "%Y-%m-%d %H:%M:%S UTC", "%d %b %Y %H:%M",
            "%b %d, %Y, %I:%M:%S %p", "%Y_%m_%d", "%Y.%m.%d", "%d/%m/%Y %H:%M:%S",
        )
    }  # fmt: skip
    return styles | {
        "whole days of a spreadsheet": ({"date": days.astype(int)}, message),
        "days of a spreadsheet": ({"date": days}, message),
        "index of merged collections": ({"date": "1_2_" + index + "_" + index + "_T31UES_00ab"}, None),
        "local midnights": ({"date": dates.dt.strftime("%Y-%m-%dT00:00:00+02:00")}, None),
        "paths of images": (
            {"image": "COPERNICUS/S2_SR/" + index + "_" + index + "_T31UES", "date": None},
            None,
        ),
        "products": ({"product": "S2A_MSIL2A_" + index + "_N0300_R051_T31UES.SAFE", "date": None}, None),
        "name of a product": ({"date": "S2A_MSIL2A_" + index + "_N0207_R051_T31UES"}, None),
    }


@pytest.mark.parametrize("style", list(date_columns()))
def test_dates_as_programs_write_them_are_the_days(tmp_path, style):
    columns, message = date_columns()[style]
    rows = table(**columns).dropna(axis=1)
    day, values, _ = read(tmp_path, rows, message)
    np.testing.assert_array_equal(day, [*TIMES.values.astype("datetime64[D]")] * 2)
    np.testing.assert_allclose(values, VALUES, atol=1e-7)


@pytest.mark.parametrize(("separator", "mark"), [(",", ","), (";", "."), (";", ",")])
def test_marks_of_thousands_are_no_decimal_marks(tmp_path, separator, mark):
    numbers = (VALUES * 10_000).round().astype(int)
    rows = table(**{band: [f"{one:,}".replace(",", mark) for one in column] for band, column in
                    zip(BANDS, numbers.T, strict=True)})  # fmt: skip
    if separator == ";":
        # A column that is above a thousand throughout cannot be told from decimals by itself, and is named.
        with pytest.raises(InputError, match="if its marks separate thousands, take them out"):
            read(tmp_path, rows, sep=separator)
        rows.loc[0, list(BANDS)] = "780"
        numbers[0] = 780
    _, values, _ = read(tmp_path, rows, "digital numbers", sep=separator)
    np.testing.assert_allclose(values, numbers / 10_000, atol=1e-7)


def test_decimals_of_three_digits_stay_decimals(tmp_path):
    percent = "id;date;B2;B3\nA;2019-05-12;1,234;0,345\nA;2019-05-17;1,250;0,400\n"
    _, values, _ = read(tmp_path, percent)
    np.testing.assert_allclose(values[:, :2], [[1.234, 0.345], [1.25, 0.4]], atol=1e-6)


def test_qa60_calls_rows_cloudy_and_zeros_in_all_bands_are_no_data(tmp_path):
    cloudy = np.arange(8) % 4 == 3
    for value in (1024, 512.5):
        _, values, _ = read(
            tmp_path, table(QA60=np.where(cloudy, value, 0)), "2 of 8 rows .* by their column QA60"
        )
        np.testing.assert_allclose(values, VALUES[~cloudy], atol=1e-7)
    empty = table(**{band: np.where(cloudy, 0, column) for band, column in zip(BANDS, VALUES.T, strict=True)})
    _, values, _ = read(tmp_path, empty, "2 of 8 rows .* or 0 in all bands: left out")
    np.testing.assert_allclose(values, VALUES[~cloudy], atol=1e-7)
    _, values, _ = read(
        tmp_path, table(SCL=np.where(cloudy, 4.5, 4)), "2 of 8 rows .* no whole class in SCL, such as 4.5"
    )
    np.testing.assert_allclose(values, VALUES[~cloudy], atol=1e-7)


def test_places_of_polygons_and_of_longitudes_to_360_are_where_they_lie(tmp_path):
    square = {"type": "Polygon", "coordinates": [[[4, 50], [4.2, 50], [4.2, 50.2], [4, 50.2], [4, 50]]]}
    _, _, found = read(tmp_path, table(**{".geo": json.dumps(square)}))
    np.testing.assert_allclose([found.lon[0], found.lat[0]], [4.1, 50.1])
    _, _, found = read(tmp_path, table(lon=292.3, lat=-33.4), "8 longitudes .* are beyond 180")
    np.testing.assert_allclose([found.lon[0], found.lat[0]], [-67.7, -33.4])


def test_numbers_as_ids_and_an_unnamed_first_column_do_not_matter(tmp_path):
    _, values, found = read(tmp_path, table(id=np.repeat([1.0, 2.0], 4)))
    assert list(found.ids) == ["1", "2"]
    _, again, _ = read(tmp_path, table().to_csv())
    np.testing.assert_array_equal(values, again)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda: table(date="1.54997E+12").to_csv(index=False), "rounded by a spreadsheet"),
        (lambda: table(twice=0.1).to_csv(index=False).replace("twice", "B4"), "with the column B4 twice"),
    ],
)
def test_what_spreadsheets_destroyed_is_refused_for_what_it_is(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, rows())


@pytest.mark.parametrize("before", ["", "2_"])
def test_the_index_of_sentinel_1_is_its_date(tmp_path, before):
    index = [
        f"{before}S1A_IW_GRDH_1SDV_201905{day:02d}T173000_201905{day:02d}T173025_027050_030C1C_9D2A"
        for day in (2, 14)
    ]
    table = pd.DataFrame({"id": "A", "system:index": index, "VV": [-10.0, -11.0], "VH": [-16.0, -17.0]})
    table.to_csv(tmp_path / "s1.csv", index=False)
    found = read_series(None, tmp_path / "s1.csv").sensors["s1"]
    np.testing.assert_array_equal(
        found.day.astype("datetime64[D]"), np.array(["2019-05-02", "2019-05-14"], "M8[D]")
    )
    np.testing.assert_array_equal(found.values, [[-10, -16], [-11, -17]])


def of_text(change):
    """Rows as text, changed."""
    rows = table().assign(date=[*TIMES.strftime("%Y-%m-%d")] * 2).astype(object)
    return change(rows)


def with_errors(rows):
    rows.loc[1, "B4"], rows.loc[2, "B8"], rows.loc[3, "B3"] = "#DIV/0!", "#REF!", "#NV"
    return rows


def below(rows, first: dict):
    return pd.concat([pd.DataFrame([first]), rows])


FORMS = {
    "header again": (lambda rows: pd.concat([rows[:4], pd.DataFrame([{name: name for name in rows}]), rows[4:]]),
                     "1 lines repeat the header"),
    "units below the header": (lambda rows: below(rows, {"id": "-", "date": "UTC", **dict.fromkeys(BANDS, "refl")}),
                               r"first row of .* has no number \(refl\): left out"),
    "reducer before": (lambda rows: rows.rename(columns={band: f"mean_{band}" for band in BANDS}), None),
    "columns by day of year": (
        lambda rows: rows.assign(date=[*TIMES.strftime("%Y%j")] * 2).pivot(index="id", columns="date", values=BANDS)
        .pipe(lambda wide: wide.set_axis([f"{band}_{day}" for band, day in wide.columns], axis=1)).reset_index(), None),
    "clear in words": (lambda rows: rows.assign(clear="yes"), None),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_tables_with_rows_and_names_of_tools_have_their_numbers(tmp_path, form):
    change, message = FORMS[form]
    day, values, found = read(tmp_path, of_text(change), message)
    assert list(found.ids) == ["A", "B"]
    np.testing.assert_array_equal(day, [*TIMES.values.astype("datetime64[D]")] * 2)
    np.testing.assert_allclose(values, VALUES, atol=1e-7)


def test_failed_formulas_of_a_spreadsheet_are_missing(tmp_path):
    right = VALUES.copy()
    right[1, 2] = right[2, 3] = right[3, 1] = np.nan
    _, values, _ = read(tmp_path, of_text(with_errors))
    np.testing.assert_allclose(values, right, atol=1e-7)


@pytest.mark.parametrize("cells", [("1,234.5", "2,345.5"), ("1.234,5", "2.345,5")])
def test_numbers_with_both_marks_are_numbers(cells):
    assert to_numbers(pd.Series([*cells, "7"]), "the table").tolist() == [1234.5, 2345.5, 7.0]


def test_a_comma_in_quotes_is_decimal_where_another_column_tells_it(tmp_path):
    (tmp_path / "a.csv").write_text('name,lon,lat\na,"4,0631","50,746"\nb,"4,0641","50,747"\n')
    rows = read_table(tmp_path / "a.csv")
    assert rows["lat"].tolist() == ["50.746", "50.747"]


def test_plots_of_one_name_at_several_sites_are_series_of_their_own(tmp_path):
    rows = table(plot=1, site=np.repeat(["X", "Y"], 4)).drop(columns="id")
    _, values, found = read(
        tmp_path, rows, "rows of one plot and date are of several site in .*, such as X 1"
    )
    assert list(found.ids) == ["X 1", "Y 1"]
    np.testing.assert_allclose(values, VALUES, atol=1e-7)
    # A column that changes from date to date, or that names each plot's site, is part of no name.
    for site in (["X"] * 4 + ["Y"] * 4, [*"PQRS"] * 2):
        assert list(read(tmp_path, table(site=site))[2].ids) == ["A", "B"]
