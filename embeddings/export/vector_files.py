"""Points and polygons in the files of GIS programs: KML, KMZ, GPX, GeoPackage, GeoParquet, shapefiles plain and zipped.

Each becomes the features of a GeoJSON, in the coordinates of the file, and the file's coordinate system. What people
draw in Google Earth is KML, what QGIS writes is a GeoPackage or a shapefile. Files come from anywhere: XML with
entities is refused, what unpacks is bounded, and of a database only plain tables are read. The file is long for the
formats in use, each a short reader.
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
import warnings
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import pyproj
from fluxlens.embeddings.text_encoding import decode_text
from fluxlens.embeddings.unpacking import MAX_IN_MEMORY_BYTES, check_unpacked
from fluxlens.models.errors import DataWarning, InputError

MAX_XML_BYTES = 64 * 2**20
"""A tree of elements takes some ten times its text."""

SQLITE_STEPS_AT_MOST = 2_000_000_000
"""Instructions of SQLite's machine: a table of ten million corners takes far less, a query without an end more."""

# Bytes of the bounding box in the header of a geometry, by bits 1-3 of its flags (GeoPackage 1.3, clause 2.1.3).
ENVELOPE_BYTES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
SHAPEFILE_PARTS = (".shp", ".dbf", ".prj", ".cpg")


def find_format(path: Path) -> str:
    """What a file of places is by its first bytes.

    Parameters
    ----------
    path : Path
        A file.

    Returns
    -------
    str
        ``kml``, ``kmz``, ``gpx``, ``gpkg``, ``geoparquet``, ``shp``, ``zipped shp``; ``zip`` and ``xml`` of any other;
        empty for text and for tables of numbers.
    """
    with path.open("rb") as stream:
        head = stream.read(4096)
    # Magic numbers first; a name proves nothing. A GeoPackage is an SQLite database.
    if head.startswith(b"SQLite format 3"):
        return "gpkg"
    # 9994, big-endian: the file code of a Shapefile.
    if head.startswith(b"\x00\x00\x27\x0a"):
        return "shp"
    if head.startswith(b"PAR1"):
        return "geoparquet" if _geometry_column(path) else ""
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                suffixes = {Path(name).suffix.lower() for name in archive.namelist()}
        except (zipfile.BadZipFile, OSError, ValueError):
            return "zip"
        zipped = "kmz" if ".kml" in suffixes else "zipped shp" if ".shp" in suffixes else ""
        # Workbooks are zips too, and known by the reader of tables.
        return zipped or ("zip" if path.suffix.lower() in (".zip", ".kmz") else "")
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace")
    text = text.lstrip("\ufeff \n\r\t").lower()
    # XML: the root element may carry a namespace prefix, and stand after comments.
    if text.startswith("<"):
        return next((name for name in ("kml", "gpx") if re.search(rf"<(\w+:)?{name}\b", text)), "xml")
    return ""


def read_vector_file(path: Path, kind: str) -> tuple[list[dict], pyproj.CRS | None]:
    """Features of a file of a GIS program.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        Of ``find_format``.

    Returns
    -------
    list of dict
        GeoJSON features, coordinates (lon, lat in degrees, or x, y in metres) as the file has them; ``geometry`` may
        be None.
    pyproj.CRS or None
        Of the coordinates; None where the file does not tell it, or it is that of KML and GPX: lon, lat on WGS 84.

    Raises
    ------
    InputError
        The file is damaged, has several layers, or is of a kind that is not read.
    """
    readers = {"kml": _read_xml, "gpx": _read_xml, "kmz": _read_kmz, "gpkg": _read_geopackage}
    readers["geoparquet"] = _read_geoparquet
    readers |= {"shp": _read_shapefile, "zipped shp": _read_zipped_shapefile}
    if kind not in readers:
        what = "a zip archive without a shapefile or KML" if kind == "zip" else "an XML file"
        raise InputError(
            f"Got {path}, {what}, need CSV, GeoJSON, KML, a GeoPackage or a shapefile; {_convert(path)}."
        )
    try:
        return readers[kind](path)
    except InputError:
        raise
    # Damaged files make each of the readers fail in its own ways: struct.error, OverflowError, UnicodeDecodeError ...
    except Exception as error:
        why = (str(error).splitlines() or [""])[0][:80] or type(error).__name__
        raise InputError(
            f"Got {path}, which cannot be read ({why}), need a whole file; {_convert(path)}."
        ) from error


