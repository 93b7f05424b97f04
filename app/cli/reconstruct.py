"""``fluxlens reconstruct``: hidden dates of a scene, as the model predicts them."""

from __future__ import annotations

import click
from fluxlens.app.cli.inputs import open_scene
from fluxlens.app.cli.options import model_options, scene_argument
from fluxlens.models.sensors import SENSORS


@click.command("reconstruct")
@scene_argument
@click.option("--hide", required=True, metavar="D[,D...]", help="Dates of acquisitions to hide.")
@click.option(
    "--hide-sensor", type=click.Choice(list(SENSORS)), default="s2", help="Whose dates (default s2)."
)
@click.option("--out", required=True, metavar="FILE.nc", help="File for the hidden dates.")
@model_options
def reconstruct(
    scene: str, catalog: str | None, hide: str, hide_sensor: str, out: str, model: str, device: str
) -> None:
    """Hidden dates of a scene, as the model sees them. SCENE is a catalog entry or a path.
    \f

    Parameters
    ----------
    scene, catalog, out : str
        Catalog entry or path; path of the catalog (or None); NetCDF file to write.
    hide : str
        ISO dates, separated by commas.
    hide_sensor : str
        One of ``models.sensors.SENSORS``.
    model, device : str
        Name or path of weights; ``auto``, ``cpu`` or ``cuda``.
    """
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
