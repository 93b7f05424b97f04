"""Layout of a store: arrays of both layouts, their chunks, codecs and fill values, and values to bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings.store.quantise import (
    FEATURE_MISSING,
    SIGMA_MISSING,
    decode_days,
    decode_sigma,
    encode_days,
    encode_sigma,
)

MAP_PX = 128
"""Side of a chunk of the maps layout and of overviews."""

SERIES_CHUNK_PX = 16
"""Side of a chunk of the series layout, which holds all days."""

SHARD_BYTES = 128 * 2**20
"""A shard is encoded in memory at once: its raw bytes stay below this, whatever the number of days."""

LEVEL = 1
"""Of zstd: more saves a percent or two and takes several times as long."""

LAYOUTS = ("maps", "series")

COORDS = ("time", "y", "x", "feature", "scale", "spatial_ref")
"""Of a cube, in their order."""

QUALITY = {
    "sigma": (encode_sigma, decode_sigma),
    "days_from_s2": (encode_days, decode_days),
    "days_from_s1": (encode_days, decode_days),
}
"""Layers of ``quality`` in their order: to bytes and back."""

DTYPES = {"embedding": np.dtype(np.int8), "quality": np.dtype(np.uint8)}
"""Arrays on disk."""

FILL_VALUES = {"embedding": FEATURE_MISSING, "quality": SIGMA_MISSING}
"""What a chunk that is not found reads as: in ``embedding``, and in the layer sigma of ``quality``, no cube holds it.
Older stores have 0 here, which cannot be told from data."""


def create_layout(store: Any, layout: str, template: xr.Dataset) -> dict[str, Any]:
    """Create the empty arrays of one layout, beside the cube's coordinates.

    Parameters
    ----------
    store
        A writable Zarr store.
    layout
        One of ``LAYOUTS``.
    template
        A cube; only its coordinates, attributes and shapes are used.

    Returns
    -------
    dict
        Zarr arrays by name: ``embedding`` (time, y, x, feature) int8, ``quality`` (time, y, x, layer) uint8.
    """
    import zarr

    _write_coords(store, layout, template, "w")
    return create_arrays(zarr.open_group(store, path=layout, mode="a", zarr_format=3), layout, template)


def replace_coords(store: Any, layout: str, template: xr.Dataset) -> None:
    """Replace the coordinates and attributes of one layout, whose arrays stay as they are.

    Parameters
    ----------
    store
        A writable Zarr store.
    layout
        One of ``LAYOUTS``.
    template
        A cube; only its coordinates and attributes are used.
    """
    import zarr

    group = zarr.open_group(store, path=layout, mode="r+", zarr_format=3)
    # All arrays but embedding and quality are coordinates.
    # By exclusion and not by ``COORDS``: a cube may have brought further ones.
    for name in set(group.array_keys()) - set(DTYPES):
        del group[name]
    group.attrs.clear()
    _write_coords(store, layout, template, "a")


def _write_coords(store: Any, layout: str, template: xr.Dataset, mode: str) -> None:
    """Write coordinates and attributes of a template to a layout's group."""
    # Encodings of the file a template was read from (chunks, filters) would be taken over by to_zarr.
    coords = template.drop_vars(template.data_vars).drop_encoding()
    _object_text(coords).to_zarr(store, group=layout, mode=mode, consolidated=False, zarr_format=3)


