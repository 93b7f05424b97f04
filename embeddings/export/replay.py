"""What an export was asked, as a small JSON file with which the same export can be made again."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.export import geometries
from fluxlens.embeddings.export.geometries import POINTS_AT_MOST, Point
from fluxlens.embeddings.export.paths import SUFFIXES, replacing
from fluxlens.models.errors import InputError

VERSION = 1

BYTES_AT_MOST = 32 * 2**20

MADE_OF = {
    "store_snapshot": "snapshot",
    "model_digest": "model",
    "scene_digest": "scene",
    "gpp_head_digest": "GPP model",
    "gpp_calibration_digest": "GPP calibration",
}
"""What must be the same for the same numbers, as exported files call it and in words."""


@dataclass(frozen=True)
class Replay:
    """An export that was made: values only, nothing of it is run; checked at birth."""

    store: str
    """Path from the replay file's folder, or a catalog entry; empty where the screen wrote it."""
    out: str
    """Name of the file, without a folder."""
    start: str
    end: str
    made: dict[str, str]
    """Snapshot, digests and software, as the file says them."""
    numbers: str
    """Digest of the values of the table, the cube or the map."""
    points: tuple[tuple[float, float, str], ...] = ()
    polygon: tuple = ()
    """Polygons, each rings of (lon, lat)."""
    names: tuple[str, ...] = ()
    """Name of each polygon's feature; polygons of one name are one region. Empty where none has one."""
    radius_m: float | None = None
    tower: str | None = None
    """Path from the replay file's folder."""
    tower_sha256: str = ""
    height_m: float | None = None
    calibration: str | None = None
    """Path from the replay file's folder."""

    def __post_init__(self) -> None:
        texts = [
            self.store,
            self.out,
            self.start,
            self.end,
            self.numbers,
            self.tower or "",
            self.calibration or "",
            self.tower_sha256,
        ]
        numbers = [value for value in (self.radius_m, self.height_m) if value is not None]
        # A replay file comes from others: every field is checked before anything is opened, and nothing in it is run.
        sound = (
            all(isinstance(text, str) and "\0" not in text and "://" not in text for text in texts)
            and all(isinstance(value, int | float) for value in numbers)
            and isinstance(self.made, dict)
            and all(isinstance(value, str) for value in self.made.values())
            # One kind of place, never both or none.
            and bool(self.points) != bool(self.polygon)
            and len(self.names) in (0, len(self.polygon))
            and all(isinstance(name, str) for name in self.names)
            and len(self.points) <= POINTS_AT_MOST
            # A bare name: the file of another could else write anywhere.
            and Path(self.out).name == self.out
            and not self.out.startswith(".")
            and Path(self.out).suffix.lower() in SUFFIXES
        )
        if not sound:
            raise InputError(
                "Got a replay file with parts that do not fit, need one as `fluxlens export --replay` writes it; "
                "write it again."
            )

    def place(self) -> dict[str, Any]:
        """Points or polygon as ``export.collect`` takes them."""
        try:
            if self.points:
                return {
                    "points": [Point(float(lon), float(lat), str(name)) for lon, lat, name in self.points]
                }
            # Written as nested lists, so that the file is plain JSON.
            rings = [[np.array(ring, dtype=float).reshape(-1, 2) for ring in rings] for rings in self.polygon]
            if not any(self.names):
                return {"polygon": rings}
            # polygons of one name, which follow each other, are one region
            regions = []
            for name, members in groupby(zip(self.names, rings, strict=True), key=lambda pair: pair[0]):
                regions += [
                    geometries.Region(region.geometry, str(name))
                    for region in geometries.regions_of([one for _, one in members])
                ]
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Got a replay file with a broken place ({error}), need lon, lat; write it again."
            ) from error
        return {"polygon": regions}

    def check(self, attrs: dict[str, Any]) -> None:
        """Check that a store or an export is made of what the replay's export was made of.

        Parameters
        ----------
        attrs
            Its attributes, by the names of ``MADE_OF``.

        Raises
        ------
        InputError
            Where one differs, saying which.
        """
        # Only facts that both sides know: a store of an older version has fewer.
        for name in MADE_OF.keys() & attrs.keys():
            value, need = str(attrs[name]), str(self.made.get(name, ""))
            if value != need:
                raise InputError(
                    f"Got the {MADE_OF[name]} {value}, need {need or 'none'}, of which the replay's export was made; "
                    "use the store and the software of then."
                )


