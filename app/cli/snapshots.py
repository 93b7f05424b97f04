"""``fluxlens snapshots``: the commits of a store, each of which can be named by its id or by its day."""

from __future__ import annotations

import click
from fluxlens.app.cli.inputs import find_embeddings, open_store
from fluxlens.app.cli.options import catalog_option, json_option

COLUMNS = {
    "id": "id",
    "written_at": "written (UTC)",
    "days": "days",
    "first_day": "from",
    "last_day": "to",
    "message": "message",
}
"""Of the table, by their names in the JSON file."""


@click.command("snapshots")
@click.argument("store", metavar="STORE")
@catalog_option
@json_option
def snapshots(store: str, catalog: str | None, json_path: str | None) -> None:
    """The commits of a store, newest first.

    Each can be opened with `export --snapshot`, by its id or by its day.
    \f

    Parameters
    ----------
    store : str
        Path, URL or catalog entry of a store; of an entry of several stores all are listed.
    catalog : str or None
        Path of the catalog; None for the package's own.
    json_path : str or None
        File for the same facts.
    """
    opened = open_store(find_embeddings(store, catalog), None)
    # A mosaic has no commits of its own.
    stores = getattr(opened, "stores", (opened,))
    rows = [{"store": str(one.path), **commit} for one in stores for commit in _commits(one)]
    for one in stores:
        if len(stores) > 1:
            print(f"{one.path}:")
        _print_rows([row for row in rows if row["store"] == str(one.path)])
    if json_path:
        from fluxlens.app.cli.output import write_json

        write_json({"snapshots": rows}, json_path)


def _commits(store) -> list[dict]:
    """Id, time, message and days of each commit of a store, newest first."""
    log = store.log()
    rows = []
    # One call for all commits: of an object store they are asked for together.
    for commit, days in zip(log, store.days_of([commit.id for commit in log]), strict=True):
        first, last = (str(day.astype("datetime64[D]")) for day in days[[0, -1]])
        rows.append(
            {
                "id": commit.id,
                "written_at": f"{commit.written_at:%Y-%m-%d %H:%M:%S}",
                "days": len(days),
                "first_day": first,
                "last_day": last,
                "message": commit.message,
            }
        )
    return rows


def _print_rows(rows: list[dict]) -> None:
    """A table under its column titles; numbers stand to the right."""
    lines = [COLUMNS, *({name: str(row[name]) for name in COLUMNS} for row in rows)]
    widths = {name: max(len(line[name]) for line in lines) for name in COLUMNS}
    for line in lines:
        cells = (
            line[name].rjust(widths[name]) if name == "days" else line[name].ljust(widths[name])
            for name in COLUMNS
        )
        print("  ".join(cells).rstrip())
