"""Points and polygons as people have them: read as what they are, or told in one sentence."""

import contextlib
import io
import json
import sqlite3
import time
import warnings
import zipfile

import geopandas
import numpy as np
import pytest
import shapely
from fluxlens.embeddings.export import extract, geometries
from fluxlens.embeddings.geometry import Grid
from fluxlens.models.errors import DataWarning, InputError
from tiny_cube import DAYS, random_cube

AT = (4.0631, 50.746)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"\xef\xbb\xbflon,lat\n4.0631,50.7460\n", [""]),
        ("name,lon,lat\nGr\u00fcnland,4.0631,50.7460\n".encode("cp1252"), ["Gr\u00fcnland"]),
        (b"name;lon;lat\nplot A;4,0631;50,7460\n", ["plot A"]),
        ("lon\tlat\n4.0631\t50.7460\n".encode("utf-16"), [""]),
        (b"site,latitude,Longitude (deg)\nXX-Fld,50.7460,4.0631\n", ["XX-Fld"]),
        (b"id,y,x\n12,50.7460,4.0631\n", ["12"]),
        (b"name,lng,lat\nplot A,4.0631,50.7460\n,,\n", ["plot A"]),
    ],
)
def test_spellings_and_encodings_of_points_are_read(tmp_path, content, names):
    (tmp_path / "a.csv").write_bytes(content)
    found = geometries.read_points(tmp_path / "a.csv")
    assert [(point.lon, point.lat) for point in found] == [AT]
    assert [point.name for point in found] == names


def test_swapped_longitude_and_latitude_and_points_outside_are_told():
    cube = random_cube()
    grid = Grid.from_cube(cube)
    lon, lat = (float(v) for v in grid.lonlat(grid.x[5], grid.y[3]))
    with pytest.raises(InputError, match="swapped"):
        extract.tidy(cube, points=[geometries.Point(lat, lon)])
    with pytest.warns(DataWarning, match="1 of 2 points lie outside.*far away"):
        table = extract.tidy(
            cube, points=[geometries.Point(lon, lat, "in"), geometries.Point(lon + 1, lat, "far away")]
        )
    assert set(table["name"]) == {"in"}
    assert len(table) == DAYS


def square(grid: Grid, rows: slice, cols: slice) -> list:
    left, bottom, right, top = grid.window(rows, cols).extent
    xs, ys = np.array([left, right, right, left, left]), np.array([bottom, bottom, top, top, bottom])
    return np.column_stack(grid.lonlat(xs, ys)).tolist()


def written(tmp_path, features, encoding="utf-8", **members):
    path = tmp_path / "a.geojson"
    path.write_bytes(
        json.dumps({"type": "FeatureCollection", "features": features, **members}).encode(encoding)
    )
    return path


def feature(rings, **more) -> dict:
    geometry = None if rings is None else {"type": "Polygon", "coordinates": rings}
    return {"type": "Feature", "properties": {}, "geometry": geometry, **more}


def test_features_holes_crs_and_missing_geometries_keep_their_pixels(tmp_path):
    cube = random_cube()
    grid = Grid.from_cube(cube)
    first, second = square(grid, slice(2, 7), slice(2, 7)), square(grid, slice(10, 12), slice(3, 5))
    plain = geometries.read_polygon(written(tmp_path, [feature([first], id="f0")], "utf-8-sig"))
    assert geometries.pixels_inside(grid, plain).sum() == 25
    holed = geometries.read_polygon(
        written(tmp_path, [feature([first, square(grid, slice(4, 5), slice(4, 5))])])
    )
    assert geometries.pixels_inside(grid, holed).sum() == 24
    two = geometries.read_polygon(written(tmp_path, [feature([first], id="f0"), feature([second], id="f1")]))
    table = extract.tidy(cube, polygon=two)
    assert table.groupby("name").size().to_dict() == {"f0": 25 * DAYS, "f1": 4 * DAYS}
    with pytest.warns(DataWarning, match="no geometry: left out .f0"):
        some = geometries.read_polygon(
            written(tmp_path, [feature(None, id="f0"), feature([second], id="f1")])
        )
    assert [region.name for region in some] == ["f1"]
    metres = np.column_stack(grid.xy(*np.array(first).T)).tolist()
    crs = {"type": "name", "properties": {"name": grid.crs}}
    utm = geometries.read_polygon(written(tmp_path, [feature([metres])], crs=crs))
    assert geometries.pixels_inside(grid, utm).sum() == 25
    with pytest.raises(InputError, match="crs member"):
        geometries.read_polygon(written(tmp_path, [feature([metres])]))
    bow = [first[0], first[2], first[1], first[3], first[0]]
    with pytest.warns(DataWarning, match="cross"):
        assert geometries.pixels_inside(
            grid, geometries.read_polygon(written(tmp_path, [feature([bow])]))
        ).any()


