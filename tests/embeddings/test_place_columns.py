"""Places of tables as people write them: one reader gives points, series and lists of towers the same places."""

import contextlib

import numpy as np
import pandas as pd
import pytest
import shapely
from fluxlens.embeddings import place_columns, towers
from fluxlens.embeddings.export import geometries
from fluxlens.embeddings.gpp import tables
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.embeddings.readers.series_table import read_series
from fluxlens.models.errors import DataWarning, InputError
from pyproj import Transformer

LON, LAT = 4.0631, 50.746
X, Y = Transformer.from_crs(4326, 32631, always_xy=True).transform(LON, LAT)
WEST = Transformer.from_crs(4326, 3857, always_xy=True).transform(-105.5, 40.0)
SOUTH = Transformer.from_crs(4326, 32719, always_xy=True).transform(-70.6, -33.4)

DEGREES = {
    "50.746": LAT, "50,746": LAT, "50.746 N": LAT, "N50.746": LAT, "50.746°": LAT, "50 44' 45.6\" N": LAT,
    "50°44'45.6\"N": LAT, "50°44′45.6″N": LAT, "50º44’45,6’’N": LAT, "50°44'45.6''N": LAT, "50 44.76 N": LAT,
    "50° 44.76'": LAT, "N 50° 44.760'": LAT, "50:44:45.6": LAT, "50 44 45.6": LAT, "33.4 S": -33.4, "S 33.4": -33.4,
    "-33.4": -33.4, "-33.4 S": -33.4, "-0 30 00": -0.5, "0 30 00 W": -0.5, "-105°30'": -105.5,
}  # fmt: skip


@pytest.mark.parametrize("text", DEGREES)
def test_degrees_in_any_spelling_are_degrees(text):
    assert place_columns.parse_degrees(text)[0] == pytest.approx(DEGREES[text], abs=1e-9)


@pytest.mark.parametrize(
    "text",
    ["50 74 45 N", "50 44 61", "50.5 30 N", "504445.6N", "-50 N", "N 50 N", "4.0631 O", "50.746.1", "north"],
)
def test_what_is_no_degrees_is_not_guessed(text):
    assert np.isnan(place_columns.parse_degrees(text)[0])


# Of one place each: the columns of a table.
PLACES = {
    "degrees, minutes, seconds": ({"lat": "50°44'45.6\"N", "lon": "4°03'47.16\"E"}, (LON, LAT)),
    "degrees and minutes": ({"lat": "50 44.76 N", "lon": "4 3.786 E"}, (LON, LAT)),
    "letters": ({"lat": "33.4 S", "lon": "70.6 W"}, (-70.6, -33.4)),
    "words in the name": ({"gps_lat": LAT, "gps_lon": LON}, (LON, LAT)),
    "points of a GIS": ({"POINT_X": LON, "POINT_Y": LAT}, (LON, LAT)),
    "one column": ({"latlon": f"{LAT}, {LON}"}, (LON, LAT)),
    "one column, lon first": ({"lon_lat": f"({LON} {LAT})"}, (LON, LAT)),
    "epsg": ({"x": X, "y": Y, "epsg": 32631}, (LON, LAT)),
    "epsg, easting": ({"Easting (m)": X, "Northing (m)": Y, "CRS": "EPSG:32631"}, (LON, LAT)),
    "zone": ({"easting": X, "northing": Y, "zone": "31N"}, (LON, LAT)),
    "band of latitude": ({"UTM_X": X, "UTM_Y": Y, "utm_zone": "31U"}, (LON, LAT)),
    "zone and hemisphere": ({"E": X, "N": Y, "zone": 31, "hemisphere": "north"}, (LON, LAT)),
    "zone in the south": ({"easting": SOUTH[0], "northing": SOUTH[1], "zone": "19 S"}, (-70.6, -33.4)),
    "code in the names": ({"x_32631": X, "y_32631": Y}, (LON, LAT)),
    "west of Greenwich": ({"x": WEST[0], "y": WEST[1], "epsg": 3857}, (-105.5, 40.0)),
    "CRS of the image": ({"lon": LON, "lat": LAT, "crs": "EPSG:32631"}, (LON, LAT)),
    "Spanish": ({"Latitud": LAT, "Longitud": LON}, (LON, LAT)),
    "Italian": ({"latitudine": LAT, "longitudine": LON}, (LON, LAT)),
    "German": ({"L\u00e4ngengrad": LON, "Breitengrad": LAT}, (LON, LAT)),
    "Dutch": ({"lengtegraad": LON, "breedtegraad": LAT}, (LON, LAT)),
    "Spanish, words in the name": ({"gps_latitud": LAT, "gps_longitud": LON}, (LON, LAT)),
    "Polish": ({"Szerokość geograficzna": LAT, "Długość geograficzna [°]": LON}, (LON, LAT)),
    "Polish, short": ({"szer. geogr.": LAT, "dł. geogr.": LON}, (LON, LAT)),
    "Czech": ({"zeměpisná šířka": LAT, "zeměpisná délka": LON}, (LON, LAT)),
    "Slovene": ({"zemljepisna_širina": LAT, "zemljepisna_dolžina": LON}, (LON, LAT)),
    "Croatian": ({"geografska širina": LAT, "geografska dužina": LON}, (LON, LAT)),
    "Hungarian": ({"földrajzi szélesség": LAT, "földrajzi hosszúság": LON}, (LON, LAT)),
    "Russian": ({"Широта": LAT, "Долгота": LON}, (LON, LAT)),
    "Turkish": ({"Enlem": LAT, "Boylam": LON}, (LON, LAT)),
    "Danish": ({"breddegrad": LAT, "længdegrad": LON}, (LON, LAT)),
    "Finnish, words in the name": ({"wgs84_leveysaste": LAT, "wgs84_pituusaste": LON}, (LON, LAT)),
    "X-Koord": ({"X-Koord": LON, "Y-Koord": LAT}, (LON, LAT)),
    "a box beside": ({"lat": LAT, "lon": LON, "lat_min": 50, "lat_max": 51, "lon_min": 4, "lon_max": 5}, (LON, LAT)),
    "degrees beside metres": ({"easting": 1.0, "northing": 2.0, "lat": LAT, "lon": LON}, (LON, LAT)),
    "geometry of another CRS": ({"WKT": f"SRID=32631;POINT ({X} {Y})"}, (LON, LAT)),
}  # fmt: skip


