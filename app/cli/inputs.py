"""What the words of a command line stand for: scenes, stores, catalog entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxlens.app.cli.output import run_with_progress
from fluxlens.models.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from fluxlens.embeddings.driver import EmbeddingsSource
    from fluxlens.embeddings.export.geometries import Point
    from fluxlens.embeddings.store import Store

TABLE_SUFFIXES = {".csv", ".tsv", ".txt", ".parquet", ".pq", ".feather", ".xlsx", ".xls", ".ods"}


@dataclass(frozen=True)
class CatalogFile:
    """A catalog file that was found harmless, not opened with intake yet."""

    path: Path
    entries: dict[str, dict]
    """Plain YAML of each entry, by name."""

    @classmethod
    def from_option(cls, catalog: str | None) -> CatalogFile:
        """The catalog of ``--catalog``, or the package's own.

        Parameters
        ----------
        catalog : str or None
            Path of a YAML file.

        Raises
        ------
        InputError
            Where it is no file, or no harmless catalog.
        """
        from fluxlens.embeddings.catalog import check, default_path

        path = Path(catalog) if catalog else default_path()
        return cls(path, check(path))

    def source(self, name: str) -> Any:
        """The intake source of an entry.

        Parameters
        ----------
        name : str
            One of ``entries``.
        """
        from fluxlens.embeddings import catalog

        return catalog.source(catalog.open(self.path), name)


def open_scene(name: str, catalog: str | None) -> xr.DataTree:
    """Open a scene; one that a catalog has simulated is made now, with progress on stderr.

    Parameters
    ----------
    name : str
        A catalog entry, or else a path or URL.
    catalog : str or None
        Path of the catalog; None for the package's own.

    Returns
    -------
    xarray.DataTree
        One node per sensor.
    """
    import xarray as xr
    from fluxlens.embeddings import readers

    # An entry comes before a path of the same name: entries are what `catalog list` shows.
    file = CatalogFile.from_option(catalog)
    if name not in file.entries:
        if "://" not in name and not Path(name).exists():
            names = ", ".join(sorted(file.entries))
            raise InputError(f"Got the scene {name!r}, need a path or one of {names}; check the spelling.")
        # URLs are left to the reader, which says what it cannot open.
        return readers.open_scene(name)
    scene = run_with_progress(file.source(name).steps())
    if not isinstance(scene, xr.DataTree):
        raise InputError(f"Got the entry {name!r}, need one that is a scene; choose another.")
    return scene


def find_embeddings(name: str, catalog: str | None) -> str | EmbeddingsSource:
    """What ``STORE`` stands for: a path, as it is, or a catalog entry that holds embeddings.

    Parameters
    ----------
    name : str
        A path, or else a catalog entry.
    catalog : str or None
        Path of the catalog; None for the package's own. Not read where the path exists.

    Returns
    -------
    str or EmbeddingsSource
        A path is not opened yet and may not exist.
    """
    # A path comes before an entry of the same name, so that a store opens without any catalog.
    if "://" in name or Path(name).exists():
        return name
    file = CatalogFile.from_option(catalog)
    if name not in file.entries:
        return name  # `Store.open` says what is missing
    from fluxlens.embeddings.driver import EmbeddingsSource

    source = file.source(name)
    if not isinstance(source, EmbeddingsSource):
        raise InputError(f"Got the entry {name!r}, need one that holds embeddings; choose another.")
    return source


def open_store(source: str | EmbeddingsSource, snapshot: str | None) -> Store:
    """Open a store; one that a catalog entry has not stored yet is computed now, with progress on stderr.

    Parameters
    ----------
    source : str or EmbeddingsSource
        As ``find_embeddings`` returns it.
    snapshot : str or None
        Of the store; None for the newest.
    """
    from fluxlens.embeddings.store import Store

    if isinstance(source, str):
        return Store.open(source, snapshot)
    # A snapshot named on the command line comes before one that the entry names.
    store = run_with_progress(source.store_steps())
    return store.at_snapshot(snapshot) if snapshot else store


def open_feature_cube(source: str | EmbeddingsSource) -> xr.Dataset | None:
    """Open a published feature cube (DeepFeatures); None where it is anything else.

    Parameters
    ----------
    source : str or EmbeddingsSource
        As ``find_embeddings`` returns it.

    Returns
    -------
    xarray.Dataset or None
        An embedding cube.
    """
    from fluxlens.embeddings.readers import feature_cube

    if isinstance(source, str):
        return feature_cube.open(source) if feature_cube.is_feature_cube(source) else None
    return source.read() if source.features is not None else None


def is_series_table(path: str) -> bool:
    """Whether an argument names a series table (one row per id and date) instead of a scene.

    Here ``embed``, ``reconstruct`` and ``evaluate reconstruction`` decide between a scene and tables.

    Parameters
    ----------
    path : str
        As typed.
    """
    file = Path(path)
    if not file.is_file():
        return False
    if file.suffix.lower() == ".zip":
        from fluxlens.embeddings.text_table import is_zipped_table

        return is_zipped_table(file)
    return Path(file.name.lower().removesuffix(".gz")).suffix in TABLE_SUFFIXES


def disc_weights(radius_m: float | None) -> Callable[[Any, Any], xr.DataArray] | None:
    """Weights of the pixels within a radius of a point.

    Parameters
    ----------
    radius_m : float or None
        10 to 5000 m; None for the point's own pixel.

    Returns
    -------
    function or None
        From a grid and a point to weights (y, x), as ``embeddings.export.extract.collect`` takes it.
    """
    from fluxlens.embeddings.towers import footprint

    # The pixel itself, not a disc of radius 0, which may contain no pixel centre.
    if radius_m is None:
        return None
    return lambda grid, at: footprint.disc(grid, at.lon, at.lat, radius_m)


def open_tower(store: Store, data: str | None, at: str | None, sites: str | None) -> tuple[xr.Dataset, Point]:
    """The tower of a file, or that of a store's own scene, and where it stands.

    Parameters
    ----------
    store : Store
        Open.
    data : str or None
        Path of a tower file; None for the tower of the store's scene.
    at : str or None
        ``LON,LAT`` of the tower, degrees; None where the tower's file or ``sites`` know it.
    sites : str or None
        Path of a file with the places of towers.

    Returns
    -------
    tuple of xarray.Dataset and Point
        The tower's variables (time), and its place.

    Raises
    ------
    InputError
        Where there is no tower, or no place of it.
    """
    from fluxlens.embeddings import towers
    from fluxlens.embeddings.export import geometries

    if data:
        tower = towers.read(data, towers.sites(sites) if sites else None)
    else:
        scene = store.scene()
        if scene is None or "tower" not in scene.children:
            raise InputError(
                f"Got {store.path} without a tower in it, need a tower file; add --data FILE.csv."
            )
        tower = scene["tower"].to_dataset().load()
    # What was typed comes before what the tower's file says of its place.
    if at:
        return tower, geometries.parse_at(at)
    if {"lon", "lat"} <= set(tower.attrs):
        return tower, geometries.Point(float(tower.attrs["lon"]), float(tower.attrs["lat"]))
    raise InputError("Got a tower without a place, need one; add --at LON,LAT or --sites FILE.")


def predict_at_tower(store: Store, point: Point, radius_m: float | None) -> xr.Dataset:
    """Daily GPP of a store at a place.

    Parameters
    ----------
    store : Store
        Open.
    point : Point
        Lon, lat.
    radius_m : float or None
        Radius of the mean that stands for the tower; None for its pixel.

    Returns
    -------
    xarray.Dataset
        ``gpp``, ``gpp_lo``, ``gpp_hi`` (time), gC m-2 d-1.

    Raises
    ------
    InputError
        Where the store has no GPP.
    """
    from fluxlens.embeddings.export import extract
    from fluxlens.embeddings.variables import GPP_COLUMNS

    cube = extract.cube_of(store, points=[point], footprint_weights=disc_weights(radius_m))
    if "gpp" not in cube:
        raise InputError(f"Got {store.path} whose GPP is {cube.attrs['gpp']}, need GPP; embed it again.")
    # One point: scores are of a series (time).
    return cube[list(GPP_COLUMNS)].isel(point=0, drop=True)
