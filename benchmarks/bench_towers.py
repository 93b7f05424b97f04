"""Seconds and memory to read a half-hourly tower file of ten years (201 columns, about 246 MB).

``python benchmarks/bench_towers.py [--years 10] [--packed]`` prints one line per reader.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings import towers

NAMED = ("GPP_NT_VUT_REF", "GPP_DT_VUT_REF", "NEE_VUT_REF_QC", "SW_IN_F", "TA_F", "VPD_F", "P_F")
WIND = ("WS_F", "WD", "USTAR", "H_F_MDS", "PA_F")
RANGES = {"NEE_VUT_REF_QC": (0, 1), "P_F": (0, 0.2), "WS_F": (1, 8), "USTAR": (0.1, 0.8), "PA_F": (99, 102)}
COLUMNS = 201
# Rendering each row would take a minute; the values of a file repeat after these.
DISTINCT_ROWS = 1000


def write_file(folder: Path, years: int) -> Path:
    """A half-hourly file in the layout of FLUXNET2015.

    Parameters
    ----------
    folder : Path
        Where it is written.
    years : int
        From 2010 on.
    """
    draw = np.random.default_rng(0)
    fillers = [f"SWC_F_MDS_{number}" for number in range(COLUMNS - 2 - len(NAMED) - len(WIND))]
    columns = [*NAMED, *WIND, *fillers]
    ranges = np.array([RANGES.get(column, (1, 20)) for column in columns]).T
    values = np.round(draw.uniform(*ranges, (DISTINCT_ROWS, len(columns))), 4)
    tails = [",".join(f"{value:.6g}" for value in row) for row in values]
    starts = pd.date_range("2010-01-01", f"{2010 + years}-01-01", freq="30min")
    stamps = starts.strftime("%Y%m%d%H%M").tolist()
    path = folder / "FLX_XX-Ten_FLUXNET2015_FULLSET_HH_2010-2019_1-4.csv"
    with open(path, "w") as stream:
        stream.write(",".join(["TIMESTAMP_START", "TIMESTAMP_END", *columns]) + "\n")
        for row, (start, end) in enumerate(itertools.pairwise(stamps)):
            stream.write(f"{start},{end},{tails[row % DISTINCT_ROWS]}\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--packed", action="store_true", help="read the same content as .csv.gz too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [write_file(Path(folder), options.years)]
        if options.packed:
            packed = paths[0].with_suffix(".csv.gz")
            packed.write_bytes(gzip.compress(paths[0].read_bytes(), 1))
            paths.append(packed)
        for path in paths:
            for read in (towers.read, towers.turbulence):
                begin, cpu = time.perf_counter(), time.process_time()
                found = read(path)
                rows = len(found) if isinstance(found, pd.DataFrame) else found.sizes["time"]
                wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                print(
                    f"{read.__name__:<12}{path.suffix:<6}{path.stat().st_size / 1e6:>6.0f} MB  {rows:>7} rows"
                    f"  {wall:6.2f} s (CPU {cpu:.2f} s)  peak of the process {peak:.0f} MiB"
                )


if __name__ == "__main__":
    main()
