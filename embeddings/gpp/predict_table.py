"""GPP of a table's rows by the head of series and maps, with its 90 % band and out-of-distribution flag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings.gpp import cubes
from fluxlens.embeddings.gpp.calibration import DayTerms
from fluxlens.embeddings.gpp.calibration_file import Calibration
from fluxlens.embeddings.gpp.table_days import embed_rows, row_drivers
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.embeddings.gpp.tables import read
from fluxlens.models.atomic import atomic_path
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.drivers import NORMAL_90

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
    calibration = cubes.calibration_of({}, calibration)
    loaded = cubes.load(head)
    adjustment = None if calibration is None else calibration.head(cubes.KIND, loaded.digest)
    table = read(in_csv)
    result = pd.concat([table[["site", "date"]], predict_rows(table, loaded)], axis=1)
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


def predict_rows(
    table: pd.DataFrame, head: cubes.DailyGppHead | None = None, model: Embedder | None = None
) -> pd.DataFrame:
    """Predict GPP of rows, each site embedded from all its own dates and no other's.

    Parameters
    ----------
    table
        As ``tables.read`` returns it; measured GPP in it has no influence.
    head
        A loaded head, or None for the shipped one.
    model
        The embedder whose embeddings the head reads; None: looked for among the shipped ones.

    Returns
    -------
    DataFrame
        ``gpp``, ``gpp_lo``, ``gpp_hi`` (gC m-2 d-1, a 90 % band) and ``ood`` with the index of the table. Rows with a
        missing band are out of distribution.

    Raises
    ------
    InputError
        When no shipped embedder made the embeddings that the head was fitted on.
    """
    head = head or cubes.load("default")
    model = model or embedder_of(head)
    out = {name: np.empty(len(table)) for name in BAND} | {"ood": np.zeros(len(table), bool)}
    for at in table.groupby("site", sort=False).indices.values():
        mean, spread, is_strange = head.predict_rows(*embed_rows(table.iloc[at], model))
        half = NORMAL_90 * spread
        for name, values in zip((*BAND, "ood"), (mean, mean - half, mean + half, is_strange), strict=True):
            out[name][at] = values
    lost = table[list(BANDS)].isna().any(axis=1).values
    out["ood"] = out["ood"] | lost
    return pd.DataFrame(out, table.index)


def embedder_of(head: cubes.DailyGppHead) -> Embedder:
    """The shipped embedder whose embeddings a head reads.

    Parameters
    ----------
    head
        Loaded.

    Returns
    -------
    Embedder
        On the CPU.

    Raises
    ------
    InputError
        When none of them is it.
    """
    from fluxlens.models import checkpoints

    # The default first: others are read for heads of earlier releases alone.
    for name in ("default", *checkpoints.shipped()):
        model = checkpoints.load(name, "cpu")
        if not head.model_digest or model.digest == head.model_digest:
            return model
    raise InputError(
        f"Got a GPP head for embeddings of the model {head.model_digest}, need one of a shipped model for a table; run"
        " `fluxlens train gpp`."
    )
