"""The lines of an area's pixels as an image: where they run, how many, and what is drawn without one."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.app.plots.area_lines import MAX_ALPHA, density_image
from fluxlens.app.plots.marks import source_columns
from fluxlens.app.plots.series_layout import chart_marks

DAYS = pd.date_range("2020-03-01", periods=101)


def series(lines) -> xr.DataArray:
    return xr.DataArray(np.asarray(lines, "float32"), {"time": DAYS}, ("pixel", "time"))


def test_lines_run_at_their_values_and_are_darkest_where_most_run():
    level = np.ones(101)
    gap = np.where(np.abs(np.arange(101) - 50) < 10, np.nan, 10)
    drawn = density_image(series([0 * level, *[5 * level] * 4, gap]), 101, 51)
    alpha = drawn["rgba"][..., 3].astype(int)
    assert drawn["extent"] == (DAYS[0].to_datetime64(), 0, DAYS[-1].to_datetime64(), 10)
    # Rows from the highest value to the lowest.
    rows = np.flatnonzero(alpha[:, 20])
    assert rows[0] == 0
    assert rows[-1] == 50
    assert 24 <= rows[1] <= 26
    assert alpha[rows[1], 20] == MAX_ALPHA
    assert alpha[50, 20] < MAX_ALPHA
    assert alpha[0, 20]
    assert not alpha[0, 45:55].any(), "a gap in a line is a gap in the image"


def test_zoomed_in_a_part_is_counted_on_all_pixels_of_the_frame():
    rising = series([np.arange(101.0)])
    whole = density_image(rising, 200, 100)
    part = density_image(rising, 200, 100, (DAYS[50], DAYS[60]))
    assert part["extent"][0] == DAYS[50].to_datetime64()
    assert part["extent"][1::2] == whole["extent"][1::2], "the y axis stays where it was"
    rows = np.flatnonzero(part["rgba"][..., 3].any(1))
    # Values 50 to 60 of 0 to 100, counted from above.
    assert (rows.min(), rows.max()) == pytest.approx((40, 50), abs=1)


def test_without_a_line_nothing_is_seen_and_the_axis_is_in_milliseconds():
    nothing = density_image(series([np.full(101, np.nan)]), 200, 100)
    assert not nothing["rgba"][..., 3].any()
    mark = chart_marks()["gpp"][0]
    columns = source_columns(mark, {mark.table: density_image(series([np.arange(101.0)]), 60, 20)})
    assert columns[0][0].shape == (20, 60)
    assert pd.Timestamp(columns[1][0], unit="ms") == DAYS[0]
    assert pd.Timedelta(columns[3][0], unit="ms") == DAYS[-1] - DAYS[0]
