"""``fluxlens train``: a sensor's encoder, the fusion, or the GPP head."""

from __future__ import annotations

from pathlib import Path

import click
from fluxlens.app.cli.options import measured_options, training_configuration, training_options
from fluxlens.app.cli.output import run_with_progress
from fluxlens.models.errors import InputError


@click.command("train")
@click.argument("what", type=click.Choice(["sensor", "fusion", "gpp"]))
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--out", required=True, metavar="FILE.safetensors", help="File for the weights.")
@click.option("--cube", multiple=True, metavar="PATH", help="A measured scene; repeatable.")
@click.option("--sensors", default="s2,s1", metavar="A,B", help="fusion: of which sensors (default s2,s1).")
@click.option("--table", metavar="FILE.csv", help="gpp: measured rows (default: simulated landscapes).")
@click.option(
    "--towers", multiple=True, metavar="FILE", help="gpp: measured tower-days, .csv or .parquet; repeatable."
)
@click.option("--model", default="default", help="gpp: weights whose embeddings it is trained on.")
@training_options
@measured_options
def train(
    what: str,
    name: str | None,
    out: str,
    cube: tuple[str, ...],
    sensors: str,
    table: str | None,
    towers: tuple[str, ...],
    model: str,
    simulated: int,
    encoders: str | None,
    start: str | None,
    steps: int,
    learning_rate: float,
    seed: int,
    measured: tuple[str, ...],
    leave: str,
    season_heads: int,
    hidden: int,
    sources: str,
) -> None:
    """Train a sensor's encoder, the fusion or the GPP head. NAME is that of the sensor: s2, s1, landsat8.
    \f

    Parameters
    ----------
    what : str
        ``sensor``, ``fusion`` or ``gpp``.
    name : str or None
        Of the sensor.
    out : str
        Safetensors file to write.
    cube : tuple of str
        Paths of measured scenes.
    sensors : str
        Names, separated by commas.
    table : str or None
        CSV of measured rows.
    towers : tuple of str
        Tables of measured tower-days, on which the daily head is trained beside simulated land.
    model : str
        Name or path of the weights whose embeddings the GPP head reads.
    simulated, steps, seed : int
        As ``training_configuration`` takes them.
    learning_rate : float
        At its highest.
    encoders, start : str or None
        Folder of encoder weights; weights to go on from.
    measured, leave, season_heads, hidden, sources
        As ``training_configuration`` takes them; the kernels and the width are of the fusion alone.
    """
    # The only subject of training that has a name.
    if (what == "sensor") != (name is not None):
        raise InputError(
            f"Got train {what} {name or 'without a name'}, need train sensor NAME, fusion or gpp."
        )
    path = _check_weights_path(out)
    # Torch and the training code are imported by the branch that needs them: `--help` stays fast.
    if what == "gpp":
        from fluxlens.embeddings.training import gpp_heads

        # Without towers landscapes are all that teaches: as many as behind the shipped head.
        landscapes = simulated if towers else gpp_heads.LANDSCAPES
        head = gpp_heads.run(path, table, seed, model, towers, landscapes, sources, measured)
        print(f"{path}: digest {run_with_progress(head)}")
        return
    from fluxlens.embeddings.training import embedder

    if what == "sensor" and (season_heads or hidden):
        raise InputError(
            "Got --season-heads or --hidden with train sensor, need train fusion for them; leave them out."
        )
    configuration = training_configuration(
        simulated, steps, learning_rate, seed, start, cube, measured, leave, season_heads, sources, hidden
    )
    if what == "sensor":
        run = embedder.train_sensor(name, path, configuration)
    else:
        run = embedder.train_fusion(
            path, configuration, tuple(sensors.split(",")), Path(encoders) if encoders else None
        )
    print(f"{path}: digest {run_with_progress(run)}")


def _check_weights_path(out: str) -> Path:
    """The file that weights are written to; checked before training, which takes hours."""
    path = Path(out)
    if path.suffix != ".safetensors" or not path.resolve().parent.is_dir():
        raise InputError(f"Got --out {path}, need a .safetensors file in a folder that exists; correct it.")
    return path