def test_the_share_of_a_polygon_in_the_scene_is_told():
    cube = random_cube()
    grid = Grid.from_cube(cube)
    half = [[np.array(square(grid, slice(0, 4), slice(0, 4))) - [0, 0]]]
    half[0][0][[0, 3, 4], 0] -= half[0][0][1, 0] - half[0][0][0, 0]
    with pytest.warns(DataWarning, match="inside: polygon 1 5"):
        table = extract.tidy(cube, polygon=half)
    assert table.attrs["share_inside"].startswith("polygon 1 5")


@pytest.mark.real
def test_the_cases_of_polygons_have_the_pixels_of_the_plain_one(real_data):
    folder = real_data.parent / "cases" / "18_polygons"
    grid = Grid("EPSG:32631", 574800.0, 5622300.0, 10.0, 64, 64)
    for path in sorted(folder.glob("*.geojson")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            regions = geometries.read_polygon(path)
        if path.stem != "half_outside":
            assert geometries.pixels_inside(grid, regions[:1]).sum() == 25, path.name


def ring_at(lon: float, lat: float, crossing: bool = False, side: float = 2e-4) -> list[list[float]]:
    """A closed square, or a bow tie on its corners."""
    corners = [[lon, lat], [lon + side, lat], [lon + side, lat + side], [lon, lat + side]]
    corners = [corners[at] for at in ((0, 2, 1, 3) if crossing else range(4))]
    return [*corners, corners[0]]


def test_a_hundred_thousand_rings_are_read_in_seconds_and_have_their_pixels(tmp_path):
    grid = Grid("EPSG:32631", 574800.0, 5622300.0, 10.0, 64, 64)
    places = np.random.default_rng(0).uniform((4.060, 50.742), (4.068, 50.748), (100_000, 2)).tolist()
    parts = [[ring_at(*place, side=2e-5)] for place in places]
    path = tmp_path / "rings.geojson"
    path.write_text(json.dumps({"type": "MultiPolygon", "coordinates": parts}))
    began = time.process_time()
    [region] = geometries.read_polygon(path)
    found = geometries.pixels_inside(grid, [region])
    # 1.5 s of one core; the bound leaves room for slow machines and not for a call per ring, which takes 12 s
    assert time.process_time() - began < 6
    lon, lat = grid.lonlat(*np.meshgrid(grid.x, grid.y))
    centres = shapely.points(lon, lat).ravel()
    inside = np.unique(shapely.STRtree(list(region.geometry.geoms)).query(centres, predicate="within")[0])
    assert found.sum() > 1000
    # A square in degrees is none in metres: its edges move by micrometres.
    assert np.count_nonzero(found.ravel() != np.isin(np.arange(found.size), inside)) <= 3


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (
            {"type": "MultiPolygon", "coordinates": [[ring_at(4.06 + n * 1e-7, 50.74, True)] for n in range(20_001)]},
            "20,001 polygons whose rings cross, need at most 20,000",
        ),
        (
            {"type": "Polygon", "coordinates": [np.random.default_rng(1).random((3000, 2)).tolist()]},
            "3,001 corners whose rings cross in about",
        ),
    ],
    ids=["many", "one"],
)  # fmt: skip
def test_rings_whose_mending_would_take_minutes_are_refused(tmp_path, geometry, message):
    path = tmp_path / "bows.geojson"
    path.write_text(json.dumps(geometry))
    with pytest.raises(InputError, match=message):
        geometries.read_polygon(path)


def test_of_many_features_those_that_cross_are_mended_and_the_others_kept(tmp_path):
    features = [
        {
            "type": "Feature",
            "properties": {"name": f"f{n}"},
            "geometry": {"type": "Polygon", "coordinates": [ring_at(4.06 + n * 1e-3, 50.74, n == 1)]},
        }
        for n in range(3)
    ]
    # heights beside places without: corners of two lengths
    features[2]["geometry"]["coordinates"][0][0] += [12.0]
    path = tmp_path / "some.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.warns(DataWarning, match=r"1 features .* cross: mended \(f1\)"):
        regions = geometries.read_polygon(path)
    areas = [region.geometry.area for region in regions]
    np.testing.assert_allclose(areas, [4e-8, 2e-8, 4e-8], rtol=1e-6)


