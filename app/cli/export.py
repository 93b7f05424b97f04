"""``fluxlens export``: series of places as one tidy file, a whole store as plain Zarr, an earlier export again.

Long on purpose: what the options of the command may be together is decided in one file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from fluxlens.app.cli.inputs import disc_weights, find_embeddings, open_feature_cube, open_store
from fluxlens.app.cli.options import calibration_option, catalog_option, check_exclusive, day_options
from fluxlens.app.cli.output import run_with_progress
from fluxlens.models.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from fluxlens.embeddings.export.geometries import Point
    from fluxlens.embeddings.export.replay import Replay


@dataclass(frozen=True)
class ExportRequest:
    """What an export takes out of a store: which places and days, and what a point stands for."""

    start: str | None = None
    end: str | None = None
    """ISO dates; None for the store's first and last."""
    points: tuple[Point, ...] | None = None
    polygon: Any = None
    """Of ``embeddings.export.geometries.read_polygon``; points or polygon, or neither for the whole store."""
    radius_m: float | None = None
    """A point stands for the mean of the pixels within it."""
    tower: str | None = None
    """Path of a half-hourly tower file; a point stands for the mean under the tower's flux footprint."""
    height_m: float | None = None
    """Of the tower's sensors above the displacement height."""
    calibration: str | None = None
    """Path of the calibration that the store was given."""

    def weights(self) -> Callable[[Any, Any], xr.DataArray] | None:
        """What a point stands for: weights (y, x) of a disc or a flux footprint, or None for the point's pixel.

        Raises
        ------
        InputError
            Where only one of tower and height is known, or the tower file has no wind.
        """
        # A footprint needs wind and height; with one of them alone the other option was forgotten.
        if (self.tower is None) != (self.height_m is None):
            raise InputError(
                "Got one of --tower and --height-m, need both or none; add the file, or the sensors' height above the"
                " displacement height."
            )
        if self.tower is None:
            return disc_weights(self.radius_m)
        # The wind is read once, a footprint is made of it for each point.
        from fluxlens.embeddings import towers
        from fluxlens.embeddings.towers import footprint

        wind, height_m = towers.turbulence(self.tower), self.height_m
        return lambda grid, at: footprint.flux(
            grid, at.lon, at.lat, footprint.Air.from_turbulence(wind, height_m, at.lat)
        )

    def run(self, store: Any, path: Path) -> tuple[pd.DataFrame | xr.Dataset, str]:
        """Read the series or the map that a file at ``path`` holds; nothing is written yet.

        Parameters
        ----------
        store : Store or xarray.Dataset
            A store, or an embedding cube.
        path : pathlib.Path
            Its suffix decides the form.

        Returns
        -------
        tuple
            A table or a dataset with its metadata in ``attrs``, and one line about it.
        """
        from fluxlens.embeddings.export import extract

        place: dict[str, Any] = (
            {"polygon": self.polygon} if self.points is None else {"points": list(self.points)}
        )
        weights = self.weights()
        if weights is not None and self.polygon is not None:
            raise InputError("Got --polygon with --radius-m or --tower, need points; leave one out.")
        return extract.collect(
            store, path.suffix.lower(), self.start, self.end, **place, footprint_weights=weights
        )


