"""Damaged and odd files through every reader: each is read, or refused in one sentence.

``python benchmarks/fuzz_readers.py -n 10000`` makes small valid files of every kind that a user may bring, damages
them at random and reads them, each reader in a process of its own. The table counts what came out. Whatever is
neither a result nor one sentence (a traceback, a crash, a hang) is listed with the ``--case`` that makes it again.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing as mp
import os
import queue
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

HANG_S = 60
"""Longest that a small file may take: seconds of the processor, since other programs may take those of the clock."""
SILENT_S = 1200
"""Longest that it may take on the clock, whoever else computes: a process may also hang without computing."""
MEMORY_BYTES = 6 << 30
"""Address space beyond what the libraries hold; a file of a few kB that asks for more is a defect."""
DAYS = pd.date_range("2020-04-01", periods=120)
CELLS = [
    "",
    "nan",
    "-9999",
    "1e400",
    "abc",
    "2020-13-45",
    "-",
    "None",
    "0",
    "-1",
    "3,14",
    "é",
    "x" * 5000,
    "\x00",
]
LEAVES = [None, [], {}, "", "abc", -1, 0, 7, 2.5, 1e308, 10**9, 10**30, True, [[[1]]], {"a": 1}, float("nan")]


# ---------------------------------------------------------------------------------------------------------------
# Valid files
# ---------------------------------------------------------------------------------------------------------------
def make_cube(path: Path, fmt: str) -> None:
    """A cube as odc-stac writes it: 6 dates, 24 x 20 pixels."""
    rng = np.random.default_rng(0)
    time = DAYS[::20]
    x, y = 600_005 + 10.0 * np.arange(20), 5_700_005 - 10.0 * np.arange(24)
    shape = (len(time), len(y), len(x))
    cube = xr.Dataset(
        {
            band: (("time", "y", "x"), rng.integers(200, 4000, shape).astype("uint16"))
            for band in ("B02", "B03", "B04", "B08")
        },
        {"time": time, "y": y, "x": x},
    )
    cube["SCL"] = (("time", "y", "x"), np.full(shape, 4, "uint8"))
    import pyproj

    cube["spatial_ref"] = ((), 0, {"crs_wkt": pyproj.CRS("EPSG:32631").to_wkt()})
    if fmt == "nc":
        cube.to_netcdf(path)
    else:
        cube.to_zarr(path, zarr_format=2 if fmt == "zarr2" else 3, consolidated=fmt == "zarr2")


def make_tiffs(folder: Path) -> None:
    import rioxarray  # noqa: F401

    folder.mkdir()
    rng = np.random.default_rng(0)
    x, y = 600_005 + 10.0 * np.arange(20), 5_700_005 - 10.0 * np.arange(24)
    for day in DAYS[::30]:
        image = xr.DataArray(
            rng.integers(200, 4000, (4, 24, 20)).astype("uint16"), {"y": y, "x": x}, ("band", "y", "x")
        )
        image = image.rio.write_crs("EPSG:32631")
        image.attrs["long_name"] = ("B2", "B3", "B4", "B8")
        image.rio.to_raster(folder / f"S2_{day:%Y%m%d}.tif")


def series_text() -> str:
    rng = np.random.default_rng(0)
    rows = ["id,date,lat,lon,B2,B3,B4,B8,SCL"]
    for plot in ("north", "south"):
        for day in DAYS[::5]:
            bands = ",".join(str(v) for v in rng.integers(300, 4000, 4))
            rows.append(f"{plot},{day:%Y-%m-%d},50.1,4.2,{bands},4")
    return "\n".join(rows) + "\n"


def weather_text() -> str:
    rows = ["date,tair,sw_in,vpd,precip"]
    for i, day in enumerate(DAYS):
        rows.append(
            f"{day:%Y-%m-%d},{10 + 8 * np.sin(i / 30):.2f},{150 + 80 * np.sin(i / 40):.1f},{6 + i % 5},{i % 7}"
        )
    return "\n".join(rows) + "\n"


def tower_text() -> str:
    rng = np.random.default_rng(0)
    rows = ["TIMESTAMP,GPP_NT_VUT_REF,TA_F,VPD_F,SW_IN_F,P_F,NEE_VUT_REF_QC"]
    for day in DAYS:
        values = [
            rng.uniform(2, 9),
            rng.uniform(8, 20),
            rng.uniform(3, 9),
            rng.uniform(120, 300),
            rng.uniform(0, 5),
            0.9,
        ]
        rows.append(f"{day:%Y%m%d}," + ",".join(f"{v:.3f}" for v in values))
    return "\n".join(rows) + "\n"


def table_text() -> str:
    """A table of rows for ``predict gpp --table``: HLS spectra, MERRA-2 weather, measured GPP."""
    rng = np.random.default_rng(0)
    weather = {"T2MIN": 283, "T2MAX": 295, "T2MEAN": 289, "TSMDEWMEAN": 282, "GWETROOT": 0.6}
    weather |= {"SWLAND": 220, "PARDFLAND": 35, "lat": 48}
    rows = [",".join(("SITE_ID", "date", "b2", "b3", "b4", "b5", "b6", "b7", *weather, "GPP"))]
    for day in DAYS[::4]:
        bands = rng.uniform(0.8, 1.2) * np.array([0.04, 0.07, 0.05, 0.35, 0.2, 0.1])
        values = [*bands, *weather.values(), rng.uniform(4, 12)]
        rows.append(f"XX-Abc,{day:%Y-%m-%d}," + ",".join(f"{v:.4f}" for v in values))
    return "\n".join(rows) + "\n"


def polygon_text() -> str:
    ring = [[4.2, 50.1], [4.21, 50.1], [4.21, 50.11], [4.2, 50.11], [4.2, 50.1]]
    features = [
        {"type": "Feature", "properties": {"name": n}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        for n in ("a", "b")
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def zipped(name: str, text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return out.getvalue()


def make_store(path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from fluxlens.embeddings.store import writer
    from tiny_cube import blocks_of, random_cube

    cube = random_cube()
    writer.write(path, cube, blocks_of(cube))


# ---------------------------------------------------------------------------------------------------------------
# Readers: each gets a path and reads all of it
# ---------------------------------------------------------------------------------------------------------------
def read_scene(path: Path) -> None:
    from fluxlens.embeddings.readers import open_scene

    scene = open_scene(path)
    scene.load()


def read_store(path: Path) -> None:
    from fluxlens.embeddings.store import Store

    store = Store.open(path)
    store.series(3, 3)
    store.map("2020-01-03")


def read_series(path: Path) -> None:
    from fluxlens.embeddings.readers.series_table import read_series as read

    read(path)


def read_weather(path: Path) -> None:
    from fluxlens.embeddings.readers import weather_table

    weather_table.open(path)


def read_tower(path: Path) -> None:
    from fluxlens.embeddings import towers

    towers.read(path)


def read_sites(path: Path) -> None:
    from fluxlens.embeddings.towers import site_table

    site_table.sites(path)


def read_table(path: Path) -> None:
    from fluxlens.embeddings.gpp import tables

    tables.read(path)


def read_points(path: Path) -> None:
    from fluxlens.embeddings.export.geometries import read_points as read

    read(path)


def read_polygon(path: Path) -> None:
    from fluxlens.embeddings.export.geometries import read_polygon as read

    read(path)


def read_catalog(path: Path) -> None:
    from fluxlens.embeddings import catalog

    opened = catalog.open(path)
    catalog.entries(opened)
    list(catalog.problems(opened))


def read_calibration(path: Path) -> None:
    from fluxlens.embeddings.gpp import calibration_file

    calibration_file.load(path)


def read_weights(path: Path) -> None:
    from fluxlens.models import checkpoints

    checkpoints.load(path)


def read_head(path: Path) -> None:
    from fluxlens.embeddings.gpp import cubes

    cubes.load(path)


CATALOG = """metadata: {version: 1}
sources:
  here: {driver: fluxlens_embeddings, description: A store., args: {store: store}}
  scene:
    driver: fluxlens_scene
    description: A simulated scene.
    args: {scene: simulated, name: demo, seed: 7, size_px: 80, start: "2019-01-01", days: 730}