def bands(count: int) -> dict:
    return {
        "date": pd.date_range("2020-04-01", periods=count, freq="5D"),
        "B03": 0.06,
        "B04": 0.07,
        "B08": 0.3,
    }


@pytest.mark.parametrize(("columns", "place"), PLACES.values(), ids=PLACES)
def test_points_and_series_lie_where_their_columns_say(tmp_path, columns, place):
    path = tmp_path / "places.csv"
    pd.DataFrame({"name": ["A"], **columns}).to_csv(path, index=False, sep=";")
    (point,) = geometries.read_points(path)
    np.testing.assert_allclose((point.lon, point.lat), place, atol=1e-7)
    assert point.name == "A"
    found = read_series(pd.DataFrame({"id": ["A"] * 3, **bands(3), **columns}))
    np.testing.assert_allclose((found.lon[0], found.lat[0]), place, atol=1e-7)


@pytest.mark.parametrize(
    "name", [name for name in PLACES if "one column" not in name and "geometry" not in name]
)
def test_towers_lie_where_their_columns_say(tmp_path, name):
    columns, place = PLACES[name]
    pd.DataFrame({"site": ["BE-Lon"], **columns}).to_csv(tmp_path / "sites.csv", index=False)
    found = towers.sites(tmp_path / "sites.csv").loc["BE-Lon"]
    np.testing.assert_allclose((found["lon"], found["lat"]), place, atol=1e-7)


