"""``fluxlens reconstruct``: hidden dates of a scene, or hidden rows of a series table, as the model predicts them."""

from __future__ import annotations

import click
from fluxlens.app.cli.inputs import is_series_table, open_scene
from fluxlens.app.cli.options import model_options, scene_argument
from fluxlens.app.cli.output import run_with_progress
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import SENSORS


@click.command("reconstruct")
@scene_argument
@click.option(
    "--hide", required=True, metavar="D[,D...]", help="Dates to hide; of a table a file of id,date."
)
@click.option(
    "--hide-sensor", type=click.Choice(list(SENSORS)), default="s2", help="Whose dates (default s2)."
)
@click.option("--s1", metavar="TABLE", help="Sentinel-1 of a series table, VV and VH in dB.")
@click.option("--out", required=True, metavar="FILE", help="File for them: .nc; of a table .parquet or .csv.")
@model_options
def reconstruct(
    scene: str,
    catalog: str | None,
    hide: str,
    hide_sensor: str,
    s1: str | None,
    out: str,
    model: str,
    device: str,
) -> None:
    """Hidden dates of a scene or table, as the model sees them.

    SCENE is a catalog entry or a path; a .csv, .tsv or .parquet file, or a zip of one, is a series
    table, one row per id and date.
    \f

    Parameters
    ----------
    scene, catalog, out : str
        Catalog entry or path, or a series table; path of the catalog (or None); file to write.
    hide : str
        ISO dates, separated by commas; of a series table the path of a table of ``id`` and ``date``.
    s1 : str or None
        Of a series table: its table of Sentinel-1.
    hide_sensor : str
        One of ``models.sensors.SENSORS``.
    model, device : str
        Name or path of weights; ``auto``, ``cpu`` or ``cuda``.
    """
    if is_series_table(scene):
        from fluxlens.embeddings.series.reconstruct import reconstruct_series_steps
        from fluxlens.embeddings.series.writers import check_table_path, write_table

        check_table_path(out)
        rows = run_with_progress(reconstruct_series_steps(scene, hide, s1, model, device, hide_sensor))
        write_table(rows, out)
        print(f"{out}: {len(rows):,} hidden rows of {rows['id'].nunique():,} series")
        return
    if s1:
        raise InputError(
            f"Got --s1 with the scene {scene}, need it for a series table only; a scene holds its own."
        )
    from fluxlens.embeddings.export.extract import check_path, write

    # The path is checked first: opening a scene may take minutes.
    check_path(out, {".nc"})
    opened = open_scene(scene, catalog)
    # PyTorch takes a second to import: only once the scene is known to open.
    from fluxlens.embeddings.inference.reconstruct import Hidden, parse_days, reconstruct_hidden
    from fluxlens.models import checkpoints

    dates = [date.strip() for date in hide.split(",") if date.strip()]
    days = parse_days(opened, dates, hide_sensor)
    loaded = checkpoints.load(model, device)
    write(reconstruct_hidden(opened, loaded, Hidden(hide_sensor, days)), out)
    print(f"{out}: {hide_sensor} on {', '.join(dates)}")