"""


def seeds(folder: Path) -> dict[str, tuple[Path, Callable[[Path], None]]]:
    """A valid file of each kind, written into a folder, and its reader."""

    def text(name: str, content: str | bytes) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    make_cube(folder / "cube.nc", "nc")
    make_cube(folder / "cube2.zarr", "zarr2")
    make_cube(folder / "cube3.zarr", "zarr3")
    make_tiffs(folder / "tiffs")
    make_store(folder / "store")
    weights = Path(__file__).parents[1] / "models" / "weights"
    found = {
        "cube NetCDF": (folder / "cube.nc", read_scene),
        "cube Zarr 2": (folder / "cube2.zarr", read_scene),
        "cube Zarr 3": (folder / "cube3.zarr", read_scene),
        "GeoTIFF folder": (folder / "tiffs", read_scene),
        "store": (folder / "store", read_store),
        "series table": (text("series.csv", series_text()), read_series),
        "weather table": (text("weather.csv", weather_text()), read_weather),
        "tower CSV": (text("FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2020-2020_1-4.csv", tower_text()), read_tower),
        "tower zip": (
            text(
                "FLX_XX-Abc_FLUXNET2015_FULLSET_2020-2020_1-4.zip",
                zipped("FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2020-2020_1-4.csv", tower_text()),
            ),
            read_tower,
        ),
        "site table": (
            text("sites.csv", "site,lat,lon,igbp\nXX-Abc,50.1,4.2,ENF\nXX-Def,51,5,GRA\n"),
            read_sites,
        ),
        "GPP table": (text("rows.csv", table_text()), read_table),
        "points": (text("points.csv", "name,lat,lon\na,50.1,4.2\nb,50.2,4.3\n"), read_points),
        "polygons": (text("areas.geojson", polygon_text()), read_polygon),
        "catalog": (text("catalog.yaml", CATALOG), read_catalog),
        "weights": (text("w.safetensors", (weights / "fusion.safetensors").read_bytes()), read_weights),
        "GPP head": (text("g.safetensors", (weights / "gpp.safetensors").read_bytes()), read_head),
    }
    calibrated = folder / "calibration.json"
    make_calibration(found["GPP table"][0], calibrated)
    found["calibration"] = (calibrated, read_calibration)
    return found


def make_calibration(table: Path, path: Path) -> None:
    """A calibration to the measured rows of a table, as ``fluxlens calibrate gpp`` writes it."""
    from fluxlens.embeddings.gpp.calibrate import calibrate_table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the made-up rows
        calibrate_table(table).save(path)


# ---------------------------------------------------------------------------------------------------------------
# Damage
# ---------------------------------------------------------------------------------------------------------------
def damage_bytes(content: bytes, draw: random.Random) -> bytes:
    """Bits flipped, ends cut off, parts lost, repeated or filled with zeros."""
    out = bytearray(content)
    way = draw.randrange(6)
    if not out or way == 0:
        return bytes(out[: draw.randrange(len(out) + 1)])
    if way == 1:
        for _ in range(draw.choice([1, 3, 30])):
            # the headers are where a file says what it is
            place = draw.randrange(min(len(out), draw.choice([200, 4000, len(out)])))
            out[place] ^= 1 << draw.randrange(8)
        return bytes(out)
    first = draw.randrange(len(out))
    last = min(len(out), first + draw.choice([1, 16, 400, 5000]))
    if way == 2:
        del out[first:last]
    elif way == 3:
        out[first:last] = bytes(last - first)
    elif way == 4:
        out[first:first] = out[first:last]
    else:
        out[first:last] = draw.randbytes(last - first)
    return bytes(out)


def damage_text(text: str, draw: random.Random) -> str:
    """Cells replaced, lines and columns lost, repeated or exchanged, separators changed."""
    lines = text.split("\n")
    for _ in range(draw.choice([1, 1, 1, 2, 20])):
        place = draw.choice([0, *(draw.randrange(len(lines)) for _ in range(3))])
        way = draw.randrange(8)
        cells = lines[place].split(",")
        column = draw.randrange(len(cells))
        if way == 0:
            cells[column] = draw.choice(CELLS)
            lines[place] = ",".join(cells)
        elif way == 1:
            del cells[column]
            lines[place] = ",".join(cells)
        elif way == 2 and len(lines) > 1:
            del lines[place]
        elif way == 3:
            lines.insert(place, lines[draw.randrange(len(lines))])
        elif way == 4:
            # one whole column of one value
            value = draw.choice(CELLS)
            rows = [line.split(",") for line in lines]
            for row in rows[1:]:
                if column < len(row):
                    row[column] = value
            lines = [",".join(row) for row in rows]
        elif way == 5:
            lines = [line.replace(",", draw.choice([";", "\t", "|", " "])) for line in lines]
        elif way == 6:
            lines[place] = lines[place].upper() if draw.random() < 0.5 else draw.choice(CELLS)
        else:
            draw.shuffle(cells)
            lines[place] = ",".join(cells)
    return "\n".join(lines)


def damage_json(content: object, draw: random.Random) -> object:
    """One value somewhere in it replaced or taken out."""
    paths: list[tuple] = []

    def walk(node: object, path: tuple) -> None:
        if path:
            paths.append(path)
        if isinstance(node, dict | list):
            for key in node if isinstance(node, dict) else range(len(node)):
                walk(node[key], (*path, key))

    walk(content, ())
    if not paths:
        return deepcopy(draw.choice(LEAVES))
    path = draw.choice(paths)
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    if draw.random() < 0.25:
        del parent[path[-1]]
    else:
        parent[path[-1]] = deepcopy(draw.choice(LEAVES))
    return content


def damage_file(path: Path, draw: random.Random) -> None:
    """One file damaged in its own language, or as bytes."""
    content = path.read_bytes()
    suffix = path.suffix.lower()
    structured = draw.random() < 0.8
    if structured and suffix in (".json", ".geojson", "") and content[:1] in (b"{", b"["):
        try:
            made = json.loads(content)
        except ValueError:
            made = None
        if made is not None:
            for _ in range(draw.choice([1, 1, 2, 4])):
                made = damage_json(made, draw)
            path.write_text(json.dumps(made), encoding="utf-8")
            return
    if structured and suffix in (".csv", ".yaml"):
        text = damage_text(content.decode("utf-8", "replace"), draw)
        path.write_bytes(text.encode(draw.choice(["utf-8"] * 6 + ["utf-16", "utf-8-sig"])))
        return
    if structured and suffix == ".safetensors":
        # the header: 8 bytes of length, then JSON
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        if draw.random() < 0.6:
            # the configuration is JSON in a text of the header
            config = damage_json(json.loads(header["__metadata__"]["config"]), draw)
            header["__metadata__"]["config"] = json.dumps(config)
        else:
            header = damage_json(header, draw)
        made = json.dumps(header).encode()
        path.write_bytes(len(made).to_bytes(8, "little") + made + content[8 + size :])
        return
    if structured and suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            name = archive.namelist()[0]
            text = archive.read(name).decode()
        path.write_bytes(zipped(name, damage_text(text, draw)))
        return
    path.write_bytes(damage_bytes(content, draw))


def damaged_copy(seed: Path, folder: Path, draw: random.Random) -> Path:
    """A copy of a file or folder with one to three of its files damaged, lost or exchanged."""
    copy = folder / seed.name
    if seed.is_file():
        shutil.copyfile(seed, copy)
        damage_file(copy, draw)
        return copy
    shutil.copytree(seed, copy)
    files = sorted(one for one in copy.rglob("*") if one.is_file())
    for _ in range(draw.choice([1, 1, 3])):
        # metadata files are few among the chunks and matter most
        names = [
            one for one in files if one.name in (".zarray", ".zattrs", ".zmetadata", "zarr.json", ".zgroup")
        ]
        file = draw.choice(names if names and draw.random() < 0.6 else files)
        if not file.exists():
            continue
        way = draw.random()
        if way < 0.15:
            file.unlink()
        elif way < 0.22 and (other := draw.choice(files)).exists() and other != file:
            shutil.copyfile(other, file)
        else:
            damage_file(file, draw)
    return copy


# ---------------------------------------------------------------------------------------------------------------
# One case, in a process of its own
# ---------------------------------------------------------------------------------------------------------------
def try_case(kind: str, seed: Path, read: Callable[[Path], None], number: int) -> tuple[str, str]:
    """What came of a case: ``read``, ``refused``, ``untidy`` (more than one line), or ``traceback``; and its text."""
    from fluxlens.models.errors import InputError

    draw = random.Random(f"{kind}:{number}")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            path = damaged_copy(seed, Path(folder), draw)
            read(path)
        except InputError as error:
            text = str(error)
            return ("untidy" if "\n" in text.strip() or len(text) > 1500 else "refused"), text
        except Exception:
            return "traceback", traceback.format_exc()
        return "read", ""


def work(kind: str, folder: str, numbers: mp.Queue, answers: mp.Queue) -> None:
    """Cases of one kind until there are no more."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # libraries of C write what they think of damaged files straight to the terminal
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    path, reader = json.loads((Path(folder) / "seeds.json").read_text())[kind]
    read = globals()[reader]
    read(Path(path))  # imports everything; an undamaged file that fails is a defect of this script
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))
    answers.put(("ready", -1, ""))
    while (number := numbers.get()) is not None:
        outcome, text = try_case(kind, Path(path), read, number)
        answers.put((outcome, number, text))


