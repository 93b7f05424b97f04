"""Our own scene files: Zarr v3, one group per node, written whole or not at all.

Variables with a ``step`` in the contract (reflectance 0.0001, and the maps of the simulator's truth) are
stored as int16 multiples of it, -32768 for no data: reflectance that came as digital numbers is given back
bit for bit, anything finer is rounded to the step (``packing.round_scene`` does the same in memory). All else
is stored as it is. Chunks are 16 dates x all bands x 64 x 64 pixels: small enough for a pixel's series, few
enough for a map.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr
from fluxlens.embeddings.scenes import packing, schema, validation
from fluxlens.models.atomic import atomic_path
from fluxlens.models.errors import InputError

CHUNKS = {"time": 16, "y": 64, "x": 64}
NO_DATA = -32768
PACKING = ("scale_factor", "_FillValue")


def write(scene: xr.DataTree, target, group: str | None = None) -> None:
    """Write a validated scene to a new path, or into a Zarr store object below ``group``.

    A path is built beside its place and renamed, so that it holds the whole scene or does not exist.

    Parameters
    ----------
    scene
        As ``embeddings.scenes.schema`` describes it.
    target
        A path that does not exist yet, or a Zarr store object.
    group
        Below which the nodes are written.

    Raises
    ------
    InputError
        The path exists, or the scene breaks the contract.
    """
    scene = validation.validate(scene)
    if not isinstance(target, str | Path):
        _write_nodes(scene, target, group)
        return
    path = Path(target).expanduser()
    if path.exists():
        raise InputError(f"Got {path}, which exists already, need a new path; choose another or remove it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        _write_nodes(scene, str(temporary), group)


def open(source, group: str | None = None, values: bool = True) -> xr.DataTree:
    """A scene written by ``write``, lazily (dask), validated.

    Parameters
    ----------
    source
        Path, URL or Zarr store object.
    group
        Below which the nodes are.
    values
        Whether a sample of the values is checked as well.

    Returns
    -------
    xarray.DataTree
        One node per sensor, dims time, band, y, x; reflectance 0-1, backscatter in dB.

    Raises
    ------
    InputError
        No readable Zarr, or not written by ``write``.
    """
    try:
        with _quiet():
            # Unpacked here and not by xarray, which makes float64 of it and not the readers' exact float32.
            tree = xr.open_datatree(
                source, engine="zarr", group=group, chunks={}, consolidated=False, mask_and_scale=False
            )
        return validation.validate(tree.map_over_datasets(_unpacked), values)
    except InputError:
        raise
    except Exception as error:  # damaged bytes make decoders fail in any way they can
        raise InputError(
            f"Got {_label_of(source)}, which is no readable Zarr scene ({type(error).__name__}), "
            "need one written by fluxlens; write or copy it again."
        ) from error


def _write_nodes(scene: xr.DataTree, store, group: str | None) -> None:
    with _quiet():
        for node in scene.subtree:
            dataset = node.to_dataset(inherit=False)
            name = node.path.strip("/")
            path = "/".join(segment for segment in (group, name) if segment) or None
            if packing.is_chunked(dataset):
                dataset = dataset.chunk(_chunks(dataset))
            dataset = _packed(name, dataset.drop_encoding())
            dataset.to_zarr(
                store,
                group=path,
                mode="w-",
                zarr_format=3,
                consolidated=False,
                encoding=_encoding(dataset),
            )


def _unpacked(dataset: xr.Dataset) -> xr.Dataset:
    """Multiples of a step as float32, -32768 as NaN."""
    unpacked = {}
    for name, array in dataset.data_vars.items():
        attrs = {key: value for key, value in array.attrs.items() if key not in PACKING}
        if "scale_factor" in array.attrs:
            # -32768 is looked for in the stored numbers, before they are floats.
            array = packing.unpack(array, array.attrs["scale_factor"]).where(array != NO_DATA)
        # A variable has no coordinates to align with those of the dataset, which takes longer than all else here.
        unpacked[name] = array.drop_attrs(deep=False).assign_attrs(attrs).variable
    return dataset.assign(unpacked)


def _packed(name: str, dataset: xr.Dataset) -> xr.Dataset:
    """int16 multiples where the contract has a step, with the attrs by which CF readers unpack them."""
    node = schema.NODES.get(name)
    for variable in node.variables if node else ():
        if variable.step and variable.name in dataset:
            array = dataset[variable.name]
            numbers = xr.apply_ufunc(
                _multiples, array, variable.step, dask="parallelized", output_dtypes=["int16"]
            )
            dataset[variable.name] = numbers.assign_attrs(array.attrs, scale_factor=variable.step)
            dataset[variable.name].encoding["_FillValue"] = NO_DATA
    return dataset


def _multiples(values: np.ndarray, step: float) -> np.ndarray:
    # float64: in float32 0.1234 / 0.0001 may fall on the other side of a half.
    # Clipped to -32767: one more would be the mark of no data.
    numbers = np.round(values.astype("float64") / step).clip(-32767, 32767)
    return np.where(np.isnan(numbers), NO_DATA, numbers).astype("int16")


def _encoding(dataset: xr.Dataset) -> dict[str, dict]:
    """Chunks of every array, what stands for no data, and bit-shuffled zstd, a fifth smaller than plain."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    # the checksum: a flipped bit is told, never shown as a measurement
    packers = [BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"), Crc32cCodec()]
    chunks = _chunks(dataset)
    return {
        str(key): variable.encoding
        | {"chunks": tuple(chunks[dim] for dim in variable.dims)}
        | ({"compressors": packers} if variable.dtype.kind in "biuf" else {})
        for key, variable in dataset.variables.items()
        # A scalar has no chunks, and indexes are read whole whenever a scene is opened.
        if variable.ndim and key not in dataset.indexes
    }


def _chunks(dataset: xr.Dataset) -> dict[str, int]:
    """Chunk length per dim; series without pixels stay whole."""
    gridded = "x" in dataset.dims
    return {
        str(dim): min(size, CHUNKS.get(str(dim), size)) if gridded else size
        for dim, size in dataset.sizes.items()
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Zarr warns that text has no final v3 specification yet; readers of both kinds exist, so it may."""
    with warnings.catch_warnings():
        ignore_text_warning()
        yield


def ignore_text_warning() -> None:
    """Ignore Zarr's warning of text in this process for good.

    For a server, whose threads write and read scenes at the same time: ``warnings.catch_warnings`` changes filters of
    the whole process, so that the first thread to leave it would show the warnings of the others.
    """
    warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")


def _label_of(source) -> str:
    return str(source) if isinstance(source, str | Path) else f"a {type(source).__name__}"
