"""Places of uploaded files: whatever the command line reads the screen takes, with the same sentences."""

import io
import json
import zipfile

import geopandas
import numpy as np
import pytest
import shapely
from app_world import GRID, give
from fluxlens.app import places
from fluxlens.app.data.uploaded_file import PLACES_BYTES, uploaded_file
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.state import Place, State
from fluxlens.app.views.export import parse_points
from fluxlens.app.views.place_toolbar import PlaceToolbar
from fluxlens.models.errors import InputError

NAMES = ("meadow", "oaks")


def square(col: int, size: int = 6) -> list[list[float]]:
    x, y, side = GRID.left_m + 10 * col, GRID.top_m - 100, 10 * size
    ring = [(x, y), (x + side, y), (x + side, y - side), (x, y - side), (x, y)]
    return [[float(part) for part in GRID.lonlat(*corner)] for corner in ring]


SQUARES = {"meadow": square(5), "oaks": square(25)}
CENTRES = {name: np.mean(ring[:4], axis=0).round(7).tolist() for name, ring in SQUARES.items()}


def frame(points: bool = False) -> geopandas.GeoDataFrame:
    shapes = [shapely.Point(CENTRES[n]) if points else shapely.Polygon(SQUARES[n]) for n in NAMES]
    return geopandas.GeoDataFrame({"name": list(NAMES)}, geometry=shapes, crs=4326)


def kml(points: bool = False) -> bytes:
    marks = ""
    for name in NAMES:
        corners = " ".join(f"{lon},{lat},0" for lon, lat in SQUARES[name])
        outline = f"<outerBoundaryIs><LinearRing><coordinates>{corners}</coordinates></LinearRing></outerBoundaryIs>"
        at = "<Point><coordinates>{},{}</coordinates></Point>".format(*CENTRES[name])
        shape = at if points else f"<Polygon>{outline}</Polygon>"
        marks += f"<Placemark><name>{name}</name>{shape}</Placemark>"
    return f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{marks}</Document></kml>'.encode()


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return out.getvalue()


def file_of(kind: str, folder, points: bool = False) -> bytes:
    """The two places as people have them."""
    if kind == "geojson":
        return frame(points).to_json().encode()
    if kind == "kml":
        return kml(points)
    if kind == "kmz":
        return zipped(doc_kml=kml(points))
    if kind == "gpx":
        marks = "".join('<wpt lon="{}" lat="{}"><name>{}</name></wpt>'.format(*CENTRES[n], n) for n in NAMES)
        return f'<gpx xmlns="http://www.topografix.com/GPX/1/1">{marks}</gpx>'.encode()
    if kind == "csv":
        rows = "".join("{},{},{}\n".format(*CENTRES[name], name) for name in NAMES)
        return f"lon,lat,name\n{rows}".encode()
    if kind == "gpkg":
        frame(points).to_crs(GRID.crs).to_file(folder / "a.gpkg", driver="GPKG")
        return (folder / "a.gpkg").read_bytes()
    # In metres, so that its .prj counts.
    frame(points).to_crs(GRID.crs).to_file(folder / "a.shp")
    parts = {
        f"a_{path.suffix[1:]}": path.read_bytes() for path in folder.glob("a.*") if path.suffix != ".zip"
    }
    return zipped(**parts)


@pytest.fixture
def state(data) -> State:
    return State(places=[Place(0, *data.start_pixel)], current=0)


@pytest.mark.parametrize("kind", ["geojson", "kml", "kmz", "gpkg", "zip"])
def test_features_of_every_format_become_named_areas(state, data, tmp_path, kind):
    places.add_uploaded_places(state, data, f"fields.{kind}", file_of(kind, tmp_path))
    assert state.message == ""
    assert [place.label for place in state.places[1:]] == list(NAMES)
    for place, name in zip(state.places[1:], NAMES, strict=True):
        expected = shapely.Polygon(SQUARES[name])
        assert place.area.symmetric_difference(expected).area < 1e-3 * expected.area
        assert data.place_series(place).attrs["pixels"] == 36


