"""``fluxlens evaluate``: how good the model is, as numbers on stdout and tables for people on stderr.

Long on purpose: a command per evaluation, and nothing but its options.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from fluxlens.app.cli.inputs import find_embeddings, open_store, open_tower, predict_at_tower
from fluxlens.app.cli.options import (
    catalog_option,
    check_exclusive,
    device_option,
    json_option,
    model_options,
    training_configuration,
    training_options,
)
from fluxlens.app.cli.output import print_evaluation, print_json, run_with_progress
from fluxlens.models.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from fluxlens.models.embedder import Embedder

SCENES = (
    "A measured scene, a folder of them or of series tables (default: simulated ones left out of training)."
)
CUBES = "Of measured cubes."
RECONSTRUCTION_SIDE_PX = 32
"""Of simulated scenes whose hidden dates are predicted: large enough for fields, seconds to compute."""


@click.group("evaluate", no_args_is_help=False)
def evaluate_commands() -> None:
    """How good the model is, as numbers."""


@evaluate_commands.command("reconstruction")
@click.option("--data", metavar="PATH", help=SCENES)
@click.option(
    "--max-blue",
    metavar="B",
    type=click.FloatRange(0, 1, min_open=True),
    help="Rows of series tables above this B02 (reflectance 0-1) are left out as snow or cloud that the table's own"
    " filter missed, 0.12 for instance (default: none is left out).",
)
@model_options
@json_option
def evaluate_reconstruction(
    data: str | None, max_blue: float | None, model: str, device: str, json_path: str | None
) -> None:
    """Hidden dates beside linear interpolation and, for scenes, Whittaker smoothing.
    \f

    Parameters
    ----------
    data : str or None
        Path of measured scenes, or of a folder of series tables.
    max_blue : float or None
        Reflectance in B02 above which rows of series tables are left out; None: of none.
    model, device : str
        Name or path of weights; ``auto``, ``cpu`` or ``cuda``.
    json_path : str or None
        File for the numbers.
    """
    # Imports stand inside the commands, so that `--help` does not wait for torch and xarray.
    from fluxlens.embeddings.evaluation import reconstruction, series_tables
    from fluxlens.embeddings.readers.series_sets import is_table_folder

    # By what the folder holds: users have scenes or tables, seldom both.
    if data is not None and is_table_folder(data):
        steps = series_tables.evaluate_reconstruction_tables(data, model, device, max_blue=max_blue)
        print_evaluation(steps, json_path)
        return
    if max_blue is not None:
        raise InputError(
            f"Got --max-blue {max_blue:g} without a folder of series tables, need one as --data; scenes have masks of"
            " clouds: leave the option out."
        )
    scenes, loaded = scenes_and_model(data, model, device, RECONSTRUCTION_SIDE_PX)
    print_evaluation(reconstruction.evaluate(scenes, dict.fromkeys(scenes, loaded)), json_path)


@evaluate_commands.command("truth")
@model_options
@json_option
def evaluate_truth(model: str, device: str, json_path: str | None) -> None:
    """Linear probes to the simulator's truth, and how honest sigma is.
    \f

    Parameters
    ----------
    model, device : str
        Name or path of weights; ``auto``, ``cpu`` or ``cuda``.
    json_path : str or None
        File for the numbers.
    """
    from fluxlens.embeddings.evaluation import land_state
    from fluxlens.models import checkpoints

    print_evaluation(land_state.evaluate(checkpoints.load(model, device)), json_path)


@evaluate_commands.command("coherence")
@click.option("--data", metavar="PATH", help=SCENES)
@model_options
@json_option
def evaluate_coherence(data: str | None, model: str, device: str, json_path: str | None) -> None:
    """Jumps from day to day, seams, and whether all ways of asking agree.
    \f

    Parameters
    ----------
    data : str or None
        Path of measured scenes.
    model, device : str
        Name or path of weights; ``auto``, ``cpu`` or ``cuda``.
    json_path : str or None
        File for the numbers.
    """
    from fluxlens.embeddings.evaluation import temporal_coherence

    scenes, loaded = scenes_and_model(data, model, device, temporal_coherence.SIMULATED_PX)
    print_evaluation(temporal_coherence.evaluate(scenes, loaded), json_path)


@evaluate_commands.command("leave-one-cube-out")
@click.option("--data", required=True, metavar="FOLDER", help=CUBES)
@training_options
@device_option
@json_option
def evaluate_left_out(
    data: str,
    simulated: int,
    encoders: str | None,
    start: str | None,
    steps: int,
    learning_rate: float,
    seed: int,
    device: str,
    json_path: str | None,
) -> None:
    """Every cube of a folder reconstructed by a fusion trained without it.
    \f

    Parameters
    ----------
    data : str
        Folder of measured cubes.
    simulated, steps, seed : int
        As ``training_configuration`` takes them.
    learning_rate : float
        At its highest.
    encoders, start : str or None
        Folder of encoder weights; weights to go on from.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    json_path : str or None
        File for the numbers.
    """
    from fluxlens.embeddings.evaluation import leave_one_cube_out

    # The same options as of training, so that a score belongs to a command that can be repeated.
    configuration = training_configuration(simulated, steps, learning_rate, seed, start)
    folder = Path(encoders) if encoders else None
    print_evaluation(leave_one_cube_out.evaluate(data, configuration, folder, device), json_path)


@evaluate_commands.command("probes")
@click.option(
    "--data",
    required=True,
    metavar="PATH",
    help="Measured rows, spectra beside GPP; or with an option below a folder of series tables or scenes.",
)
@click.option(
    "--label", metavar="COLUMN", help="Classes of series, such as crop, each by others of its region."
)
@click.option(
    "--in-situ", metavar="FILE", help="Measured at places and dates in scenes; scenes are left out."
)
@click.option("--group", metavar="COLUMN", help="With --in-situ: left out instead of scenes, such as parcel.")
@click.option("--map", "map_", metavar="VARIABLE", help="A map in scene files; scenes are left out.")
@click.option("--window", metavar="START:END", help="With --label or --map: days that count (default: all).")
@model_options
@json_option
def evaluate_probes(
    data: str,
    label: str | None,
    in_situ: str | None,
    group: str | None,
    map_: str | None,
    window: str | None,
    model: str,
    device: str,
    json_path: str | None,
) -> None:
    """Linear probes of measured labels, beside raw bands: GPP and plant type, classes, places, maps.
    \f

    Parameters
    ----------
    data : str
        CSV of measured rows; a folder of series tables or of scenes with one of the next.
    label, in_situ, map_ : str or None
        Column of classes; file of measurements inside scenes; variable of scene files.
    group : str or None
        Column of the file of measurements that is left out in place of the scene.
    window : str or None
        ``START:END``, ISO dates.
    model, device : str
        Name or path of weights; ``auto``, ``cpu`` or ``cuda``.
    json_path : str or None
        File for the numbers.
    """
    from fluxlens.embeddings.evaluation import linear_probes, measured_labels
    from fluxlens.models import checkpoints

    # The three name what is predicted: one of them, or none for GPP and plant type of a table.
    targets = {"--label": label, "--in-situ": in_situ, "--map": map_}
    check_exclusive(click.get_current_context(), targets)
    if group and not in_situ:
        raise InputError(f"Got --group {group} without --in-situ, need it; leave it out.")
    if window and not (label or map_):
        raise InputError(f"Got --window {window} without --label or --map, need one; leave it out.")
    loaded = checkpoints.load(model, device)
    if label:
        steps = measured_labels.evaluate_classes(data, label, loaded, window)
    elif in_situ:
        steps = measured_labels.evaluate_in_situ(data, in_situ, loaded, group)
    elif map_:
        steps = measured_labels.evaluate_maps(data, map_, loaded, window)
    else:
        steps = linear_probes.evaluate(data, loaded)
    print_evaluation(steps, json_path)


@evaluate_commands.command("mowing")
@click.option("--data", required=True, metavar="FOLDER", help="Series tables of meadows.")
@click.option(
    "--events",
    metavar="FILE",
    help="Dated mowing: id, date, type and lon, lat (default: events.parquet or .csv in the folder).",
)
@click.option(
    "--max-blue",
    metavar="B",
    type=click.FloatRange(0, 1, min_open=True),
    help="Rows above this B02 (reflectance 0-1) are left out, as of `evaluate reconstruction`.",
)
@model_options
@json_option
def evaluate_mowing(
    data: str, events: str | None, max_blue: float | None, model: str, device: str, json_path: str | None
) -> None:
    """Mowing dates detected on the embedding, beside the same detector on interpolated NDVI.
    \f

    Parameters
    ----------
    data : str
        Folder of series tables.
    events : str or None
        Table of dated events.
    max_blue : float or None
        Reflectance in B02 above which rows are left out.
    model, device : str
        Name or path of weights; ``auto``, ``cpu`` or ``cuda``.
    json_path : str or None
        File for the numbers.
    """
    from fluxlens.embeddings.evaluation import mowing

    print_evaluation(mowing.evaluate(data, events, model, device, max_blue), json_path)


@evaluate_commands.command("realism")
@click.option("--data", required=True, metavar="FOLDER", help=CUBES)
@json_option
def evaluate_realism(data: str, json_path: str | None) -> None:
    """Statistics of measured scenes beside simulated landscapes, and a classifier that tries to tell them apart.
    \f

    Parameters
    ----------
    data : str
        Folder of measured cubes.
    json_path : str or None
        File for the numbers.
    """
    from fluxlens.embeddings.evaluation import held_out_scenes, simulator_realism

    result = run_with_progress(simulator_realism.compare(held_out_scenes.open_scenes(data)))
    # `compare` returns no table: the report picks what differs most out of a hundred statistics.
    print(simulator_realism.report(result), file=sys.stderr)
    print_json(result, json_path)


@evaluate_commands.command("gpp")
@click.option(
    "--data", metavar="FILE", help="Measured rows; with --store a tower file or a folder of its years."
)
@model_options
@click.option(
    "--split",
    type=click.Choice(["leave-site-out", "leave-year-out"]),
    default="leave-site-out",
    help="What is held out (default leave-site-out).",
)
@click.option(
    "--store",
    metavar="STORE",
    help="Path or catalog entry; its daily GPP beside its scene's tower or that of --data.",
)
@catalog_option
@click.option("--at", metavar="LON,LAT", help="Where the tower stands, unless it is known.")
@click.option("--sites", metavar="FILE", help="Where towers stand: CSV, BIF or GeoJSON.")
@click.option(
    "--towers",
    multiple=True,
    metavar="FILE",
    help="Measured tower-days, .csv or .parquet, each tower left out and calibrated in turn; repeatable.",
)
@click.option(
    "--simulated",
    type=click.IntRange(min=0),
    default=48,
    metavar="N",
    help="With --towers: simulated scenes that teach beside (default 48).",
)
@click.option("--radius-m", type=float, metavar="R", help="Mean within R of the tower.")
@click.option(
    "--least-qc",
    type=float,
    default=0.75,
    metavar="Q",
    help="Days of less quality do not count (default 0.75).",
)
@json_option
def evaluate_gpp(
    data: str | None,
    model: str,
    device: str,
    split: str,
    store: str | None,
    catalog: str | None,
    at: str | None,
    sites: str | None,
    towers: tuple[str, ...],
    simulated: int,
    radius_m: float | None,
    least_qc: float,
    json_path: str | None,
) -> None:
    """GPP of single spectra at sites or in years never seen, or of a store at a tower, beside baselines.
    \f

    Parameters
    ----------
    data : str or None
        Path of measured rows, or with ``store`` of a tower file.
    model, device : str
        Name or path of weights; the device is not used, GPP heads are small.
    split : str
        ``leave-site-out`` or ``leave-year-out``.
    store, at, sites : str or None
        Path or catalog entry of a store; ``LON,LAT`` of its tower; file with the places of towers.
    catalog : str or None
        Path of the catalog; None for the package's own.
    towers : tuple of str
        Instead, tables of measured tower-days.
    simulated : int
        Simulated landscapes beside them.
    radius_m : float or None
        A mean of pixels stands for the tower.
    least_qc : float
        Share of measured or well filled half-hours, 0-1.
    json_path : str or None
        File for the numbers.
    """
    from fluxlens.embeddings.evaluation import gpp_at_tower, gpp_held_out

    # Three data sets, three evaluations: many towers, one store at one tower, one table.
    if towers:
        if store or data:
            raise InputError("Got --towers with --store or --data, need it alone; leave them out.")
        from fluxlens.embeddings.evaluation import gpp_measured_towers

        print_evaluation(gpp_measured_towers.evaluate(towers, model, simulated), json_path)
        return
    if store:
        from fluxlens.embeddings.evaluation.tower_baselines import BaselineInputs

        opened = open_store(find_embeddings(store, catalog), None)
        tower, point = open_tower(opened, data, at, sites)
        predicted = predict_at_tower(opened, point, radius_m)
        inputs = BaselineInputs.from_scene(opened.scene(), opened.grid, point.lon, point.lat, radius_m)
        result = {"store": store, "data": data or f"the tower of {store}"}
        result |= gpp_at_tower.evaluate_at_tower(predicted, tower, least_qc, inputs)
        # For people on stderr; the numbers alone go to stdout.
        print(gpp_at_tower.tower_report(result), file=sys.stderr)
    elif data:
        result = run_with_progress(gpp_held_out.evaluate(data, split, model))
        print(gpp_held_out.report(result), file=sys.stderr)
    else:
        raise InputError(
            "Got evaluate gpp without --data or --store, need a table of measured rows, or a store; add one."
        )
    print_json(result, json_path)


def scenes_and_model(
    data: str | None, model: str, device: str, size_px: int
) -> tuple[dict[str, xr.DataTree], Embedder]:
    """Measured scenes, or simulated ones left out of training, and the model to evaluate on them.

    Parameters
    ----------
    data : str or None
        Path of measured scenes; None for simulated ones.
    model, device : str
        Name or path of weights; ``auto``, ``cpu`` or ``cuda``.
    size_px : int
        Side of simulated scenes, pixels of 10 m.

    Returns
    -------
    tuple
        Scenes by name, and the model.
    """
    from fluxlens.embeddings.evaluation import held_out_scenes
    from fluxlens.models import checkpoints

    # The model first: a wrong name is known at once, simulating takes minutes.
    loaded = checkpoints.load(model, device)
    if data:
        return held_out_scenes.open_scenes(data), loaded
    return run_with_progress(held_out_scenes.simulate_held_out(size_px)), loaded
