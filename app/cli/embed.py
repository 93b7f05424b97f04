"""``fluxlens embed``: a scene to a store of daily embeddings, or a series table to daily rows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from fluxlens.app.cli.inputs import is_series_table, open_scene
from fluxlens.app.cli.options import (
    check_cluster,
    cluster_options,
    day_options,
    load_for_blocks,
    model_options,
    scene_argument,
    until_option,
)
from fluxlens.app.cli.output import ProgressLine, extrapolated_note, run_with_progress
from fluxlens.models.errors import InputError

# For annotations alone: at run time these modules would load xarray and Dask before ``--help``.
if TYPE_CHECKING:
    import xarray as xr
    from fluxlens.embeddings.inference.embed import FinishedBlock
    from fluxlens.embeddings.object_url import Location
    from fluxlens.embeddings.progress import Steps


@click.command("embed")
@scene_argument
@click.option(
    "--out",
    required=True,
    metavar="STORE",
    help="Path or URL (s3://, gs://, az://) of the new store; of a table .parquet or .csv.",
)
@click.option("--s1", metavar="TABLE", help="Sentinel-1 of a series table, VV and VH in dB.")
@click.option(
    "--weather", metavar="TABLE", help="Daily weather of a series table, or of a scene without any, for GPP."
)
@model_options
@day_options
@until_option
@click.option(
    "--causal", is_flag=True, help="Each day from acquisitions up to it alone, for near-real-time use."
)
@cluster_options
@click.option(
    "--tiles", type=int, metavar="N_PX", help="Cut the scene into stores of N_PX pixels a side below STORE."
)
def embed(
    scene: str,
    catalog: str | None,
    out: str,
    s1: str | None,
    weather: str | None,
    model: str,
    device: str,
    start: str | None,
    end: str | None,
    until: str | None,
    causal: bool,
    workers: int,
    scheduler: str | None,
    resume: bool,
    tiles: int | None,
) -> None:
    """A scene to a store of daily embeddings, a table to rows.

    SCENE is a catalog entry or a path; a .csv, .tsv or .parquet file, or a zip of one, is a series
    table, one row per id and date.
    \f

    Parameters
    ----------
    scene, catalog, out : str
        Catalog entry or path, or a series table; path of the catalog (or None); path of the new store or table.
    s1, weather : str or None
        Of a series table: its table of Sentinel-1, and of daily weather; weather also of a scene that has none.
    model, device : str
        Name or path of weights; ``auto``, ``cpu`` or ``cuda``.
    start, end, until : str or None
        ISO dates; ``until`` is a last day that may lie past the last acquisition.
    causal : bool
        Whether each day is made from acquisitions of the past and the day itself only.
    workers : int
        Processes; 0 computes in this one.
    scheduler : str or None
        Address of a Dask scheduler.
    resume : bool
        Whether finished blocks are kept and taken.
    tiles : int or None
        Pixels a side of the stores that the scene is cut into.
    """
    if is_series_table(scene):
        of_scenes = {"--workers": workers, "--scheduler": scheduler, "--resume": resume}
        of_scenes |= {"--until": until, "--causal": causal, "--tiles": tiles}
        # Refused and not ignored: who gives --causal or --until expects other numbers.
        for option, value in of_scenes.items():
            if value:
                raise InputError(f"Got {option} with a series table, need it for scenes only; leave it out.")
        from fluxlens.embeddings.series.embed import write_embedded_series

        steps = write_embedded_series(out, scene, s1, weather, model, device, start, end)
        print(f"{out}: {run_with_progress(steps)}")
        return
    if s1:
        raise InputError(
            f"Got --s1 with the scene {scene}, need it for a series table only; a scene holds its own."
        )
    place = _locate_output(out, tiles is not None, resume)
    check_cluster(workers, scheduler)
    opened = open_scene(scene, catalog)
    if weather:
        _add_weather(opened, scene, weather)
    from fluxlens.embeddings.inference.embed import embed as embed_blocks

    loaded, execution = load_for_blocks(model, device, workers, scheduler, resume)
    if tiles is None:
        blocks = embed_blocks(place, opened, loaded, start, end, execution, causal, until)
    else:
        from fluxlens.embeddings.inference.embed_tiles import embed_tiles

        blocks = embed_tiles(place, opened, loaded, tiles, start, end, execution, causal, until)
    snapshot, pixel_days = _run_blocks(blocks)
    if tiles is not None:
        _report_tiles(out, place, list(snapshot), pixel_days)
        return
    _report_store(out, place, snapshot, pixel_days)


def _add_weather(opened: xr.DataTree, scene: str, weather: str) -> None:
    """Add the weather of a file to a scene that has none; InputError where it has, or where they share no day."""
    import xarray as xr
    from fluxlens.embeddings.readers import weather_stamps, weather_table

    if "weather" in opened.children:
        raise InputError(
            f"Got --weather with the scene {scene}, which holds weather already, need one; leave it out."
        )
    # Single cubes from odc-stac, openEO and the like have none, and without it no tower can be compared.
    node = weather_table.open(weather)
    # Days in common before hours of computing: weather of other years would give no GPP and no error.
    weather_stamps.check_covers(node, opened, weather)
    opened["weather"] = xr.DataTree(node)


def _run_blocks(blocks: Steps[Any]) -> tuple[Any, int]:
    """Finish an embedding with a line of its progress; returns what it returns, and the pixel-days computed."""
    from fluxlens.embeddings import progress

    began_s, pixel_days, line = time.monotonic(), 0, ProgressLine()

    def show(block: FinishedBlock | None) -> None:
        nonlocal pixel_days
        if block is None:  # nothing finished since; yielded so that Ctrl-C is noticed
            return
        pixel_days += block.pixel_days
        # Over the whole run: a rate of the last block alone would jump with every pause of the workers.
        rate = pixel_days / max(time.monotonic() - began_s, 1e-9)
        line.show(f"embedding: {pixel_days:,} pixel-days, {rate:,.0f} per second", block.share)

    result = progress.run(blocks, show)
    line.end()
    return result, pixel_days


def _locate_output(out: str, is_tiled: bool, resume: bool) -> Location:
    """Where the store or the folder of tiles is made; InputError where something is there that is not resumed."""
    from fluxlens.embeddings import store

    place = store.locate(out)
    # Whether what is there is the store that was begun is found out later, by its scene, model and days.
    if resume:
        return place
    if is_tiled:
        _check_free(place)
    elif store.exists(place):
        raise InputError(
            f"Got --out {out}, which exists already, need a new path; choose another or remove it."
        )
    return place


def _check_free(place: Location) -> None:
    """InputError where something is in the folder that tiles are written to, or a store lies at its path."""
    from fluxlens.embeddings import store

    taken = place.is_file() or (place.is_dir() and any(place.iterdir())) if isinstance(place, Path) else False
    if taken or store.exists(place):
        raise InputError(
            f"Got --out {place}, which exists already, need a new folder for --tiles, or --resume to go on with it;"
            " choose another or remove it."
        )


def _report_store(out: str, place: Location, snapshot: str, pixel_days: int) -> None:
    """Say what was written, or that there was nothing to do."""
    from fluxlens.embeddings import store

    # The days of the store, not of the request, which may reach beyond the scene.
    written = store.Store.open(place, snapshot)
    if not pixel_days:
        print(f"{out} is whole already, nothing to do; snapshot {snapshot}")
        return
    print(
        f"{out}: {len(written.days)} days of {written.grid.ny} x {written.grid.nx} pixels, snapshot {snapshot}"
        + extrapolated_note(written)
    )


def _report_tiles(out: str, place: Location, names: list[str], pixel_days: int) -> None:
    """Say what was written, and how to open it."""
    from fluxlens.embeddings.inference import embed_tiles

    if not pixel_days:
        print(f"{out} is whole already, nothing to do")
        return
    print(f"{out}: {len(names)} stores that fit together")
    if isinstance(place, Path):
        print(f"fluxlens serve --catalog {place / embed_tiles.CATALOG}")
    else:
        # A catalog is a file on this machine; the user puts the entry into theirs.
        print(embed_tiles.catalog_text(place, names), end="")