@pytest.mark.parametrize("kind", ["geojson", "kml", "kmz", "gpkg", "zip", "gpx", "csv"])
def test_points_of_every_format_become_named_pixels(state, data, tmp_path, kind):
    content = file_of(kind, tmp_path, points=True)
    places.add_uploaded_places(state, data, f"plots.{kind}", content)
    assert (state.message, [place.label for place in state.places[1:]]) == ("", list(NAMES))
    expected = [GRID.pixel(*CENTRES[name]) for name in NAMES]
    assert [(place.row, place.col) for place in state.places[1:]] == expected
    assert not any(place.area for place in state.places)
    # The export of many points takes the same files.
    assert [point.name for point in parse_points(data, f"plots.{kind}", content)] == list(NAMES)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.kml", b"<!DOCTYPE x><kml/>", "document type"),
        ("a.kml", b"<kml></kml>", "a KML file without a placemark"),
        ("a.gpx", b"<gpx></gpx>", "a GPX file without waypoints"),
        ("a.zip", zipped(a_txt=b"x"), "a zip archive without a shapefile or KML"),
        ("a.gpkg", b"SQLite format 3\0" + bytes(100), "which cannot be read"),
        ("../../etc/x.kmz", b"PK\x03\x04" + bytes(50), "a zip archive without"),
        ("a.csv", b"lon,lat,name\n0,0,far\n", "inside lon"),
        ("a.geojson", b'{"type": "Feature", "geometry": {"type": "LineString", "coordinates": []}}', "LineString"),
    ],
)  # fmt: skip
def test_a_file_that_the_command_line_refuses_is_refused_in_its_words(state, data, name, content, match):
    before = state.places
    places.add_uploaded_places(state, data, name, content)
    assert match in state.message
    assert "/tmp" not in state.message
    assert "fluxlens-" not in state.message
    assert state.places == before
    # As the command line says it, without the folder of the upload.
    with uploaded_file(name, content, "x") as path:
        with pytest.raises(InputError) as raised:
            data.grid.pixel(*places_of(path))
        assert str(raised.value).replace(f"{path.parent}/", "") == state.message


def places_of(path) -> tuple[float, float]:
    (first, *_) = places.read_places(path)
    return first.lon, first.lat


def test_what_unpacks_without_end_and_outlines_without_end_are_refused(state, data):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("doc.kml", b" " * (300 * 2**20))
    assert len(bomb.getvalue()) < PLACES_BYTES
    places.add_uploaded_places(state, data, "bomb.kmz", bomb.getvalue())
    assert "need" in state.message
    assert len(state.places) == 1
    angle = np.linspace(0, 2 * np.pi, places.MAX_AREA_CORNERS + 2)
    lon, lat = GRID.lonlat(*data.centre(20, 28))
    ring = np.column_stack([lon + 1e-3 * np.cos(angle), lat + 1e-3 * np.sin(angle)])
    ring[-1] = ring[0]
    shape = {"type": "Polygon", "coordinates": [ring.round(9).tolist()]}
    places.add_uploaded_places(state, data, "round.geojson", json.dumps(shape).encode())
    assert state.message.startswith("Got an area of 50,002 corners in round.geojson, need at most 50,000")
    assert len(state.places) == 1


def test_more_features_than_colours_and_features_outside_are_named(state, data):
    rows = "".join("{},{},p{}\n".format(*CENTRES["oaks"], n) for n in range(9))
    places.add_uploaded_places(state, data, "many.csv", f"lon,lat,name\n1,1,far\n{rows}".encode())
    assert len(state.places) == len(PLACE_COLOURS)
    notes = " ".join(state.notes)
    assert "far" in notes
    assert f"of which {len(PLACE_COLOURS) - 1} have a free colour" in notes


def test_the_button_takes_names_and_bounds(state, data, tmp_path):
    toolbar = PlaceToolbar(state, data)
    assert {".kml", ".kmz", ".gpx", ".gpkg", ".zip", ".geojson", ".csv"} <= set(
        toolbar.file.accept.split(",")
    )
    give(toolbar.file, "fields.gpkg", file_of("gpkg", tmp_path))
    assert [place.label for place in state.places[1:]] == list(NAMES)
    assert give(toolbar.file, "fields.gpkg", bytes(PLACES_BYTES + 1)) == [None]
    assert state.message.startswith("Got a file of 8,388,609 bytes")


def latlon(row: int, col: int) -> str:
    lon, lat = GRID.lonlat(float(GRID.x[col]), float(GRID.y[row]))
    return f"{float(lat):.5f}, {float(lon):.5f}"


def test_typed_coordinates_move_the_place_to_their_pixel(data):
    state, moves = State(places=[Place(0, 20, 28)]), []
    toolbar = PlaceToolbar(state, data, on_go=lambda row, col: moves.append((row, col)))
    toolbar.coordinates.value = latlon(12, 54)
    assert [(place.slot, place.row, place.col) for place in state.places] == [(0, 12, 54)]
    assert moves == [(12, 54)]
    assert toolbar.coordinates.value == ""
    toolbar.add_pin.value = True
    toolbar.coordinates.value = latlon(3, 4)
    assert [(place.row, place.col) for place in state.places] == [(12, 54), (3, 4)]
    assert not toolbar.add_pin.value


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [("somewhere", "need latitude and longitude in degrees"), ("10, 20", "which is outside the scene")],
)
def test_typed_coordinates_without_a_pixel_are_said_and_stay_to_be_corrected(data, typed, sentence):
    state = State(places=[Place(0, 20, 28)])
    toolbar = PlaceToolbar(state, data)
    toolbar.coordinates.value = typed
    assert sentence in state.message
    assert (state.pixel, toolbar.coordinates.value) == ((20, 28), typed)
    # Of a place that is chosen otherwise they are the coordinates no more.
    state.pin(12, 54)
    assert toolbar.coordinates.value == ""