@click.command("export")
@click.argument("store", required=False, metavar="[STORE]")
@catalog_option
@click.option("--at", metavar="LON,LAT", help="One point, degrees.")
@click.option(
    "--points", metavar="FILE", help="CSV with lon,lat[,name], GeoJSON, KML, GPX, GeoPackage or shapefile."
)
@click.option(
    "--polygon", metavar="FILE", help="GeoJSON, KML, GeoPackage or shapefile; pixels whose centre is inside."
)
@click.option("--again", metavar="FILE.json", help="The export that a replay file describes, made again.")
@click.option(
    "--summary",
    metavar="START:END",
    help="One vector per pixel for these days, of all pixels: .tif, .nc or .zarr.",
)
@click.option("--radius-m", type=float, metavar="R", help="Mean within R of each point, 10 to 5000 m.")
@click.option("--tower", metavar="FILE", help="Mean under the flux footprint of a half-hourly tower file.")
@click.option(
    "--height-m", type=float, metavar="Z", help="Of the tower's sensors above the displacement height."
)
@day_options
@calibration_option
@click.option("--out", metavar="FILE", help=".csv .parquet .nc .zarr or .tif; .zarr alone: all of it.")
@click.option(
    "--layout",
    type=click.Choice(["cf", "science-cube"]),
    default="cf",
    help="Of all of it: bytes decoded by CF attributes, or features (feature, time, y, x) as DeepFeatures has them.",
)
@click.option("--replay", metavar="FILE.json", help="Also write a replay file, for --again.")
@click.option("--snapshot", metavar="ID", help="Of the store, an id or a day; default the newest.")
@click.pass_context
def export_points(
    ctx: click.Context,
    store: str | None,
    catalog: str | None,
    at: str | None,
    points: str | None,
    polygon: str | None,
    again: str | None,
    summary: str | None,
    radius_m: float | None,
    tower: str | None,
    height_m: float | None,
    start: str | None,
    end: str | None,
    calibration: str | None,
    out: str | None,
    layout: str,
    replay: str | None,
    snapshot: str | None,
) -> None:
    """Series of pixels as one file, or all of a store as Zarr. STORE is a path or a catalog entry.
    \f

    Parameters
    ----------
    ctx : click.Context
        Of this command.
    store, catalog : str or None
        Path or catalog entry; path of the catalog.
    at, points, polygon, again : str or None
        ``LON,LAT``, or paths; at most one of them.
    summary : str or None
        ``START:END``, ISO dates; instead of a place.
    radius_m, tower, height_m : float, str, float or None
        As in ``ExportRequest``.
    start, end : str or None
        ISO dates.
    calibration : str or None
        Path of a calibration of GPP.
    out : str or None
        File to write; its suffix decides the form.
    layout : str
        Of a whole store.
    replay : str or None
        JSON file to write.
    snapshot : str or None
        Of the store.
    """
    # The groups of options that exclude each other: where, and what a point stands for.
    check_exclusive(
        ctx, {"--at": at, "--points": points, "--polygon": polygon, "--again": again, "--summary": summary}
    )
    check_exclusive(ctx, {"--radius-m": radius_m, "--tower": tower})
    # What changes the numbers of a place.
    of_place = {
        "--start": start,
        "--end": end,
        "--radius-m": radius_m,
        "--tower": tower,
        "--height-m": height_m,
        "--calibration": calibration,
    }
    if again is not None:
        return export_again(
            again, store, catalog, out, {**of_place, "--snapshot": snapshot, "--replay": replay}
        )
    if not (store and out):
        raise InputError("Got export without STORE or --out, need both; add them.")
    if summary is not None:
        return export_summary(store, catalog, snapshot, out, summary, {**of_place, "--replay": replay})
    from fluxlens.embeddings.export import extract, paths, writers
    from fluxlens.embeddings.export.replay import check_path

    # All paths are checked before anything is opened: a store of a catalog entry may have to be computed first.
    path = paths.check_path(out)
    if replay:
        check_path(replay)
    fitted = _read_calibration(calibration)
    has_place = bool(at or points or polygon)
    needs_store = bool(replay or snapshot or calibration or not has_place)
    opened = _open_cube(store, catalog, snapshot, needs_store)
    if fitted is not None:
        opened.calibration = fitted
    if not has_place:
        if radius_m or tower or replay or calibration:
            raise InputError(
                "Got --radius-m, --tower, --calibration or --replay without a place, need --at, --points or --polygon;"
                " add one."
            )
        print(f"{out}: {run_with_progress(extract.store_to_zarr(opened, out, start, end, layout))}")
        return None
    # Files of places are read last: with a wrong store their errors would mislead.
    place = _read_place(at, points, polygon)
    request = ExportRequest(start, end, *place, radius_m, tower, height_m, calibration)
    written, line = request.run(opened, path)
    writers.write(written, path)
    if replay:
        write_replay(request, written, path, store, replay)
    print(f"{out}: {line}")
    return None


def _read_calibration(calibration: str | None) -> Any:
    """A calibration of GPP by its path; None for None."""
    if calibration is None:
        return None
    from fluxlens.embeddings.gpp import load_calibration

    return load_calibration(calibration)


def _read_place(
    at: str | None, points: str | None, polygon: str | None
) -> tuple[tuple[Point, ...] | None, Any]:
    """Points and polygon of an ``ExportRequest``: one of the two, the other None."""
    from fluxlens.embeddings.export import geometries

    if polygon:
        return None, geometries.read_polygon(polygon)
    return tuple([geometries.parse_at(at)] if at else geometries.read_points(points)), None


def _open_cube(store: str, catalog: str | None, snapshot: str | None, needs_store: bool) -> Any:
    """The store, or a feature cube that others published; InputError for one where options need a store."""
    resolved = find_embeddings(store, catalog)
    # Cubes that others published are read like a store, but have no snapshot that a replay could name.
    opened = open_feature_cube(resolved)
    if opened is None:
        return open_store(resolved, snapshot)
    if needs_store:
        raise InputError(
            "Got a feature cube with --replay, --snapshot or --calibration or without a place, need --at, --points or"
            " --polygon alone; it is a plain file itself."
        )
    return opened


def export_summary(
    store: str,
    catalog: str | None,
    snapshot: str | None,
    out: str,
    window: str,
    other_options: dict[str, Any],
) -> None:
    """One vector per pixel of a store for a window of days.

    Parameters
    ----------
    store, catalog : str or None
        Path or catalog entry; path of the catalog.
    snapshot : str or None
        Of the store.
    out : str
        File to write, ``.tif``, ``.nc`` or ``.zarr``.
    window : str
        ``START:END``, ISO dates.
    other_options : dict
        Values by option of those that do not go with a summary; None where not given.

    Raises
    ------
    InputError
        Where one of them was given, or the window, the path or the store cannot be used.
    """
    from fluxlens.embeddings.export import paths, summary

    if extra := [name for name, value in other_options.items() if value is not None]:
        raise InputError(f"Got --summary with {extra[0]}, need it without; leave one out.")
    # Before the store is opened: one of a catalog entry may have to be computed first.
    paths.check_path(out, paths.CUBES | paths.MAPS)
    resolved = find_embeddings(store, catalog)
    opened = open_feature_cube(resolved)
    if opened is None:
        opened = open_store(resolved, snapshot)
    elif snapshot:
        raise InputError("Got a feature cube with --snapshot, need a store for it; leave it out.")
    print(f"{out}: {run_with_progress(summary.summary_to_file(opened, out, window))}")


