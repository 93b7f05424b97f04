"""GPP of a table's rows, with its 90 % band and out-of-distribution flag."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from fluxlens.embeddings.gpp.calibration import DayTerms
from fluxlens.embeddings.gpp.calibration_file import Calibration
from fluxlens.embeddings.gpp.cubes import calibration_of
from fluxlens.embeddings.gpp.table_days import row_drivers
from fluxlens.embeddings.gpp.table_head import KIND, load
from fluxlens.embeddings.gpp.tables import read
from fluxlens.models.atomic import atomic_path
from fluxlens.models.errors import InputError

BAND = ("gpp", "gpp_lo", "gpp_hi")


def predict(
    in_csv: str | Path,
    out_csv: str | Path,
    head: str | Path = "default",
    calibration: Calibration | str | Path | None = None,
) -> pd.DataFrame:
    """Predict GPP of a CSV table and write it.

    Parameters
    ----------
    in_csv
        Table as for ``read``.
    out_csv
        File to write: ``site,date,gpp,gpp_lo,gpp_hi,ood``, a row per row; its folder must exist.
    head
        ``default`` for the shipped head, or the path of one.
    calibration
        To measured towers, or the path of its file. Rows of its towers get their tower's adjustment, others that of
        the set; a last column ``calibration`` names it.

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
    # Before the table: a wrong calibration is known at once.
    calibration = calibration_of({}, calibration)
    loaded = load(head)
    adjustment = None if calibration is None else calibration.head(KIND, loaded.digest)
    table = read(in_csv)
    result = pd.concat([table[["site", "date"]], loaded.predict(table)], axis=1)
    if adjustment is not None:
        for site, at in table.groupby("site", sort=False).indices.items():
            terms = DayTerms.from_drivers(*row_drivers(table.iloc[at]))
            band = (result[name].values[at] for name in BAND)
            found = adjustment.at(str(site)).apply(*band, terms)
            for name, values in zip(BAND, found, strict=True):
                result.loc[result.index[at], name] = values
        result["calibration"] = f"{calibration.name} ({calibration.digest})"
    result["date"] = result["date"].dt.strftime("%Y-%m-%d")
    with atomic_path(out) as temporary:
        result.to_csv(temporary, index=False, float_format="%.4f")
    return result