def test_rows_of_several_systems_are_converted_each_by_its_own():
    table = pd.DataFrame({"x": [X, LON, SOUTH[0]], "y": [Y, LAT, SOUTH[1]], "epsg": [32631, 4326, 32719]})
    lon, lat = place_columns.read_places(table, "the table")
    np.testing.assert_allclose(lon, [LON, LON, -70.6], atol=1e-7)
    np.testing.assert_allclose(lat, [LAT, LAT, -33.4], atol=1e-7)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": X, "y": Y}, "no degrees, .* add a column epsg"),
        ({"easting": X, "northing": Y}, "convert easting and northing, which are metres"),
        ({"x": X, "y": Y, "epsg": 99999}, "Got the CRS '99999' in .*, need one that PROJ knows"),
        ({"x": Y, "y": X, "epsg": 32631}, "far outside of WGS 84 / UTM zone 31N, .* which of them is east"),
        ({"easting": X, "northing": Y, "zone": 31}, "Got the zone '31' in row 1 .* need its hemisphere too"),
        ({"easting": 5e5, "northing": 4e6, "zone": "31S"}, "Got the zone '31S' .* need its hemisphere too"),
        ({"lat": "4.06 E", "lon": "50.7 N"}, "lon and lat look swapped"),
        ({"lat": "50 74 45 N", "lon": "4 3 47 E"}, "Got '50 74 45 N' in the column lat .* write degrees such as"),
        ({"lat": LAT, "lon": "4.0631 O"}, "Got '4.0631 O' in the column lon"),
        ({"lat": 104.1, "lon": 50.7}, "lon and lat look swapped"),
        ({"lat_deg": 50, "lat_min": 44, "lat_sec": 45.6, "lon_deg": 4, "lon_min": 3, "lon_sec": 47.2},
         "with lat_min, lat_sec, lon_min, lon_sec, minutes or seconds of degrees in columns of their own"),
        ({"lat": 50, "lat_min": 44.76, "lon": 4, "lon_min": 3.8}, "lat_min, lon_min, minutes or seconds .* columns"),
        ({"lat_d": 50, "lat_m": 44, "lon_d": 4, "lon_m": 3}, "with lat_m, lon_m, minutes or seconds of degrees"),
        ({"Latitude (deg)": 50, "Latitude (min)": 44, "Longitude (deg)": 4, "Longitude (min)": 3},
         "minutes or seconds"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_told_is_refused_with_its_cause(tmp_path, columns, message):
    pd.DataFrame({"name": ["A"], **columns}).to_csv(tmp_path / "places.csv", index=False)
    with pytest.raises(InputError, match=message):
        geometries.read_points(tmp_path / "places.csv")
    with pytest.raises(InputError, match=message):
        read_series(
            pd.DataFrame({"id": ["A"] * 3, **bands(3), **columns}).astype({name: str for name in columns})
        )


def test_a_geometry_of_another_system_in_wkb_is_converted():
    shape = shapely.set_srid(shapely.Point(X, Y), 32631)
    lon, lat, kind = place_columns.read_geometries(
        pd.Series([shapely.to_wkb(shape, include_srid=True)]), "the table"
    )
    np.testing.assert_allclose((lon[0], lat[0]), (LON, LAT), atol=1e-7)
    assert list(kind) == ["Point"]


def test_series_whose_geometry_is_none_are_told():
    table = pd.DataFrame(
        {"id": ["A"] * 3, **bands(3), "geometry": ["POINT (4 50)", "POINT (4 50)", "field 7"]}
    )
    with pytest.warns(DataWarning, match="1 of 3 rows of .* have no geometry in geometry: without a place"):
        found = read_series(table)
    assert (found.lon[0], found.lat[0]) == (4.0, 50.0)


@pytest.mark.parametrize(
    "text", ["4.0631,50.746", "4.0631E,50.746N", "50°44'45.6\"N 4°03'47.16\"E", "50.746 N, 4.0631 E"]
)
def test_a_point_may_be_typed_as_maps_copy_it(text):
    point = geometries.parse_at(text)
    np.testing.assert_allclose((point.lon, point.lat), (LON, LAT), atol=1e-7)


@pytest.mark.parametrize("text", ["4.0631", "4.0631 50.746", "1,2,3", "50N,40N", "a,b", "nan,50", ""])
def test_a_point_that_cannot_be_told_is_refused(text):
    with pytest.raises(InputError, match="need LON,LAT in degrees"):
        geometries.parse_at(text)


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (("Breite", "Laenge"), "utf-8"), (("Breite", "Länge"), "utf-8"), (("Breite", "Länge"), "cp1252"),
        (("geogr_Breite", "geogr_Laenge"), "utf-8"), (("Šířka", "Délka"), "utf-8"),
    ],
)  # fmt: skip
def test_words_for_places_are_places_and_those_of_sizes_are_told(tmp_path, names, encoding):
    path, (lat, lon) = tmp_path / "places.csv", names
    rows = pd.DataFrame({"id": "A", **bands(3), lat: LAT, lon: LON})
    rows.to_csv(path, index=False, sep=";", decimal=",", encoding=encoding)
    warned = pytest.warns(
        DataWarning, match=f"{lon} and {lat} of .* taken for longitude and latitude in degrees; if"
    )
    with warned if "geogr" not in lat else contextlib.nullcontext():
        series = read_series(path)
    np.testing.assert_allclose([series.lon[0], series.lat[0]], [LON, LAT])
    with warned if "geogr" not in lat else contextlib.nullcontext():
        assert len(geometries.read_points(path)) == 3


