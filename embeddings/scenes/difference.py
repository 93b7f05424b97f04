"""What came to a scene since an earlier state of it: acquisitions, told by a digest of each one's pixels."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import crs_name
from fluxlens.embeddings.scenes import packing
from fluxlens.embeddings.scenes.acquisitions import from_epoch_day, to_epoch_day
from fluxlens.embeddings.scenes.digest import DIGEST_BOX, canonical_bytes
from fluxlens.models.errors import InputError


def changed_acquisitions(
    old: xr.DataTree, new: xr.DataTree, sensors: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Days on which a scene has other images than before.

    Parameters
    ----------
    old, new
        Validated scenes, lazy or not: nodes have dims (time, band, y, x). They are read in boxes.
    sensors
        Names of the nodes that count.

    Returns
    -------
    dict
        By sensor, (n) days since 1970-01-01, increasing: of new images, and of those whose pixels or mask differ.

    Raises
    ------
    InputError
        Where the new scene lies on other pixels, or lacks acquisitions, sensors or bands of the old one.
    """
    changed = {}
    # What a store holds was rounded as it was written; a scene of another format may not be.
    new = packing.round_scene(new)
    for name in sensors:
        if name not in old.children and name not in new.children:
            continue
        if name not in new.children:
            raise InputError(
                f"Got a scene without {name}, of which the store knows acquisitions, need a scene that holds them too; "
                "embed it to a new store."
            )
        after = _image_digests(new[name])
        if name in old.children:
            _check_same_pixels(old[name], new[name], name)
        before = _image_digests(old[name]) if name in old.children else {}
        if gone := sorted(set(before) - set(after)):
            day = str(from_epoch_day(np.int64(gone[0])).astype("datetime64[D]"))
            raise InputError(
                f"Got a scene without the {name} acquisition of {day}, which the store knows, need a scene that holds "
                "it too; embed it to a new store."
            )
        # Lists of a day's digests: a second image of a known day changes the day too.
        days = [day for day, digests in after.items() if before.get(day) != digests]
        changed[name] = np.array(sorted(days), np.int64)
    return changed


def _check_same_pixels(old: xr.DataTree, new: xr.DataTree, name: str) -> None:
    """InputError where two nodes of a sensor differ in CRS, pixels or bands."""
    # By name and not by text: the same CRS is written as WKT in several ways.
    same = crs_name(old.to_dataset()) == crs_name(new.to_dataset())
    for coord in ("band", "y", "x"):
        same = same and np.array_equal(old[coord].values, new[coord].values)
    if not same:
        raise InputError(
            f"Got a scene with other pixels or bands of {name} than the store knows, need the same; embed it to a new "
            "store."
        )


def _image_digests(node: xr.DataTree) -> dict[int, list[bytes]]:
    """By day, the sorted digests of its images: the order of images within a day does not matter."""
    dataset = node.to_dataset(inherit=False)
    # Masks as well as values: a pixel whose mask changed counts otherwise.
    pixels = [dataset[name] for name in sorted(map(str, dataset.data_vars)) if "time" in dataset[name].dims]
    days, digests = to_epoch_day(dataset["time"].values), defaultdict(list)
    # Whole chunks of our own scenes at a time: an image each would read a chunk of 16 dates 16 times.
    for start in range(0, len(days), DIGEST_BOX["time"]):
        block = slice(start, start + DIGEST_BOX["time"])
        hashes = [hashlib.blake2b(digest_size=16) for _ in days[block]]
        for variable in pixels:
            values = variable.isel(time=block).transpose("time", ...).compute(scheduler="synchronous").values
            for image, digest in zip(values, hashes, strict=True):
                # Canonical: NaN has many bit patterns, and -0 equals 0.
                digest.update(canonical_bytes(np.asarray(image)))
        for day, digest in zip(days[block].tolist(), hashes, strict=True):
            digests[day].append(digest.digest())
    return {day: sorted(in_day) for day, in_day in digests.items()}