def write_replay(
    request: ExportRequest, written: pd.DataFrame | xr.Dataset, path: Path, store: str, replay_path: str
) -> None:
    """Write the replay file of an export that was just made.

    Parameters
    ----------
    request : ExportRequest
        What was exported.
    written : pandas.DataFrame or xarray.Dataset
        What the export's file holds.
    path : pathlib.Path
        The export's file.
    store : str
        Path or catalog entry; a path is written relative to the replay file, so that both can move together.
    replay_path : str
        JSON file to write.
    """
    from fluxlens.embeddings.export import replay

    selection: dict[str, Any] = {"radius_m": request.radius_m, "height_m": request.height_m}
    if request.tower:
        selection["tower"] = replay.relative(request.tower, replay_path)
        selection["tower_sha256"] = replay.sha256(request.tower)
    if request.calibration:
        selection["calibration"] = replay.relative(request.calibration, replay_path)
    # Another run on the same entry of a catalog finds its own store; a path is kept as a path.
    name = replay.relative(store, replay_path) if Path(store).exists() else store
    made = replay.from_export(
        written, path, name, points=request.points, polygon=request.polygon, **selection
    )
    replay.save(made, replay_path)


def export_again(
    again: str, store: str | None, catalog: str | None, out: str | None, other_options: dict[str, Any]
) -> None:
    """The export a replay file describes; refused where snapshot, model or inputs are not those of then.

    Parameters
    ----------
    again : str
        Path of the replay file.
    store : str or None
        Path or catalog entry of the store, where it has moved.
    catalog : str or None
        Path of the catalog.
    out : str or None
        File to write; by default that of then, beside the replay file, which must not exist.
    other_options : dict
        Values by option of those that do not go with a replay file; None where not given.

    Raises
    ------
    InputError
        Where one of them was given, or the file, the store or what it was made of is not that of then.
    """
    from fluxlens.embeddings.export import paths, replay, writers

    # A replay file fixes all numbers; what would change them is refused instead of being ignored. STORE and --out
    # stay: files move.
    if extra := [name for name, value in other_options.items() if value is not None]:
        raise InputError(f"Got --again with {extra[0]}, need it alone; leave one out.")
    made, folder = replay.load(again), Path(again).parent
    path = paths.check_path(out or folder / made.out)
    if not out and path.exists():
        raise InputError(f"Got {path}, which exists already, need a new file; name one with --out.")
    name = store or made.store
    if not name:
        raise InputError("Got a replay file that names no store, need STORE; add it before --again.")
    # A path in a replay file starts at the file's folder; what is not there is taken as a catalog entry.
    if not store and (folder / name).exists():
        name = str(folder / name)
    opened = open_store(find_embeddings(name, catalog), made.made.get("store_snapshot"))
    if made.calibration:
        from fluxlens.embeddings.gpp import load_calibration

        opened.calibration = load_calibration(folder / made.calibration)
    # Before the export: another store is refused without reading it. After it: the GPP head is known only then.
    made.check({"store_snapshot": opened.snapshot} | opened.attrs)
    written, summary = request_of(made, folder).run(opened, path)
    # What the export says nothing of, such as a GPP head where there is no GPP now, counts as "none".
    made.check(dict.fromkeys(made.made.keys() & replay.MADE_OF.keys(), "none") | written.attrs)
    writers.write(written, path)
    is_same = replay.numbers(written) == made.numbers
    print(f"{path}: {summary}, {'the same numbers' if is_same else 'in another form or with other rounding'}")


def request_of(made: Replay, folder: Path) -> ExportRequest:
    """The request that a replay file describes.

    Parameters
    ----------
    made : Replay
        The file's content.
    folder : pathlib.Path
        Where the file lies; the tower's path starts there.

    Raises
    ------
    InputError
        Where the tower file is gone or has changed.
    """
    from fluxlens.embeddings.export import replay

    # The footprint depends on every half-hour of the wind: the file must have the very bytes of then.
    tower = str(folder / made.tower) if made.tower else None
    if tower and (not Path(tower).is_file() or replay.sha256(tower) != made.tower_sha256):
        raise InputError(f"Got the tower file {tower}, need the one of then; restore it.")
    place = made.place()
    points = tuple(place["points"]) if "points" in place else None
    return ExportRequest(
        made.start, made.end, points, place.get("polygon"), made.radius_m, tower, made.height_m
    )