def numbers(exported: pd.DataFrame | xr.Dataset) -> str:
    """Digest of names and values; when it was made and where the file lies do not count.

    Parameters
    ----------
    exported
        A table, or a dataset of any dims and units.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    out = hashlib.blake2b(digest_size=16)
    # In the order of names, so that the digest does not depend on how the columns were made.
    for name in sorted(
        map(str, exported.columns if isinstance(exported, pd.DataFrame) else exported.variables)
    ):
        values = np.asarray(exported[name])
        text = values.dtype.kind in "OUT"
        out.update(f"{name} {values.shape}".encode())
        out.update(json.dumps(values.tolist()).encode() if text else np.ascontiguousarray(values).tobytes())
    return out.hexdigest()


def from_export(exported: pd.DataFrame | xr.Dataset, out: str | Path, store: str, **selection: Any) -> Replay:
    """The replay of an export just made.

    Parameters
    ----------
    exported
        What was written: a table, or a dataset of any dims and units, with metadata in ``attrs``.
    out
        Where it was written.
    store
        Path from the replay file's folder, or a catalog entry.
    selection
        ``points`` or ``polygon`` and, where given, ``radius_m``, ``tower``, ``tower_sha256``, ``height_m`` and
        ``calibration``.

    Returns
    -------
    Replay
    """
    points = tuple((at.lon, at.lat, at.name) for at in selection.pop("points", None) or ())
    regions = geometries.regions_of(selection.pop("polygon", None) or [])
    polygon, names = [], []
    for region in regions:
        rings = geometries.rings_of([region])
        polygon += [tuple(ring.tolist() for ring in one) for one in rings]
        names += [region.name] * len(rings)
    # The days that were written: a request may reach beyond the store.
    start, end = exported.attrs["days"].split(" to ")
    made = {name: str(exported.attrs[name]) for name in (*MADE_OF, "software") if name in exported.attrs}
    geometry = {"polygon": tuple(polygon), "names": tuple(names) if any(names) else ()}
    return Replay(store, Path(out).name, start, end, made, numbers(exported), points, **geometry, **selection)


def text(replay: Replay) -> str:
    """The text of the file of ``replay``."""
    # older versions refuse what they do not know: names and a calibration are there only where there are some
    fields_set = {
        name: value for name, value in vars(replay).items() if name not in ("names", "calibration") or value
    }
    return json.dumps({"fluxlens_replay": VERSION} | fields_set, indent=1, default=list) + "\n"


def save(replay: Replay, path: str | Path) -> None:
    """Write ``replay`` to the file ``path``."""
    with replacing(check_path(path)) as temporary:
        temporary.write_text(text(replay), encoding="utf-8")


def load(path: str | Path) -> Replay:
    """Read and check the file ``path``; nothing it names is opened yet."""
    path = Path(path)
    if not path.is_file() or path.stat().st_size > BYTES_AT_MOST:
        raise InputError(
            f"Got {path}, which is no file of at most {BYTES_AT_MOST:,} bytes, need a replay; check the path."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.pop("fluxlens_replay")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"Got {path}, which is no replay file, need one; check the path.") from error
    # A newer file may mean something else by the same words.
    if version != VERSION:
        raise InputError(f"Got a replay file of version {version!r}, need {VERSION}; use newer software.")
    # A key that is ignored might be the one that matters.
    unknown = sorted(content.keys() - {field.name for field in fields(Replay)})
    if unknown:
        raise InputError(f"Got {path.name} with {unknown[0]!r}, need only what replays hold; remove it.")
    try:
        return Replay(**{name: tuple(v) if isinstance(v, list) else v for name, v in content.items()})
    except TypeError as error:
        raise InputError(f"Got {path.name}, which lacks a part ({error}), need a whole replay.") from error


def check_path(path: str | Path) -> Path:
    """A path a replay can be written to."""
    path = Path(path)
    if path.suffix.lower() != ".json" or not path.resolve().parent.is_dir() or path.is_dir():
        raise InputError(f"Got --replay {path}, need a .json file in a folder that exists; correct it.")
    return path


def relative(path: str | Path, replay: str | Path) -> str:
    """``path`` from the folder of the file ``replay``, so that both can move together."""
    return Path(os.path.relpath(Path(path).resolve(), Path(replay).resolve().parent)).as_posix()


def sha256(path: str | Path) -> str:
    """Digest of the bytes of the file ``path``, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