def _convert(path: Path, layer: str = "") -> str:
    """The command that makes a GeoJSON of anything GDAL reads."""
    return f"convert it with ogr2ogr -t_srs EPSG:4326 {path.stem}.geojson {path.name}{f' {layer}' if layer else ''}"


def _unzipped(path: Path, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    """Bytes of the members of a zip with these suffixes, by their names, within the bounds of unpacking."""
    with zipfile.ZipFile(path) as archive:
        # macOS adds a second file of metadata beside each one, by the same name.
        infos = [one for one in archive.infolist() if "__MACOSX" not in one.filename and not one.is_dir()]
        infos = [one for one in infos if Path(one.filename).suffix.lower() in suffixes]
        size, packed = sum(one.file_size for one in infos), sum(one.compress_size for one in infos)
        check_unpacked(path.name, size, packed, MAX_IN_MEMORY_BYTES)
        return {one.filename: archive.read(one) for one in infos}


def _read_kmz(path: Path) -> tuple[list[dict], None]:
    members = _unzipped(path, (".kml",))
    # doc.kml is the document of a KMZ by its specification, others are linked from it.
    name = min(members, key=lambda one: (Path(one).name.lower() != "doc.kml", one.count("/"), one))
    return _features_of_xml(members[name], path), None


def _read_xml(path: Path) -> tuple[list[dict], None]:
    return _features_of_xml(path.read_bytes(), path), None


def _features_of_xml(content: bytes, path: Path) -> list[dict]:
    """Placemarks of a KML, or waypoints of a GPX."""
    if len(content) > MAX_XML_BYTES:
        raise InputError(
            f"Got {path} of over {MAX_XML_BYTES // 2**20} MiB of XML, need less; {_convert(path)}."
        )
    text, _ = decode_text(content, str(path))
    # A document type may declare entities that grow without bounds or read files of this machine.
    if "<!doctype" in text.lower() or "<!entity" in text.lower():
        raise InputError(f"Got {path} with a document type (<!DOCTYPE>), need plain KML; remove that line.")
    root = ET.fromstring(text)
    if _tag(root) == "gpx":
        points = [one for one in root if _tag(one) == "wpt"]
        if not points:
            raise InputError(
                f"Got {path}, a GPX file without waypoints, need some; {_convert(path, 'tracks')}."
            )
        return [
            _feature({"type": "Point", "coordinates": [float(one.attrib["lon"]), float(one.attrib["lat"])]},
                     {"name": _text(one, "name")})
            for one in points
        ]  # fmt: skip
    marks = [one for one in root.iter() if _tag(one) == "Placemark"]
    if not marks:
        raise InputError(f"Got {path}, a KML file without a placemark, need points or polygons; save those.")
    out = []
    for mark in marks:
        properties = {"name": _text(mark, "name")}
        for one in mark.iter():
            # ExtendedData: typed values of a schema, or pairs of a name and a value.
            if _tag(one) == "SimpleData" and "name" in one.attrib:
                properties.setdefault(one.attrib["name"], (one.text or "").strip())
            elif _tag(one) == "Data" and "name" in one.attrib:
                properties.setdefault(one.attrib["name"], _text(one, "value"))
        shapes = [shape for one in mark if (shape := _shape_of_kml(one)) is not None]
        out.append(_feature(shapes[0] if shapes else None, properties))
    return out


def _shape_of_kml(element: ET.Element) -> dict | None:
    """A geometry of GeoJSON of an element of KML; None where the element is something else."""
    kind = _tag(element)
    if kind in ("Point", "LineString", "LinearRing"):
        corners = _corners(_text(element, "coordinates"))
        if kind == "Point":
            return {"type": "Point", "coordinates": corners[0] if corners else []}
        return {"type": "LineString", "coordinates": corners}
    if kind == "Polygon":
        # The outer ring first, whatever the order in the file.
        bounds = sorted((one for one in element if _tag(one).endswith("BoundaryIs")), key=_tag, reverse=True)
        rings = [one for bound in bounds for one in bound if _tag(one) == "LinearRing"]
        return {"type": "Polygon", "coordinates": [_corners(_text(one, "coordinates")) for one in rings]}
    if kind in ("MultiGeometry", "MultiTrack", "Track", "Model"):
        shapes = [shape for one in element if (shape := _shape_of_kml(one)) is not None]
        # A label point beside a polygon is no part of its area.
        areas = [one["coordinates"] for one in shapes if one["type"] == "Polygon"]
        areas += [ring for one in shapes if one["type"] == "MultiPolygon" for ring in one["coordinates"]]
        if areas:
            return {"type": "MultiPolygon", "coordinates": areas}
        return shapes[0] if len(shapes) == 1 else {"type": kind, "coordinates": []}
    return None


def _corners(text: str) -> list[list[float]]:
    """[lon, lat] of ``lon,lat[,height] lon,lat[,height]``."""
    # Some programs put blanks behind the commas.
    words = re.sub(r"\s*,\s*", ",", text.strip()).split()
    return [[float(number) for number in word.split(",")[:2]] for word in words]


def _tag(element: ET.Element) -> str:
    """Name of an element without its namespace, which differs between versions of KML."""
    return str(element.tag).rsplit("}", 1)[-1]


def _text(element: ET.Element, name: str) -> str:
    """Text of the first child of a name."""
    return next(((one.text or "").strip() for one in element if _tag(one) == name), "")


def _feature(geometry: Any, properties: dict) -> dict:
    """A GeoJSON feature; several parts of which there is one become that part, and no part no geometry."""
    if geometry is not None:
        kind, coordinates = geometry["type"], geometry.get("coordinates") or ()
        if kind == "MultiPoint" and len(coordinates) == 1:
            geometry = {"type": "Point", "coordinates": coordinates[0]}
        elif not len(coordinates) and not geometry.get("geometries"):
            geometry = (
                None if kind in ("GeometryCollection", "Point", "Polygon", "MultiPolygon") else geometry
            )
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _read_geopackage(path: Path) -> tuple[list[dict], pyproj.CRS | None]:
    import shapely
    from shapely.geometry import mapping

    # Read-only and immutable: no journal is made beside the user's file, and none is looked for.
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        # The file comes from anywhere: its schema may not call functions with side effects.
        database.execute("PRAGMA trusted_schema = OFF")
        steps = 0

        # SQLite calls this every million steps of its virtual machine; a returned 1 ends the query, so that no crafted
        # file computes for ever.
        def count_steps() -> int:
            nonlocal steps
            steps += 1_000_000
            return int(steps > SQLITE_STEPS_AT_MOST)

        database.set_progress_handler(count_steps, 1_000_000)
        layers = database.execute(
            "SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns"
            # A view may compute for ever; features are kept in tables.
            " WHERE table_name IN (SELECT name FROM sqlite_master WHERE type = 'table')"
        ).fetchall()
        if len(layers) != 1:
            names = ", ".join(name for name, *_ in layers[:5]) or "none"
            raise InputError(
                f"Got {path} with {len(layers)} layers ({names}), need one;"
                f" {_convert(path, layers[0][0] if layers else '')}."
            )
        table, column, system = layers[0]
        # Names of tables cannot be parameters of a query; a doubled quote is SQLite's own escape.
        quoted = table.replace('"', '""')
        rows = database.execute(f'SELECT * FROM "{quoted}"')
        names = [one[0] for one in rows.description]
        at = names.index(column)
        features = []
        for row in rows:
            shape = shapely.from_wkb(_wkb(row[at])) if row[at] is not None else None
            geometry = None if shape is None or shape.is_empty else mapping(shape)
            properties = {
                name: value
                for name, value in zip(names, row, strict=True)
                # Other columns are BLOBs, pictures among them, and no names or attributes.
                if isinstance(value, str | int | float)
            }
            features.append(_feature(geometry, properties))
        srs = database.execute(
            "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?",
            (system,),
        ).fetchone()
    finally:
        database.close()
    # -1 and 0 are the specification's "undefined".
    if srs is None or system in (-1, 0):
        return features, None
    code = f"{srs[0]}:{srs[1]}"
    return features, pyproj.CRS.from_user_input(code if srs[0].upper() == "EPSG" else srs[2])


def _geometry_column(path: Path) -> str:
    """The column of geometries of a GeoParquet, or of a Parquet with WKB in a column of that name; else empty."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        facts = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
        named = str(facts.get("primary_column") or "geometry")
    except (pa.ArrowException, OSError, ValueError, AttributeError):
        return ""
    is_in_schema = named in schema.names and pa.types.is_binary(schema.field(named).type)
    return named if is_in_schema or "primary_column" in facts else ""


def _read_geoparquet(path: Path) -> tuple[list[dict], pyproj.CRS | None]:
    import pyarrow.parquet as pq
    import shapely
    from shapely.geometry import mapping

    facts = pq.read_metadata(path)
    unpacked = sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))
    check_unpacked(path.name, unpacked, path.stat().st_size, MAX_IN_MEMORY_BYTES)
    table, column = pq.read_table(path), _geometry_column(path)
    facts = json.loads((table.schema.metadata or {}).get(b"geo", b"{}"))
    features = []
    for row in table.to_pylist():
        blob = row.pop(column, None)
        shape = None if blob is None else shapely.from_wkb(blob)
        properties = {name: value for name, value in row.items() if isinstance(value, str | int | float)}
        features.append(_feature(None if shape is None or shape.is_empty else mapping(shape), properties))
    # Without a CRS the specification says longitude and latitude on WGS 84.
    crs = facts.get("columns", {}).get(column, {}).get("crs")
    return features, None if crs is None else pyproj.CRS.from_json_dict(crs)


def _wkb(blob: bytes) -> bytes:
    """The geometry without GeoPackage's own header."""
    if blob[:2] != b"GP":
        raise ValueError("a geometry without its header")
    return blob[8 + ENVELOPE_BYTES[(blob[3] >> 1) & 0b111] :]


def _read_shapefile(path: Path) -> tuple[list[dict], pyproj.CRS | None]:
    siblings = {one.suffix.lower(): one for one in path.parent.iterdir() if one.stem == path.stem}
    contents = {suffix: siblings[suffix].read_bytes() for suffix in SHAPEFILE_PARTS if suffix in siblings}
    return _features_of_shapefile(contents | {".shp": path.read_bytes()}, path)


def _read_zipped_shapefile(path: Path) -> tuple[list[dict], pyproj.CRS | None]:
    members = _unzipped(path, SHAPEFILE_PARTS)
    stems = sorted(name[:-4] for name in members if name.lower().endswith(".shp"))
    if len(stems) != 1:
        names = ", ".join(Path(stem).name for stem in stems[:5])
        raise InputError(f"Got {path} with {len(stems)} shapefiles ({names}), need one; zip it alone.")
    contents = {Path(name).suffix.lower(): data for name, data in members.items() if name[:-4] == stems[0]}
    return _features_of_shapefile(contents, path)


def _features_of_shapefile(contents: dict[str, bytes], path: Path) -> tuple[list[dict], pyproj.CRS | None]:
    """Features of the bytes of a shapefile by suffix."""
    import shapefile

    # Names of countries with accents: the .cpg tells the encoding, else it is that of Windows or UTF-8.
    declared = contents.get(".cpg", b"").decode("ascii", "ignore").strip().lower()
    encoding = {"": "utf-8", "65001": "utf-8", "1252": "cp1252", "ansi 1252": "cp1252"}.get(
        declared, declared
    )
    streams = {suffix[1:]: io.BytesIO(contents[suffix]) for suffix in (".shp", ".dbf") if suffix in contents}
    # The header tells the length in words of two bytes, which a download that broke off does not have.
    declared_bytes = 2 * int.from_bytes(contents[".shp"][24:28], "big")
    if declared_bytes > len(contents[".shp"]):
        raise InputError(
            f"Got {path} whose .shp has {len(contents['.shp'])} of {declared_bytes} bytes, need a whole file; fetch it"
            " again."
        )
    # cp1252 decodes any byte but five: names may read wrong, but the geometry is right.
    for trial in (encoding, "cp1252"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of headers, which are checked above
                reader = shapefile.Reader(**streams, encoding=trial)
                shapes = reader.shapes()
                records = (
                    [one.as_dict() for one in reader.records()] if ".dbf" in contents else [{}] * len(shapes)
                )
            break
        except (UnicodeDecodeError, LookupError):
            for stream in streams.values():
                stream.seek(0)
    # The two files of a Shapefile belong together by position alone.
    if len(records) != len(shapes):
        raise InputError(
            f"Got {path} with {len(shapes)} shapes and {len(records)} rows in its .dbf, need the same; export it again."
        )
    features = [_feature(one.__geo_interface__, record) for one, record in zip(shapes, records, strict=True)]
    text = contents.get(".prj", b"").decode("utf-8", "replace").strip()
    if text:
        return features, pyproj.CRS.from_wkt(text)
    left, bottom, right, top = reader.bbox
    # Without a .prj, coordinates within degrees are taken for degrees, with a warning; others cannot be.
    if max(abs(left), abs(right)) > 180 or max(abs(bottom), abs(top)) > 90:
        raise InputError(
            f"Got {path} from {left:g}, {bottom:g} to {right:g}, {top:g}, which are no degrees, need its .prj, which"
            " tells the coordinate system; put it beside the .shp."
        )
    warnings.warn(
        f"{path.name} has no .prj: its coordinates are taken for lon, lat in degrees.",
        DataWarning,
        stacklevel=4,
    )
    return features, None
