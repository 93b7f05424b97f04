"""``fluxlens bench``: how fast something is on this machine."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click
from fluxlens.app.cli.options import json_option
from fluxlens.app.cli.output import print_table
from fluxlens.models.errors import InputError

SIZES = {
    "embed": ("side_px", "days", "repeats"),
    "store": (),
    "update": ("side_px", "days"),
    "screen": ("side_px", "days", "sessions", "seconds"),
}
"""Which sizes each benchmark takes."""


@click.command("bench")
@click.argument("what", type=click.Choice(list(SIZES)))
@click.option(
    "--side-px",
    type=int,
    metavar="N",
    help="update: side of its scene; embed: also a scene this wide, and workers, 2048 takes an hour; screen: also a "
    "store this wide, 10980 takes minutes and 15 GB of the cache folder.",
)
@click.option(
    "--days",
    type=int,
    metavar="N",
    help="Of the wide one (default: embed 30, screen 3), or of update's scene (731).",
)
@click.option("--sessions", type=int, metavar="N", help="screen: also N visitors at once, then 10 N in turn.")
@click.option("--seconds", type=float, metavar="S", help="screen: how long they stay (default 120).")
@click.option(
    "--repeats", type=int, metavar="N", help="embed: runs of which the median is taken (default 3)."
)
@json_option
def bench(
    what: str,
    side_px: int | None,
    days: int | None,
    sessions: int | None,
    seconds: float | None,
    repeats: int | None,
    json_path: str | None,
) -> None:
    """How fast something is on this machine.
    \f

    Parameters
    ----------
    what : str
        A key of ``SIZES``.
    side_px, days, sessions : int or None
        Width of the wide scene or store and its days; visitors at once.
    seconds : float or None
        How long the visitors stay.
    repeats : int or None
        Runs of ``embed`` of which the median is taken.
    json_path : str or None
        File for the numbers.
    """
    # Benchmarks are no part of the installed package: they are found by path, in a checkout.
    folder = Path(__file__).parents[2] / "benchmarks"
    if not (folder / f"bench_{what}.py").exists():
        raise InputError(
            f"Got bench {what} without bench_{what}.py, need a checkout of the project; run it there."
        )
    # Each benchmark keeps its own defaults: only what was given is handed on.
    sizes = {"side_px": side_px, "days": days, "sessions": sessions, "seconds": seconds, "repeats": repeats}
    options = {name: value for name, value in sizes.items() if value is not None}
    if wrong := [f"--{name.replace('_', '-')}" for name in options if name not in SIZES[what]]:
        raise InputError(f"Got {wrong[0]} with bench {what}, which has no such size; leave it out.")
    if min(options.values(), default=1) < 1:
        raise InputError(f"Got {min(options.values())} as a size of the bench, need 1 or more; correct it.")
    sys.path.insert(0, str(folder))
    # Benchmarks import one another by their bare names, so that their folder must be on the path.
    results = importlib.import_module(f"bench_{what}").run(**options)
    print_table(results, json_path)