def create_arrays(group: Any, layout: str, template: xr.Dataset, level: int = 1) -> dict[str, Any]:
    """Create the empty arrays of a layout in a group.

    Parameters
    ----------
    group
        A writable Zarr group.
    layout, template
        As of :func:`create_layout`.
    level
        How many pixels a side are one.

    Returns
    -------
    dict
        As of :func:`create_layout`.
    """
    days, ny, nx, features = template["embedding"].shape
    # Rounded up: the last coarse pixel may reach beyond the cube.
    shape = (days, -(-ny // level), -(-nx // level))
    layers = {name: dict(template[name].attrs) for name in QUALITY}
    attrs = {"embedding": dict(template["embedding"].attrs), "quality": {"layers": layers}}
    arrays = {}
    for (name, dtype), last in zip(DTYPES.items(), (features, len(QUALITY)), strict=True):
        # Both arrays get chunks of the same pixels and days, so that a query reads the same boxes of each.
        chunks, shards = _chunks(layout, (*shape, last), _shard_px(template["embedding"]))
        arrays[name] = group.create_array(
            name,
            shape=(*shape, last),
            chunks=chunks,
            shards=shards,
            dtype=dtype,
            fill_value=FILL_VALUES[name],
            **_codecs(layout),
            dimension_names=["time", "y", "x", "feature" if name == "embedding" else "layer"],
            attributes={**attrs[name], "grid_mapping": "spatial_ref"},
        )
    return arrays


def level_layouts(ny: int, nx: int) -> dict[int, str]:
    """Where maps of 1, 2, 4 ... pixels in one lie, until a map is one chunk.

    Parameters
    ----------
    ny, nx
        Pixels of the cube.

    Returns
    -------
    dict
        Group by level.
    """
    levels = {1: "maps"}
    # The coarsest level fits into one chunk, so that a picture of the whole scene is one request.
    while max(ny, nx) > MAP_PX * max(levels):
        level = 2 * max(levels)
        levels[level] = f"overviews/{level}"
    return levels


def tile_px(embedding: Any | None = None) -> int:
    """Side of the squares that are written at once.

    Parameters
    ----------
    embedding
        The Zarr array of the series layout: a tile holds whole shards of it, and whole chunks of the maps. None: of an
        overview, one chunk.

    Returns
    -------
    int
        Pixels.
    """
    return MAP_PX if embedding is None else max(MAP_PX, *embedding.shards[1:3])


# Differences along time leave small numbers, which compress to a third.
def _codecs(layout: str) -> dict[str, list]:
    """Feature by feature: differences from the pixel to the north on maps, from the day before in series."""
    from fluxlens.embeddings.codec import Difference
    from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec, ZstdCodec

    if layout == "maps":
        # (time, y, x, feature) to (time, feature, y, x): planes of one feature, smooth from row to row.
        filters, packer = [TransposeCodec(order=(0, 3, 1, 2)), Difference(2)], ZstdCodec(level=LEVEL)
    else:
        # To (feature, time, y, x): what changes least from one value to the next is the day; its differences leave high
        # bits of zeros, which bit shuffling gathers.
        filters = [TransposeCodec(order=(3, 0, 1, 2)), Difference(1)]
        packer = BloscCodec(cname="zstd", clevel=LEVEL, shuffle="bitshuffle")
    # the checksum: a flipped bit raises an error and is never shown as data
    return {"filters": filters, "compressors": [packer, Crc32cCodec()]}


def _chunks(layout: str, shape: tuple[int, ...], shard_px: int) -> tuple[tuple, tuple | None]:
    """Chunk and shard shapes of an array (time, y, x, last)."""
    days, ny, nx, last = shape
    if layout == "maps":
        return (1, min(MAP_PX, ny), min(MAP_PX, nx), last), None
    # A cube smaller than a chunk gets a chunk of its own size, or most of each would be fill values.
    side = [min(SERIES_CHUNK_PX, size) for size in (ny, nx)]
    # A shard must be a whole number of chunks: it is rounded up at a grid's edge.
    shard = [-(-min(shard_px, size) // px) * px for size, px in zip((ny, nx), side, strict=True)]
    return (days, *side, last), (days, *shard, last)


def _shard_px(embedding: xr.DataArray) -> int:
    """64 to 256 pixels: as large as memory for one raw shard allows, so that there are few files.

    No tile that is gathered is larger, unless that of one chunk of the maps: more days take no more memory.
    """
    days, _, _, features = embedding.shape
    sides = (px for px in (256, 128) if days * features * px**2 <= SHARD_BYTES)
    return next(sides, 64)


def to_bytes(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """The variables of a cube as the bytes of a store.

    Parameters
    ----------
    values
        ``embedding`` (time, y, x, feature) int8 and the variables of ``QUALITY`` (time, y, x).

    Returns
    -------
    numpy.ndarray
        uint8 (time, y, x, feature + layer).

    Raises
    ------
    TypeError
        Where the embedding is not int8.
    ValueError
        Where a value is missing: a cube has no holes, and readers take a missing value for damage.
    """
    embedding = values["embedding"]
    if embedding.dtype != DTYPES["embedding"]:
        raise TypeError(f"a block's embedding is {embedding.dtype}, the cube contract says int8")
    layers = [encode(values[name])[..., None] for name, (encode, _) in QUALITY.items()]
    for name, codes in (("embedding", embedding), ("quality", layers[0])):
        if has_missing(name, codes):
            raise ValueError(f"a block's {name} has missing values, the cube contract says there are none")
    # One array of bytes for both, since a block travels and is stored as one file.
    return np.concatenate([embedding.view(np.uint8), *layers], axis=-1)


def decode_layers(codes: Any) -> dict[str, Any]:
    """The variables of ``QUALITY`` of their bytes.

    Parameters
    ----------
    codes
        uint8 (..., layer), of numpy or dask: decoding is elementwise, so it stays lazy where they are.

    Returns
    -------
    dict
        Arrays (...) by name: ``sigma`` float32 reflectance 0-1, ``days_from_s2`` and ``days_from_s1`` int16 days.
    """
    out = {}
    for layer, (name, (_, decode)) in enumerate(QUALITY.items()):
        one = codes[..., layer]
        lazy = not isinstance(one, np.ndarray)
        out[name] = one.map_blocks(decode, dtype=decode(np.zeros(1, np.uint8)).dtype) if lazy else decode(one)
    return out


def has_missing(name: str, codes: np.ndarray) -> bool:
    """Whether bytes of a store hold the fill value where a value must be.

    Parameters
    ----------
    name
        ``embedding`` or ``quality``.
    codes
        (..., feature) or (..., layer) as on disk. Of ``quality`` only the first layer, sigma, always has a value: no
        acquisition nearby is a value of the others.

    Returns
    -------
    bool
    """
    if not codes.size:
        return False
    # extremes of their dtypes: one pass without a temporary array
    return codes.min() == FEATURE_MISSING if name == "embedding" else codes[..., 0].max() == SIGMA_MISSING


def marks_missing(array: Any, name: str) -> bool:
    """Whether a chunk that is not found reads as missing values, which stores of before ``FILL_VALUES`` do not.

    Parameters
    ----------
    array
        Of Zarr.
    name
        ``embedding`` or ``quality``.

    Returns
    -------
    bool
    """
    return array.fill_value == FILL_VALUES[name]


def _object_text(dataset: xr.Dataset) -> xr.Dataset:
    """Fixed-width text has no Zarr v3 specification; variable-length text has."""
    return with_text(dataset, "U", lambda text: text.astype(object))


def with_text(dataset: xr.Dataset, kinds: str, convert: Callable[[np.ndarray], np.ndarray]) -> xr.Dataset:
    """Convert the variables that hold text.

    Parameters
    ----------
    dataset
        Of any dims and units.
    kinds
        Of numpy's dtypes that are text here.
    convert
        From an array of any shape to one of the same shape.

    Returns
    -------
    xarray.Dataset
    """
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in kinds:
            # Without the encoding, in which xarray keeps the text's dtype of the file it was read from.
            plain = xr.Variable(variable.dims, convert(variable.values), variable.attrs)
            # ``assign`` would turn a coordinate into a variable.
            assign = dataset.assign_coords if name in dataset.coords else dataset.assign
            dataset = assign({name: plain})
    return dataset
