"""``fluxlens scene``: scenes fetched from elsewhere, and what is clear in them."""

from __future__ import annotations

import click
from fluxlens.app.cli.inputs import open_scene
from fluxlens.app.cli.options import scene_argument
from fluxlens.app.cli.output import run_with_progress
from fluxlens.models.errors import InputError


@click.group("scene", no_args_is_help=False)
def scene_commands() -> None:
    """Scenes from elsewhere, and what is clear in them."""


@scene_commands.command("stac")
@click.option("--at", required=True, metavar="LON,LAT", help="The middle, degrees.")
@click.option("--size-m", required=True, type=int, metavar="N", help="Side, a multiple of 20.")
@click.option("--start", required=True, metavar="D", help="First day, YYYY-MM-DD.")
@click.option("--end", required=True, metavar="D", help="Last day, YYYY-MM-DD.")
@click.option(
    "--provider",
    default="planetary-computer",
    metavar="P",
    help="planetary-computer (default), earth-search or the URL of a STAC API.",
)
@click.option(
    "--s1",
    type=click.Choice(["any", "rtc", "grd", "none"]),
    default="any",
    help="Which Sentinel-1 (default the best).",
)
@click.option(
    "--clear",
    default="scl",
    metavar="D",
    help="What is clear: scl (default), haze, or an installed detector.",
)
@click.option(
    "--weather",
    metavar="CSV",
    help="Daily: time and sw_in, tair, vpd, precip; or nasa-power, to fetch it from there.",
)
@click.option("--out", metavar="SCENE", help="Path of the new scene.")
@click.option("--update", is_flag=True, help="Add to the scene at --out the days that it does not have.")
@click.option("--dry-run", is_flag=True, help="Print dates and bytes, fetch nothing.")
def scene_stac(
    at: str,
    size_m: int,
    start: str,
    end: str,
    provider: str,
    s1: str,
    clear: str,
    weather: str | None,
    out: str | None,
    update: bool,
    dry_run: bool,
) -> None:
    """A scene of Sentinel-2 and Sentinel-1 from a STAC API.
    \f

    Parameters
    ----------
    at : str
        ``LON,LAT`` of the middle, degrees.
    size_m : int
        Side of the square, a multiple of 20.
    start, end : str
        ISO dates.
    provider, s1, clear : str
        API, product of Sentinel-1, cloud detector.
    weather, out : str or None
        Weather table or service; path of the new scene.
    update : bool
        Whether the scene at ``out`` is there and gets the days that it lacks.
    dry_run : bool
        Whether only the search runs.
    """
    from fluxlens.embeddings import stac
    from fluxlens.embeddings.export.geometries import parse_at
    from fluxlens.embeddings.readers import weather_table

    middle = parse_at(at)
    request = stac.Request(middle.lon, middle.lat, size_m, start, end, provider, s1, clear)
    # Checked after the request, whose own errors (place, days, size) come first.
    if not (dry_run or out):
        raise InputError(
            "Got scene stac without --out, need the path of the new scene; add it, or --dry-run."
        )
    if dry_run:
        passes = stac.passes(request)
        for one in passes:
            print(f"{str(one.time)[:10]}  {one.sensor}  images: {len(one.items)}  {one.orbit}".rstrip())
        fetched_mb, stored_mb = (round(size / 1e6) for size in stac.estimate(passes, request))
        print(
            f"{len(passes)} dates; about {fetched_mb:,} MB to fetch and {stored_mb:,} MB to keep, before compression"
        )
        return
    # Weather first: its table may be wrong, and images take minutes to fetch.
    daily = None
    if weather:
        is_service = weather == stac.NASA_POWER
        daily = stac.weather(request) if is_service else weather_table.open(weather)
    # What a catalogue lists and its server lacks does not stop the rest: `fetch` warns of it.
    run_with_progress(stac.fetch(request, out, daily, update))
    print(f"{out}: {request.grid.ny} x {request.grid.nx} pixels, {request.start} to {request.end}")


@scene_commands.command("clear")
@scene_argument
@click.option("--by", required=True, metavar="D", help="haze, or an installed detector.")
@click.option("--out", required=True, metavar="SCENE", help="Path of the new scene.")
def scene_clear(scene: str, catalog: str | None, by: str, out: str) -> None:
    """A scene with the clear mask of Sentinel-2 from a detector that compares all dates.
    \f

    Parameters
    ----------
    scene, catalog, out : str
        Catalog entry or path; path of the catalog (or None); path of the new scene.
    by : str
        Name of the cloud detector.
    """
    from fluxlens.embeddings.readers import zarr
    from fluxlens.embeddings.scenes import cloud_mask

    opened = open_scene(scene, catalog)
    marked = cloud_mask.apply_cloud_mask(opened, by)
    zarr.write(marked, out)
    # Both, so that a detector that masks nothing, or nearly all, is seen at once.
    before, after = (float(one["s2/clear"].mean()) for one in (opened, marked))
    print(f"{out}: {after:.1%} of Sentinel-2's pixels are clear, {before:.1%} were before")
