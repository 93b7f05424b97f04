"""A file that a browser sent, as a path for the readers of the command line, which never leave a temporary folder."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxlens.models.errors import InputError

PLACES_BYTES = 8 * 2**20
"""Largest file of points or areas: outlines of a region as a GeoPackage or a zipped shapefile. What such a file unpacks
to is bounded by its reader (``embeddings.unpacking``, ``embeddings.export.vector_files``)."""
PLACES_ENDINGS = (
    ".geojson", ".json", ".geojsonl", ".kml", ".kmz", ".gpx", ".gpkg", ".zip", ".shp", ".csv", ".tsv", ".txt", ".xlsx",
    ".xls", ".ods", ".parquet",
)  # fmt: skip
"""Endings that the browser offers, of all files that ``embeddings.export.geometries`` reads."""
TOWER_ENDINGS = (".csv", ".zip", ".gz", ".txt", ".nc", ".parquet", ".xlsx")
"""The same of ``embeddings.towers``."""


@contextmanager
def uploaded_file(name: str, content: bytes, fallback: str) -> Iterator[Path]:
    """Put an uploaded file where readers find it, for as long as the block lasts.

    Parameters
    ----------
    name : str
        The user's file name, of which letters, digits and ``_.-`` stay.
    content : bytes
        The file.
    fallback : str
        Name where nothing stays of the user's.

    Yields
    ------
    Path
        In a temporary folder that is removed afterwards.

    Raises
    ------
    InputError
        That of the reader, with the name in place of the path, which is no concern of a visitor.
    """
    # The name comes from a browser: nothing in it may leave the temporary folder.
    safe_name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[-100:].lstrip(".") or fallback
    with tempfile.TemporaryDirectory(prefix="fluxlens-") as folder:
        path = Path(folder) / safe_name
        path.write_bytes(content)
        try:
            yield path
        except InputError as error:
            # Users know the name of their file, not that of a folder on the server.
            raise InputError(str(error).replace(f"{folder}/", "")) from error