def test_columns_that_look_like_places_and_are_none_are_told():
    rows = pd.DataFrame({"id": "A", **bands(3), "Latitude": LAT, "East": LON})
    with pytest.warns(
        DataWarning, match="Latitude of the Sentinel-2 table look like places and are not understood"
    ):
        assert np.isnan(read_series(rows).lat).all()
    # Nothing is told of widths, lengths and other words.
    read_series(
        rows.drop(columns="Latitude").assign(
            long_name="x", Breite=3.0, flat=1, x=12, Laenge_m=4.0, Breite_m=3.0, plateau=2
        )
    )


def test_degrees_and_minutes_of_towers_and_of_tables_of_gpp_are_refused(tmp_path):
    columns = {"lat_deg": [50], "lat_min": [44], "lon_deg": [4], "lon_min": [3]}
    pd.DataFrame({"site": ["XX-Abc"], **columns}).to_csv(tmp_path / "sites.csv", index=False)
    with pytest.raises(InputError, match=r"Got sites.csv with lat_min, lon_min, minutes or seconds"):
        towers.sites(tmp_path / "sites.csv")
    rows = pd.DataFrame({"Site": ["A"], "Date": ["2020-05-01"], **dict.fromkeys(BANDS, 0.1), **columns})
    with pytest.raises(InputError, match="with lat_min, lon_min, minutes or seconds"):
        tables.clean(rows)


@pytest.mark.parametrize(
    "text",
    [
        "50.746, 4.0631",
        "(50.746,4.0631)",
        "50.746 4.0631",
        "50,746; 4,0631",
        "50,746, 4,0631",
        "4.0631 E, 50.746 N",
        "N 50.746 E 4.0631",
        "50.746 N 4.0631 E",
        "50°44'45.6\"N 4°03'47.16\"E",
        "50°44'45.6\" 4°03'47.16\"",
    ],
)
def test_latitude_comes_first_where_maps_copy_it_so(text):
    point = geometries.parse_latlon(text)
    np.testing.assert_allclose((point.lon, point.lat), (LON, LAT), atol=1e-7)


@pytest.mark.parametrize("text", ["50.746", "1, 2, 3", "50N, 40N", "a, b", "95, 4", "50, 190", "nan, 5", ","])
def test_coordinates_that_are_no_place_are_refused(text):
    with pytest.raises(InputError, match="need latitude and longitude in degrees"):
        geometries.parse_latlon(text)


@pytest.mark.parametrize(
    ("columns", "lat"),
    [
        ({"Latitude": 49.5}, 49.5), ({"Latitud": 49.5}, 49.5),
        ({"szer. geogr.": 49.5, "dł. geogr.": 4.0}, 49.5), ({"GPS_lat": 49.5, "GPS_lon": 4.0}, 49.5),
        ({"lat": "33.4 S"}, -33.4), ({"lat": "49°30'"}, 49.5),
        ({"x": X, "y": Y, "epsg": 32631}, LAT), ({"x": 12, "y": 40}, np.nan),
    ],
)  # fmt: skip
def test_rows_of_a_table_of_gpp_have_their_latitude(columns, lat):
    rows = pd.DataFrame({"Site": ["A"], "Date": ["2020-05-01"], **dict.fromkeys(BANDS, 0.1), **columns})
    found = tables.clean(rows)
    np.testing.assert_allclose(found["lat"], lat, atol=1e-7)
    assert list(found["site"]) == ["A"]


def test_a_latitude_beyond_the_pole_is_refused():
    rows = pd.DataFrame(
        {"site": ["A"], "date": ["2020-05-01"], **dict.fromkeys(BANDS, 0.1), "lat": 5_500_000}
    )
    with pytest.raises(InputError, match=r"Got lat of 5.5e\+06, beyond 90 degrees"):
        tables.clean(rows)


def test_geometries_that_say_a_system_and_others_stand_in_one_column():
    cells = ["POINT (4 50)", f"SRID=32631;POINT ({X} {Y})", "POINT (4 50)"]
    lon, lat, _ = place_columns.read_geometries(pd.Series(cells), "the table")
    np.testing.assert_allclose(lon, [4, LON, 4], atol=1e-7)
    np.testing.assert_allclose(lat, [50, LAT, 50], atol=1e-7)
    with pytest.raises(InputError, match="in row 3 of the table, far outside of WGS 84 / UTM zone 31N"):
        place_columns.read_geometries(pd.Series([*cells[:2], f"SRID=32631;POINT ({Y} {X})"]), "the table")
