"""GPP of a table's rows, with its 90 % band and out-of-distribution flag."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from fluxlens.embeddings.gpp.table_head import load
from fluxlens.embeddings.gpp.tables import read
from fluxlens.models.errors import InputError


def predict(in_csv: str | Path, out_csv: str | Path, head: str | Path = "default") -> pd.DataFrame:
    """Predict GPP of a CSV table and write it.

    Parameters
    ----------
    in_csv
        Table as for ``read``.
    out_csv
        File to write: ``site,date,gpp,gpp_lo,gpp_hi,ood``, a row per row; its folder must exist.
    head
        ``default`` for the shipped head, or the path of one.

    Returns
    -------
    DataFrame
        What was written; gC m-2 d-1, a 90 % band.

    Raises
    ------
    InputError
        When the table or the place to write is not as needed.
    """
    import os

    table = read(in_csv)
    result = pd.concat([table[["site", "date"]], load(head).predict(table)], axis=1)
    result["date"] = result["date"].dt.strftime("%Y-%m-%d")
    out = Path(out_csv)
    if not out.parent.is_dir():
        raise InputError(f"Got {out}, whose folder does not exist, need one that does; create it.")
    # Written next to the file and renamed, so that a reader never meets half a table.
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        result.to_csv(partial, index=False, float_format="%.4f")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return result
