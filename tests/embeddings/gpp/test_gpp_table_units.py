"""Tables of spectra whose units are stated, and lines that are no rows: the plain table's numbers, or one sentence."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings.gpp import tables
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.models.errors import DataWarning, InputError

DATES = pd.date_range("2019-05-01", periods=70, freq="3D")
GPP = np.round(3 + np.arange(70) / 10, 3)


def table(**more) -> pd.DataFrame:
    bands = {band: 0.03 + 0.05 * at for at, band in enumerate(BANDS)}
    columns = {"SITE_ID": "XX-Abc", "date": DATES.strftime("%Y-%m-%d")} | bands
    return pd.DataFrame(columns | {"T2MEAN": 290.5, "SWLAND": 200.25, "GPP": GPP} | more)


def opened(tmp_path, lines: list[str] | pd.DataFrame) -> pd.DataFrame:
    lines = lines.to_csv(index=False).splitlines() if isinstance(lines, pd.DataFrame) else lines
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    return tables.read(tmp_path / "rows.csv", need_gpp=True)


def assert_right(rows: pd.DataFrame) -> None:
    right = tables.clean(table(), need_gpp=True)
    pd.testing.assert_frame_equal(rows, right, check_dtype=False)


def row_of_units(**units) -> str:
    return ",".join({"T2MEAN": "K", "SWLAND": "W m-2", "GPP": "gC m-2 d-1"}.get(name, "-") if name not in units
                    else units[name] for name in table())  # fmt: skip


def test_a_row_of_units_is_no_row(tmp_path):
    header, *rows = table().to_csv(index=False).splitlines()
    assert_right(opened(tmp_path, [header, row_of_units(), *rows]))


@pytest.mark.parametrize(
    ("column", "unit", "need"),
    [("GPP", "umol m-2 s-1", "gC m-2 d-1"), ("T2MEAN", "degC", "K"), ("SWLAND", "MJ m-2 d-1", "W m-2")],
)
@pytest.mark.parametrize("where", ["row", "name"])
def test_units_that_are_others_are_refused(tmp_path, where, column, unit, need):
    header, *rows = table().to_csv(index=False).splitlines()
    lines = [header, row_of_units(**{column: unit}), *rows]
    if where == "name":
        lines = [header.replace(column, f"{column} ({unit})"), *rows]
    with pytest.raises(InputError, match=f"{column} in '{unit}', need {need}; convert it"):
        opened(tmp_path, lines)


def test_units_that_are_right_may_stand_in_names(tmp_path):
    assert_right(
        opened(tmp_path, table().rename(columns={"GPP": "GPP (gC m-2 d-1)", "T2MEAN": "T2MEAN [K]"}))
    )


def test_headers_once_more_comments_and_decimal_commas_in_quotes_change_nothing(tmp_path):
    header, *rows = table().to_csv(index=False).splitlines()
    with pytest.warns(DataWarning, match="1 lines repeat the header"):
        assert_right(opened(tmp_path, [header, *rows[:20], header, *rows[20:]]))
    assert_right(opened(tmp_path, [header, *rows[:20], "# another sensor from here on", *rows[20:]]))
    quoted = [",".join('"' + cell.replace(".", ",") + '"' for cell in row.split(",")) for row in rows]
    assert_right(opened(tmp_path, [header, *quoted]))


@pytest.mark.parametrize(
    ("gpp", "message"),
    [
        (GPP * 1000, "GPP up to .* need less than 60, which no vegetation passes"),
        (-GPP, "below 0 on 70 of 70 days"),
    ],
)
def test_gpp_that_no_vegetation_reaches_is_refused(tmp_path, gpp, message):
    with pytest.raises(InputError, match=message):
        opened(tmp_path, table(GPP=gpp))


def test_gpp_below_that_of_deserts_is_told(tmp_path):
    with pytest.warns(DataWarning, match="GPP of the table stays below .* it looks like kg or mol"):
        opened(tmp_path, table(GPP=GPP / 1000))