def run_kind(kind: str, folder: Path, numbers: list[int], until: float) -> list[tuple[str, int, str]]:
    """Outcomes of all cases of a kind begun before a time; a process that dies or hangs is counted and replaced.

    Returns
    -------
    list of tuple
        Outcome, number of the case, text.
    """
    context = mp.get_context("spawn")
    found: list[tuple[str, int, str]] = []
    left = list(numbers)
    while left and time.monotonic() < until:
        questions, answers = context.Queue(), context.Queue()
        process = context.Process(target=work, args=(kind, str(folder), questions, answers), daemon=True)
        process.start()
        if wait_for(process, answers)[0] != "ready":
            raise SystemExit(f"The undamaged {kind} cannot be read.")
        while left and time.monotonic() < until:
            questions.put(left[0])
            outcome = wait_for(process, answers)
            found.append((outcome[0], left.pop(0), outcome[2]))
            if outcome[0] in ("crash", "hang"):
                break
        questions.put(None)
        process.join(5)
        process.kill()
    return found


def wait_for(process: Any, answers: Any) -> tuple[str, int, str]:
    """The answer to the last question, or that there will be none."""
    began, used_s = time.monotonic(), processor_s(process.pid)
    while time.monotonic() - began < SILENT_S and processor_s(process.pid) - used_s < HANG_S:
        try:
            return answers.get(timeout=0.5)
        except queue.Empty:
            if not process.is_alive():
                return ("crash", -1, f"exit code {process.exitcode}")
    return ("hang", -1, f"longer than {HANG_S} s of the processor or {SILENT_S} s")


