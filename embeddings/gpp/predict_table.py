"""GPP of a table's rows, with its 90 % band and out-of-distribution flag."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from fluxlens.embeddings.gpp.table_head import load
from fluxlens.embeddings.gpp.tables import read
from fluxlens.models.atomic import atomic_path
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
    out = Path(out_csv)
    if not out.parent.is_dir():
        raise InputError(f"Got {out}, whose folder does not exist, need one that does; create it.")
    if out.is_dir():  # an atomic write would replace the folder and all that it holds
        raise InputError(f"Got {out}, which is a folder, need a file; choose another path.")
    table = read(in_csv)
    result = pd.concat([table[["site", "date"]], load(head).predict(table)], axis=1)
    result["date"] = result["date"].dt.strftime("%Y-%m-%d")
    with atomic_path(out) as temporary:
        result.to_csv(temporary, index=False, float_format="%.4f")
    return result
