"""``fluxlens update``: a store of daily embeddings brought up to date with new acquisitions of its scene."""

from __future__ import annotations

import click
from fluxlens.app.cli.inputs import open_scene
from fluxlens.app.cli.options import (
    check_cluster,
    cluster_options,
    load_for_blocks,
    model_options,
    scene_argument,
    until_option,
)
from fluxlens.app.cli.output import ProgressLine, extrapolated_note


@click.command("update")
@click.argument("store", metavar="STORE")
@scene_argument
@model_options
@until_option
@cluster_options
def update(
    store: str,
    scene: str,
    catalog: str | None,
    model: str,
    device: str,
    until: str | None,
    workers: int,
    scheduler: str | None,
    resume: bool,
) -> None:
    """New acquisitions of a scene into its store.

    Only days that they change are computed; the store then holds what `embed` of the whole scene writes.
    \f

    Parameters
    ----------
    store, scene, catalog : str
        Path or URL of the store; catalog entry or path of the scene; path of the catalog (or None).
    model, device : str
        Name or path of the weights the store was written with; ``auto``, ``cpu`` or ``cuda``.
    until : str or None
        Last day as an ISO date, also past the last acquisition.
    workers : int
        Processes; 0 computes in this one.
    scheduler : str or None
        Address of a Dask scheduler.
    resume : bool
        Whether finished blocks are kept and taken.
    """
    check_cluster(workers, scheduler)
    opened = open_scene(scene, catalog)
    from fluxlens.embeddings import progress
    from fluxlens.embeddings.inference.embed import FinishedBlock
    from fluxlens.embeddings.inference.update import update as update_blocks
    from fluxlens.embeddings.store import Store

    loaded, execution = load_for_blocks(model, device, workers, scheduler, resume)
    line = ProgressLine()

    def show(block: FinishedBlock | None) -> None:
        if block is not None:
            line.show(f"updating: block {block.done} of {block.total}", block.share)

    done = progress.run(update_blocks(store, opened, loaded, until, execution), show)
    line.end()
    if not done.is_new:
        print(f"{store} is up to date, nothing to do; snapshot {done.snapshot}")
        return
    news = ", ".join(f"{count} of {name}" for name, count in done.acquisitions.items()) or "none"
    # Opened by its snapshot: another process may have committed since.
    print(
        f"{store}: days with new acquisitions: {news}; {done.computed_days} days computed, {done.appended_days} of "
        f"them appended, snapshot {done.snapshot}" + extrapolated_note(Store.open(store, done.snapshot))
    )