def processor_s(pid: int) -> float:
    """Seconds of the processor that a process has used; 0 once it has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-n", type=int, default=500, help="number of damaged inputs over all kinds")
    options.add_argument("--kind", action="append", help="only these kinds")
    options.add_argument("--minutes", type=float, default=np.inf, help="begin no case after so long")
    options.add_argument("--case", help="KIND:NUMBER, one case again, with its traceback")
    options.add_argument("--json", help="file for the outcomes")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="fluxlens-fuzz-") as name:
        folder = Path(name)
        made = seeds(folder)
        (folder / "seeds.json").write_text(
            json.dumps({kind: (str(path), read.__name__) for kind, (path, read) in made.items()})
        )
        if given.case:
            kind, number = given.case.rsplit(":", 1)
            path, read = made[kind]
            print(*try_case(kind, path, read, int(number)), sep="\n")
            return 0
        kinds = given.kind or list(made)
        each = range(-(-given.n // len(kinds)))
        until = time.monotonic() + 60 * given.minutes
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            futures = {kind: pool.submit(run_kind, kind, folder, list(each), until) for kind in kinds}
        outcomes = {kind: future.result() for kind, future in futures.items()}
    return report(outcomes, given.json)


def report(outcomes: dict[str, list[tuple[str, int, str]]], path: str | None) -> int:
    """The table, and what is neither read nor refused; 1 if there is any."""
    columns = ("read", "refused", "untidy", "traceback", "crash", "hang")
    print(f"{'':16s}" + "".join(f"{one:>11s}" for one in columns))
    bad = []
    total: Counter[str] = Counter()
    for kind, found in outcomes.items():
        counts = Counter(outcome for outcome, _, _ in found)
        total += counts
        print(f"{kind:16s}" + "".join(f"{counts[one]:11d}" for one in columns))
        bad += [(kind, *one) for one in found if one[0] not in ("read", "refused")]
    print(f"{'all':16s}" + "".join(f"{total[one]:11d}" for one in columns))
    shown: Counter[str] = Counter()
    for kind, outcome, number, text in bad:
        last = text.strip().splitlines()[-1][:200] if text.strip() else ""
        shown[last] += 1
        if shown[last] == 1:
            print(f"{outcome}: --case '{kind}:{number}': {last}")
    if path:
        Path(path).write_text(json.dumps(bad, indent=1))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
