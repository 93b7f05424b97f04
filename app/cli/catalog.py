"""``fluxlens catalog``: look at a catalog, or make one of tower files."""

from __future__ import annotations

from pathlib import Path

import click
from fluxlens.app.cli.options import catalog_option
from fluxlens.models.errors import InputError


@click.group("catalog", no_args_is_help=False)
def catalog_commands() -> None:
    """Look at a catalog, or make one of towers."""


@catalog_commands.command("list")
@catalog_option
def catalog_list(catalog: str | None) -> None:
    """What a catalog holds.
    \f

    Parameters
    ----------
    catalog : str or None
        Path of the catalog; None for the package's own.
    """
    from fluxlens.embeddings.catalog import entries
    from fluxlens.embeddings.catalog import open as open_catalog

    rows = entries(open_catalog(catalog))
    name_width = max((len(entry.name) for entry in rows), default=0)
    kind_width = max((len(entry.kind) for entry in rows), default=0)
    for entry in rows:
        print(f"{entry.name:<{name_width}}  {entry.kind:<{kind_width}}  {entry.description}")


@catalog_commands.command("check")
@catalog_option
def catalog_check(catalog: str | None) -> None:
    """Whether every entry of a catalog can be opened.
    \f

    Parameters
    ----------
    catalog : str or None
        Path of the catalog; None for the package's own.
    """
    from fluxlens.embeddings.catalog import open as open_catalog
    from fluxlens.embeddings.catalog import problems

    # All entries are listed, sound or not, before the exit code says that one is wrong.
    wrong = 0
    for name, problem in problems(open_catalog(catalog)):
        wrong += bool(problem)
        print(f"{name}: {problem or 'ok'}")
    if wrong:
        raise InputError(
            f"Got a catalog with {wrong} of its entries wrong, need all sound; correct those above."
        )


@catalog_commands.command("towers")
@click.argument("folder", metavar="FOLDER")
@click.option("--sites", metavar="FILE", help="Where the towers stand: CSV, BIF or GeoJSON.")
@click.option("--out", required=True, metavar="CATALOG.yaml", help="Path of the new catalog.")
def catalog_towers(folder: str, sites: str | None, out: str) -> None:
    """A catalog of the tower files in FOLDER: FLUXNET, AmeriFlux or ICOS, .csv or .zip.
    \f

    Parameters
    ----------
    folder, out : str
        Folder of tower files; YAML file to write.
    sites : str or None
        File with the places of the towers.
    """
    from fluxlens.embeddings.catalog import check, towers_catalog
    from fluxlens.embeddings.export.extract import replacing

    path = Path(out)
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"Got --out {path}, need a name that ends in .yaml; rename it.")
    # Paths in the catalog are relative to its own folder, so that both can move together.
    text = towers_catalog(folder, path.resolve().parent, sites)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    # Counted by reading the file back through the check that `serve` and `open` apply.
    count = len(check(path))
    print(f"{path}: {count} {'tower' if count == 1 else 'towers'}")
