"""``fluxlens predict``: GPP of stores and of tables."""

from __future__ import annotations

import warnings

import click
from fluxlens.app.cli.inputs import find_embeddings, open_store
from fluxlens.app.cli.options import calibration_option, catalog_option, day_options, resolution_option
from fluxlens.app.cli.output import run_with_progress
from fluxlens.models.errors import DataWarning, InputError


@click.group("predict", no_args_is_help=False)
def predict_commands() -> None:
    """Predictions for stores and tables."""


@predict_commands.command("gpp")
@click.argument("store", required=False, metavar="[STORE]")
@catalog_option
@click.option("--table", metavar="IN.csv", help="Spectra and weather, one row each.")
@resolution_option
@day_options
@calibration_option
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    help="Maps: .nc, .zarr, or .tif (mean of the days); table: .csv.",
)
def predict_gpp(
    store: str | None,
    catalog: str | None,
    table: str | None,
    resolution_m: float | None,
    start: str | None,
    end: str | None,
    calibration: str | None,
    out: str,
) -> None:
    """GPP with its 90 % band: maps of STORE's days, or a table of spectra and weather.

    STORE is a path or a catalog entry.
    \f

    Parameters
    ----------
    store, table : str or None
        Path or catalog entry of a store, or path of a table, CSV or Parquet; one of them.
    catalog : str or None
        Path of the catalog; None for the package's own.
    resolution_m : float or None
        Metres of land that a row of the table shows.
    start, end : str or None
        ISO dates; of a store.
    calibration : str or None
        Path of a calibration.
    out : str
        File to write; its suffix decides the form.
    """
    if (store is None) == (table is None):
        raise InputError("Got neither or both of STORE and --table, need one of them; choose.")
    if table is not None:
        if start or end:
            raise InputError("Got --start or --end with --table, need STORE for them; leave them out.")
        from fluxlens.embeddings.gpp import predict_table

        made = predict_table.predict(table, out, calibration=calibration, resolution_m=resolution_m)
        print(f"{out}: GPP of {len(made)} rows")
        return
    if resolution_m is not None:
        raise InputError("Got --resolution-m with STORE, need --table for it; leave it out.")
    from fluxlens.embeddings.export import extract, paths, writers
    from fluxlens.embeddings.scenes.reflectance_check import ATTR

    # Points in a table are `export`'s: here all pixels are predicted.
    path = paths.check_path(out, paths.CUBES | paths.MAPS)
    opened = open_store(find_embeddings(store, catalog), None)
    if calibration is not None:
        from fluxlens.embeddings.gpp import load_calibration

        opened.calibration = load_calibration(calibration)
    maps = run_with_progress(extract.gpp_maps(opened, start, end))
    days = maps.sizes["time"]
    if fault := maps.attrs.get(ATTR):
        warnings.warn(
            f"Got a store with {fault}: all its pixel-days are marked out of distribution; correct the scene and embed"
            " it again.",
            DataWarning,
            stacklevel=1,
        )
    if path.suffix.lower() in paths.MAPS:
        # A map has one band per variable; a mean drops the attributes, which hold for it as well.
        attrs, maps = maps.attrs, maps.astype("float32").mean("time")
        maps.attrs = attrs
    writers.write(maps, path)
    print(f"{path}: GPP of {maps.sizes['y']} x {maps.sizes['x']} pixels, {days} days")