def zipped(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, b"x")
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        "name,WKT\na,POINT (4.0631 50.7460)\n",
        "name,geometry\na,SRID=4326;POINT Z (4.0631 50.7460 12)\n",
        'system:index,name,.geo\n0,a,"{""type"":""Point"",""coordinates"":[4.0631,50.746]}"\n',
        "Site,Latitude (\u00b0),Longitude (\u00b0)\na,50.746,4.0631\n",
        "name lon lat\na 4.0631 50.746\n",
    ],
)
def test_one_column_of_geometries_is_read_as_points(tmp_path, content):
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    (point,) = geometries.read_points(tmp_path / "a.csv")
    assert (point.lon, point.lat, point.name) == (*AT, "a")


def test_longitudes_from_0_to_360_are_those_of_the_west_and_told(tmp_path):
    (tmp_path / "a.csv").write_text("lon,lat\n355.9,50.7\n10,50.7\n")
    with pytest.warns(DataWarning, match="1 longitudes of the points a.csv are beyond 180"):
        found = geometries.read_points(tmp_path / "a.csv")
    assert [point.lon for point in found] == pytest.approx([-4.1, 10])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.kml", b'<?xml version="1.0"?><kml xmlns="x"/>', "a KML file without a placemark"),
        ("a.kml", b'<!DOCTYPE kml [<!ENTITY a "b">]><kml>&a;</kml>', "with a document type"),
        ("a.kml", b"<kml><Placemark><Point><coordinates>4,x</coordinates></Point></Placemark></kml>", "cannot be read"),
        ("a.kml", b"<kml><Placemark>", "cannot be read .* need a whole file; convert it with ogr2ogr"),
        ("a.gpx", b'<?xml version="1.0"?><gpx/>', "a GPX file without waypoints"),
        ("a.gml", b"<gml:a/>", "an XML file, need CSV, GeoJSON, KML, .*; convert it with ogr2ogr -t_srs EPSG:4326"),
        ("a.kmz", zipped("doc.kml"), "cannot be read"),
        ("a.zip", zipped("sites.shp"), "cannot be read"),
        ("a.zip", zipped("points.csv"), "a zip archive without a shapefile or KML"),
        ("a.shp", b"\x00\x00\x27\x0a" + bytes(23) + b"\x80" + bytes(72), "has 100 of 256 bytes"),
        ("a.shp", b"\x00\x00\x27\x0a" + bytes(9), "cannot be read"),
        ("a.gpkg", b"SQLite format 3\x00", "cannot be read"),
        ("a.csv", b"easting,northing\n574925,5622195\n", "convert easting and northing, which are metres"),
        ("a.csv", b"4.1,50.7\n4.2,50.8\n", "the first line holds numbers"),
        ("a.csv", b"lon,lat\n4.1,50.7\n574925,5622195\n", "Got lon 574925, lat 5.6222e.06 in row 2 of"),
        ("a.csv", b"name,wkt\na,POLYGON EMPTY\n", "Got Polygon in row 1 of .* need a point"),
        ("a.csv", b"name,wkt\na,4.1 50.7\n", "Got 4.1 50.7 in row 1 of .* need a point"),
        ("a.json", json.dumps({"type": "Topology"}).encode(), "which is TopoJSON, need GeoJSON"),
        ("a.json", json.dumps({"geometryType": "esriGeometryPoint"}).encode(), "which is Esri JSON, need GeoJSON"),
        ("a.json", json.dumps({"type": "Polygon", "coordinates": []}).encode(), "give the file as --polygon"),
    ],
)  # fmt: skip
def test_a_file_of_places_that_is_something_else_is_named_for_what_it_is(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        geometries.read_points(tmp_path / name)


def test_a_folder_of_places_is_called_a_folder(tmp_path):
    with pytest.raises(InputError, match="which is a folder, need a file"):
        geometries.read_points(tmp_path)


def test_a_polygon_across_the_antimeridian_is_no_strip_around_the_earth(tmp_path):
    ring = [[179.9, -10], [-179.9, -10], [-179.9, -10.1], [179.9, -10.1], [179.9, -10]]
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    with pytest.raises(
        InputError, match=r"the polygon 1 in .* an edge of more than 180 degrees.* cut it there into two"
    ):
        geometries.read_polygon(path)
    halves = [
        [[[179.9, -10], [180, -10], [180, -10.1], [179.9, -10.1], [179.9, -10]]],
        [[[-180, -10], [-179.9, -10], [-179.9, -10.1], [-180, -10.1], [-180, -10]]],
    ]
    path.write_text(json.dumps({"type": "MultiPolygon", "coordinates": halves}))
    assert geometries.read_polygon(path)[0].geometry.area == pytest.approx(0.02)


def fields(crs: str) -> geopandas.GeoDataFrame:
    """Two fields, one with a hole, named with an accent."""
    hole = shapely.box(4.0, 50.7, 4.1, 50.8) - shapely.box(4.04, 50.74, 4.06, 50.76)
    table = {"plot": ["Grünland", "b"], "geometry": [hole, shapely.box(4.2, 50.7, 4.3, 50.8)]}
    return geopandas.GeoDataFrame(table, crs=4326).to_crs(crs)


KML_FIELDS = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Folder>
<Placemark><name>Grünland</name><Polygon>
<innerBoundaryIs><LinearRing><coordinates>
4.04,50.74,0 4.06,50.74,0 4.06,50.76,0 4.04,50.76,0 4.04,50.74,0</coordinates></LinearRing></innerBoundaryIs>
<outerBoundaryIs><LinearRing><coordinates>
4.0,50.7,0 4.1,50.7,0 4.1,50.8,0 4.0,50.8,0 4.0,50.7,0</coordinates></LinearRing></outerBoundaryIs>
</Polygon></Placemark>
<Placemark><ExtendedData><SchemaData><SimpleData name="plot">b</SimpleData></SchemaData></ExtendedData>
<MultiGeometry><Point><coordinates>4.25,50.75</coordinates></Point><Polygon><outerBoundaryIs><LinearRing><coordinates>
4.2,50.7 4.3,50.7 4.3,50.8 4.2,50.8 4.2,50.7</coordinates></LinearRing></outerBoundaryIs></Polygon></MultiGeometry>
</Placemark></Folder></Document></kml>"""


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32631", "EPSG:3035"])
@pytest.mark.parametrize("kind", ["gpkg", "shp", "shp in zip", "kml", "kmz", "kml by GDAL", "parquet"])
def test_polygons_of_gis_programs_are_those_of_geojson(tmp_path, kind, crs):
    table, path = fields(crs), tmp_path / f"fields.{kind.split()[0]}"
    if kind in ("kml", "kmz"):
        path.write_text(KML_FIELDS, encoding="utf-8")
        if kind == "kmz":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("doc.kml", KML_FIELDS)
    elif kind == "kml by GDAL":
        table.to_crs(4326).rename(columns={"plot": "Name"}).to_file(path, driver="KML")
    elif kind == "parquet":
        table.to_parquet(path)
    else:
        table.to_file(path)
    if kind == "shp in zip":
        with zipfile.ZipFile(tmp_path / "fields.zip", "w") as archive:
            for suffix in (".shp", ".shx", ".dbf", ".prj", ".cpg"):
                archive.write(path.with_suffix(suffix), f"nested/fields{suffix}")
        path = tmp_path / "fields.zip"
    found = geometries.read_polygon(path)
    assert [region.name for region in found] == ["Grünland", "b"]
    for region, shape in zip(found, fields("EPSG:4326").geometry, strict=True):
        assert region.geometry.symmetric_difference(shape).area < 1e-6


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".kml", ".gpx", ".parquet"])
def test_points_of_gis_programs_are_points(tmp_path, suffix):
    table = geopandas.GeoDataFrame(
        {"name": ["a", "b"], "geometry": [shapely.Point(4.06, 50.74), shapely.Point(4.2, 50.8)]}, crs=4326
    )
    path = tmp_path / f"sites{suffix}"
    if suffix == ".parquet":
        table.to_crs(32631).to_parquet(path)
    elif suffix in (".gpkg", ".shp"):
        table.to_crs(32631).to_file(path)
    elif suffix == ".kml":
        table.rename(columns={"name": "Name"}).to_file(path, driver="KML")
    else:
        table.to_file(path, driver="GPX", layer="waypoints")
    found = geometries.read_points(path)
    assert [point.name for point in found] == ["a", "b"]
    np.testing.assert_allclose(
        [(point.lon, point.lat) for point in found], [(4.06, 50.74), (4.2, 50.8)], atol=1e-6
    )


def test_a_file_of_several_layers_or_without_a_coordinate_system_is_told(tmp_path):
    path = tmp_path / "farm.gpkg"
    for layer in ("fields", "roads"):
        fields("EPSG:32631").to_file(path, layer=layer)
    with pytest.raises(InputError, match=r"2 layers \(fields, roads\), need one; convert it with ogr2ogr"):
        geometries.read_polygon(path)
    for crs in ("EPSG:4326", "EPSG:32631"):
        fields(crs).to_file(tmp_path / "fields.shp")
        (tmp_path / "fields.prj").unlink()
        if crs == "EPSG:4326":
            with pytest.warns(DataWarning, match="has no .prj: its coordinates are taken for lon, lat"):
                assert len(geometries.read_polygon(tmp_path / "fields.shp")) == 2
        else:
            with pytest.raises(InputError, match=r"which are no degrees, need its \.prj"):
                geometries.read_polygon(tmp_path / "fields.shp")


def test_a_database_that_computes_for_ever_is_not_queried(tmp_path):
    path = tmp_path / "fields.gpkg"
    fields("EPSG:4326").to_file(path)
    database = sqlite3.connect(path)
    database.execute("DROP TABLE fields")
    database.execute(
        "CREATE VIEW fields AS WITH RECURSIVE n(geom) AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT geom FROM n"
    )
    database.commit()
    database.close()
    with pytest.raises(InputError, match=r"0 layers \(none\)"):
        geometries.read_polygon(path)


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".kml", ".zip"])
def test_a_damaged_file_of_a_gis_program_is_one_sentence(tmp_path, suffix):
    path = tmp_path / f"fields{suffix}"
    fields("EPSG:4326").to_file(tmp_path / "fields.shp")
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for part in (".shp", ".dbf", ".prj"):
                archive.write(tmp_path / f"fields{part}", f"fields{part}")
    elif suffix == ".kml":
        path.write_text(KML_FIELDS, encoding="utf-8")
    else:
        fields("EPSG:4326").to_file(path)
    whole, random = path.read_bytes(), np.random.default_rng(3)
    for _ in range(60):
        content = bytearray(whole[: random.integers(1, len(whole))] if random.random() < 0.5 else whole)
        for at in random.integers(0, len(content), 3):
            content[at] ^= 1 << random.integers(8)
        path.write_bytes(content)
        with warnings.catch_warnings(), contextlib.suppress(InputError):
            warnings.simplefilter("ignore", DataWarning)
            geometries.read_polygon(path)


@pytest.mark.parametrize(
    "member",
    [{"type": "EPSG", "properties": {"code": 32631}}, {"properties": {"name": "EPSG:32631"}}, "EPSG:32631"],
)
def test_a_crs_member_of_any_form_is_understood(tmp_path, member):
    shape = fields("EPSG:32631").geometry[1]
    text = json.dumps(
        {"type": "Feature", "properties": {}, "crs": member, "geometry": shapely.geometry.mapping(shape)}
    )
    (tmp_path / "a.geojson").write_text(text)
    found = geometries.read_polygon(tmp_path / "a.geojson")[0].geometry
    assert found.symmetric_difference(fields("EPSG:4326").geometry[1]).area < 1e-9


@pytest.mark.parametrize("form", ["WKT", ".geo", "EWKT"])
def test_a_table_of_polygons_has_the_pixels_of_geojson(tmp_path, form):
    cube = random_cube()
    grid = Grid.from_cube(cube)
    rings = [square(grid, slice(2, 7), slice(2, 7)), square(grid, slice(10, 12), slice(3, 5))]
    right = geometries.read_polygon(
        written(tmp_path, [feature([ring], id=name) for ring, name in zip(rings, "AB", strict=True)])
    )
    shapes = [shapely.Polygon(ring) for ring in rings]
    if form == ".geo":
        cells = [json.dumps(shapely.geometry.mapping(shape)) for shape in shapes]
    elif form == "WKT":
        cells = [shape.wkt for shape in shapes]
    else:
        code = grid.crs.removeprefix("EPSG:")
        cells = [
            f"SRID={code};{shapely.transform(shape, lambda at: np.column_stack(grid.xy(*at.T))).wkt}"
            for shape in shapes
        ]
    table = geopandas.pd.DataFrame(
        {"system:index": [0, 1], "name": ["A", "B"], form.replace("EWKT", "wkt"): cells}
    )
    table.to_csv(tmp_path / "fields.csv", index=False)
    found = geometries.read_polygon(tmp_path / "fields.csv")
    assert [region.name for region in found] == ["A", "B"]
    np.testing.assert_array_equal(
        geometries.pixels_inside(grid, found), geometries.pixels_inside(grid, right)
    )
    assert geometries.pixels_inside(grid, found).sum() == 29


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "name,lon,lat\nA,4,50\n",
            "with the columns name, lon, lat, need GeoJSON, or a table with a column wkt",
        ),
        ("name,wkt\nA,field 7\n", "Got 'field 7' in row 1 of .*, need a polygon as WKT"),
        ("name,wkt\nA,POINT (4 50)\n", "Got a Point in .*, need Polygon"),
        ("name,wkt\nA,SRID=99999;POINT (4 50)\n", "Got the CRS '99999'"),
    ],
)
def test_a_table_without_polygons_is_told(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        geometries.read_polygon(tmp_path / "a.csv")
