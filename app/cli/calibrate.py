"""``fluxlens calibrate``: GPP fitted to a user's own towers, as a small file that predictions take."""

from __future__ import annotations

import click
from fluxlens.app.cli.inputs import find_embeddings, open_store, open_tower, predict_at_tower
from fluxlens.app.cli.options import catalog_option, day_options, resolution_option
from fluxlens.models.errors import InputError


@click.group("calibrate", no_args_is_help=False)
def calibrate_commands() -> None:
    """Fit predictions to your own measurements."""


@calibrate_commands.command("gpp")
@click.option("--table", metavar="ROWS.csv", help="Spectra, weather and GPP of one tower or several.")
@resolution_option
@click.option(
    "--store", metavar="STORE", help="Path or catalog entry; its daily GPP beside the tower of --data."
)
@catalog_option
@click.option(
    "--data", metavar="TOWER", help="A tower file or folder; with --store (default: its scene's tower)."
)
@click.option("--at", metavar="LON,LAT", help="Where the tower stands, unless it is known.")
@click.option("--sites", metavar="FILE", help="Where towers stand: CSV, BIF or GeoJSON.")
@day_options
@click.option("--out", required=True, metavar="CAL.json", help="File for the calibration.")
def calibrate_gpp(
    table: str | None,
    resolution_m: float | None,
    store: str | None,
    catalog: str | None,
    data: str | None,
    at: str | None,
    sites: str | None,
    start: str | None,
    end: str | None,
    out: str,
) -> None:
    """GPP calibrated to measured towers, from three days on, for `predict gpp`, `export` and catalog entries.
    \f

    Parameters
    ----------
    table : str or None
        Path of a CSV file of measured rows.
    resolution_m : float or None
        Metres of land that a row shows.
    store, data, at : str or None
        Instead, path or catalog entry of a store, path of a tower file, and ``LON,LAT`` of the tower.
    sites : str or None
        Path of a file with the places of towers.
    catalog : str or None
        Path of the catalog; None for the package's own.
    start, end : str or None
        First and last measured day that count, ISO dates.
    out : str
        JSON file to write.
    """
    if (store is None) == (table is None):
        raise InputError("Got neither or both of --table and --store, need one of them; choose.")
    if table is not None and (data or at or sites):
        raise InputError("Got --data, --at or --sites with --table, need --store for them; leave them out.")
    if resolution_m is not None and table is None:
        raise InputError("Got --resolution-m with --store, need --table for it; leave it out.")
    from fluxlens.embeddings.gpp import calibrate, calibration_file

    # Before anything is read: a store takes a while.
    calibration_file.check_path(out)
    if table is not None:
        made = calibrate.calibrate_table(table, start, end, resolution_m=resolution_m)
    else:
        from fluxlens.embeddings import gpp
        from fluxlens.embeddings.gpp.drivers import latitude

        opened = open_store(find_embeddings(store, catalog), None)
        tower, point = open_tower(opened, data, at, sites)
        made = calibrate.calibrate_series(
            predict_at_tower(opened, point, None),
            tower,
            # GPP was predicted, so that there is weather.
            opened.scene()["weather"].to_dataset().load(),
            latitude(opened.cube()),
            # A calibration belongs to the weights that predicted.
            gpp.load_for(opened.attrs).digest,
            start,
            end,
        )
    made.save(out)
    print(f"{out}: {calibrate.report(made)}")
