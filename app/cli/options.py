"""Options that several commands share, as decorators, and what is made of them.

A decorator adds its options in the order of ``--help``: the outermost comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from fluxlens.models.errors import InputError

if TYPE_CHECKING:
    from fluxlens.embeddings.inference.workers import Execution
    from fluxlens.embeddings.training.embedder import TrainingConfig
    from fluxlens.models.embedder import Embedder

Command = TypeVar("Command", bound=Callable)

catalog_option = click.option(
    "--catalog", metavar="C", help="A catalog.yaml (default: the one of the package)."
)
# Made once and applied to many commands: a choice has the same words and default everywhere.
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="Where the model computes (default auto: a GPU where there is one).",
)
calibration_option = click.option(
    "--calibration", metavar="CAL.json", help="GPP calibrated to towers, as `calibrate gpp` writes it."
)
resolution_option = click.option(
    "--resolution-m",
    type=float,
    metavar="METRES",
    help="Land that a row of --table shows (default: its columns resolution_m or sensor, else 10 to 30 m).",
)
json_option = click.option("--json", "json_path", metavar="FILE", help="Also write the numbers to this file.")


class ExclusiveOptions(click.UsageError):
    """Options that exclude each other were given together; the message is a whole sentence."""


def check_exclusive(ctx: click.Context, options: dict[str, Any]) -> None:
    """Refuse options that exclude each other, as the parser refuses unknown ones.

    Parameters
    ----------
    ctx : click.Context
        Of the command, for its name.
    options : dict
        Values by option; None where it was not given.

    Raises
    ------
    ExclusiveOptions
        Where two were given.
    """
    # None and not falsy: 0 and "" are values that a user may give.
    names = [name for name, value in options.items() if value is not None]
    if len(names) > 1:
        raise ExclusiveOptions(
            f"Got {' and '.join(names)} with {ctx.command_path}, need one of {', '.join(options)}; leave one out.",
            ctx,
        )


def scene_argument(command: Command) -> Command:
    """Add ``SCENE``, a catalog entry or a path, and ``--catalog``.

    Parameters
    ----------
    command : function
        Of a click command; gets ``scene`` and ``catalog``.
    """
    return click.argument("scene", metavar="SCENE")(catalog_option(command))


def model_options(command: Command) -> Command:
    """Add ``--model`` and ``--device``.

    Parameters
    ----------
    command : function
        Of a click command; gets ``model`` and ``device``.
    """
    # Applied from the inside out, as decorators are: ``--model`` stands before ``--device`` in ``--help``.
    model = click.option("--model", default="default", metavar="M", help="A name or a .safetensors file.")
    return model(device_option(command))


def day_options(command: Command) -> Command:
    """Add ``--start`` and ``--end``.

    Parameters
    ----------
    command : function
        Of a click command; gets ``start`` and ``end``, ISO dates or None.
    """
    start = click.option("--start", metavar="D", help="First day, YYYY-MM-DD.")
    end = click.option("--end", metavar="D", help="Last day, YYYY-MM-DD.")
    return start(end(command))


def until_option(command: Command) -> Command:
    """Add ``--until``.

    Parameters
    ----------
    command : function
        Of a click command; gets ``until``, an ISO date or None.
    """
    text = "Last day, also past the last acquisition (at most 200 days): sigma grows, days are marked as extrapolated."
    return click.option("--until", metavar="D", help=text)(command)


def cluster_options(command: Command) -> Command:
    """Add ``--workers``, ``--scheduler`` and ``--resume``: where blocks are computed, and whether a run is taken up.

    Parameters
    ----------
    command : function
        Of a click command; gets ``workers``, ``scheduler`` and ``resume``, for ``check_cluster``.
    """
    workers = click.option("--workers", type=int, default=0, metavar="N", help="Compute in N processes.")
    scheduler = click.option(
        "--scheduler", metavar="ADDRESS", help="Compute on a Dask scheduler, tcp://HOST:PORT."
    )
    resume = click.option(
        "--resume", is_flag=True, help="Keep finished blocks beside the store until it is whole."
    )
    return workers(scheduler(resume(command)))


def check_cluster(workers: int, scheduler: str | None) -> None:
    """Refuse what cannot be where blocks are computed.

    Parameters
    ----------
    workers : int
        Value of ``--workers``.
    scheduler : str or None
        Value of ``--scheduler``.

    Raises
    ------
    InputError
        For less than 0 workers, for both, and for an address that no scheduler has.
    """
    if workers < 0:
        raise InputError(f"Got --workers {workers}, need 1 or more; choose another number.")
    # Not a preference of one over the other: each would compute in another place.
    if workers and scheduler:
        raise InputError("Got --workers and --scheduler, need one of them; leave one out.")
    if scheduler and not scheduler.startswith(("tcp://", "tls://", "ws://", "wss://")):
        raise InputError(f"Got --scheduler {scheduler!r}, need tcp://HOST:PORT; correct it.")


def load_for_blocks(
    model: str, device: str, workers: int, scheduler: str | None, resume: bool
) -> tuple[Embedder, Execution]:
    """Load a model, and say where its blocks are computed.

    Parameters
    ----------
    model, device : str
        Values of ``--model`` and ``--device``.
    workers : int
        Processes; 0 computes in this one.
    scheduler : str or None
        Address of a Dask scheduler.
    resume : bool
        Whether finished blocks are kept and taken.
    """
    from fluxlens.embeddings.inference.workers import Execution
    from fluxlens.models import checkpoints

    # With workers this process only sends the weights: the device is theirs, and `auto` means the processor, since
    # workers of one machine would share its GPU.
    has_workers = bool(workers or scheduler)
    loaded = checkpoints.load(model, "cpu" if has_workers else device)
    worker_device = "cuda" if has_workers and device == "cuda" else "cpu"
    return loaded, Execution(workers, scheduler, worker_device, resume)


def training_options(command: Command) -> Command:
    """Add what training is configured by; ``training_configuration`` takes the same names.

    Parameters
    ----------
    command : function
        Of a click command; gets ``simulated``, ``encoders``, ``start``, ``steps``, ``learning_rate`` and ``seed``.
    """
    options = (
        click.option("--simulated", type=int, default=48, metavar="N", help="Simulated scenes (default 48)."),
        click.option(
            "--encoders",
            metavar="FOLDER",
            help="fusion: weights of stage one; those it lacks are the shipped ones.",
        ),
        click.option("--start", metavar="FILE", help="Weights to go on from (default: random ones)."),
        click.option("--steps", type=int, default=2000, help="Of the optimiser (default 2000)."),
        click.option("--learning-rate", type=float, default=3e-3, help="At its highest (default 0.003)."),
        click.option("--seed", type=int, default=0, help="Of all random numbers (default 0)."),
    )
    # click lists options in the order of decorators in a source file: the last applied comes first.
    for option in reversed(options):
        command = option(command)
    return command


def measured_options(command: Command) -> Command:
    """Add the options of training on measured series; ``training_configuration`` takes the same names.

    Parameters
    ----------
    command : function
        Of a click command; gets ``measured``, ``leave``, ``season_heads``, ``hidden`` and ``sources``.
    """
    options = (
        click.option(
            "--measured",
            multiple=True,
            metavar="FOLDER",
            help="Measured series tables, or scenes; repeatable. gpp: land that maps shall not flag as unlike any.",
        ),
        click.option(
            "--leave",
            default="",
            metavar="A,B",
            help="sensor, fusion: sets, regions or scenes of --measured left out.",
        ),
        click.option(
            "--season-heads",
            type=int,
            default=0,
            metavar="N",
            help="fusion: kernels of months (default: those of --start).",
        ),
        click.option(
            "--hidden",
            type=int,
            default=0,
            metavar="N",
            help="fusion: width of the joining network (default: that of --start, else 96).",
        ),
        click.option(
            "--sources", default="", metavar="TEXT", help="Sources and licences, for the model card."
        ),
    )
    # As above: the last applied comes first.
    for option in reversed(options):
        command = option(command)
    return command


def training_configuration(
    simulated: int,
    steps: int,
    learning_rate: float,
    seed: int,
    start: str | None,
    cubes: tuple[str, ...] = (),
    measured: tuple[str, ...] = (),
    leave: str = "",
    season_heads: int = 0,
    sources: str = "",
    hidden: int = 0,
) -> TrainingConfig:
    """What a training run learns from and how, of the values of ``training_options``.

    Parameters
    ----------
    simulated : int
        Number of simulated scenes, 0 or more.
    steps : int
        Of the optimiser, 1 or more.
    learning_rate : float
        Of the optimiser, at its highest.
    seed : int
        Of all random numbers.
    start : str or None
        Path of weights to go on from.
    cubes : tuple of str
        Paths of measured scenes.
    measured : tuple of str
        Folders of measured series tables or scenes.
    leave : str
        Names of sets left out, separated by commas.
    season_heads : int
        Kernels of months, 0 or more; 0 keeps those of ``start``.
    sources : str
        Sources and licences of ``measured``.
    hidden : int
        Width of the joining network, 0 or more; 0 keeps that of ``start``.

    Raises
    ------
    InputError
        Where a number is below its least.
    """
    # Checked before PyTorch is imported: a slip in an option is answered at once.
    if min(simulated, season_heads, hidden) < 0 or steps < 1:
        raise InputError(
            "Got --simulated, --season-heads, --hidden or --steps below its least, need 0 or more, and 1 step or more;"
            " correct it."
        )
    # Imported here, since it loads PyTorch.
    from fluxlens.embeddings.training.embedder import TrainingConfig
    from fluxlens.models.training import Recipe

    recipe = Recipe(steps=steps, learning_rate=learning_rate, seed=seed)
    return TrainingConfig(
        simulated,
        cubes,
        recipe,
        Path(start) if start else None,
        measured=measured,
        leave=tuple(name for name in leave.split(",") if name),
        season_heads=season_heads,
        sources=sources,
        hidden=hidden,
    )
