"""The scene contract: the nodes, variables, dims and units a scene has, checked with advice.

A scene is an ``xr.DataTree`` with one node per sensor, each on its own regular north-up grid (pixel
centres in metres, one projected CRS for all nodes) and with its own strictly increasing UTC times. ``NODES``
is the whole contract as frozen facts; ``validate`` holds a scene against it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import xarray as xr

from embeddings.geometry import Grid, crs_name
from embeddings.variables import Variable
from models.errors import InputError

S2_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
S2_BANDS_10M = ("B02", "B03", "B04", "B08")
S2_BANDS_20M = ("B05", "B06", "B07", "B8A", "B11", "B12")
S1_BANDS = ("VV", "VH")
L8_BANDS = ("L2", "L3", "L4", "L5", "L6", "L7")
ORBITS = ("ascending", "descending")

DIGEST_BYTES = 32 * 2**20
DIGEST_BOX = {"time": 16, "y": 64, "x": 1024}
"""Larger arrays are hashed in boxes of this size, whole chunks of our own scenes: no scene is ever held whole."""
CUBE = ("time", "band", "y", "x")
MAPS = ("time", "y", "x")
SERIES = ("time",)


@dataclass(frozen=True)
class SceneVariable(Variable):
    """One variable of a node: what CF says of it, and what :func:`validate` checks."""

    dims: tuple[str, ...] = ()
    kind: str = "f"
    """numpy dtype kind: f float, b bool, i integer."""
    required: bool = False
    low: float = -np.inf
    """Values below are not physical in these units."""
    high: float = np.inf
    """Values above are not physical in these units."""
    advice: str = ""
    """What to do when values are out of low..high."""
    step: float | None = None
    """Stored as int16 multiples of this; None: stored as it is."""


@dataclass(frozen=True)
class Node:
    """One node of a scene: a sensor, the weather, a tower or the simulator's truth."""

    name: str
    variables: tuple[SceneVariable, ...]
    bands: tuple[str, ...] = ()

    @property
    def gridded(self) -> bool:
        """Whether the node has pixels."""
        return any("x" in variable.dims for variable in self.variables)


_DN = (
    "it looks like digital numbers, divide by 10000 "
    "(and take the offset of 1000 off first if the processing baseline is 04.00 or later)"
)
# Bounds are wider than physics: they are to find wrong units and unmasked no-data values, not odd measurements.
# Sensors saturate near 2 in reflectance; corrected shadow may lie somewhat below 0.
_REFLECTANCE = SceneVariable(
    "reflectance",
    "1",
    "surface reflectance",
    dims=CUBE,
    required=True,
    low=-0.5,
    high=2.5,
    advice=_DN,
    step=1e-4,
)
_CLEAR = SceneVariable(
    "clear",
    "1",
    "no cloud, shadow or snow, and data in all bands",
    flags="masked clear",
    dims=MAPS,
    kind="b",
    required=True,
)
_CLOUD_TRUTH = SceneVariable(
    "cloud_truth", "1", "cloud or shadow of the simulator", flags="clear clouded", dims=MAPS, kind="b"
)
_WEATHER = (
    SceneVariable(
        "sw_in",
        "W m-2",
        "incoming shortwave radiation",
        "surface_downwelling_shortwave_flux_in_air",
        dims=SERIES,
        low=-50,
        high=1000,
        advice="divide J m-2 d-1 by 86400",
    ),
    SceneVariable(
        "tair",
        "degC",
        "air temperature",
        "air_temperature",
        dims=SERIES,
        low=-95,
        high=65,
        advice="subtract 273.15 from kelvin",
    ),
    SceneVariable(
        "vpd",
        "hPa",
        "vapour pressure deficit",
        "water_vapor_saturation_deficit_in_air",
        dims=SERIES,
        low=-5,
        high=150,
        advice="divide Pa by 100 or multiply kPa by 10",
    ),
    SceneVariable(
        "precip",
        "mm d-1",
        "precipitation",
        dims=SERIES,
        low=-1,
        high=2000,
        advice="multiply kg m-2 s-1 by 86400",
    ),
)
_GPP_STANDARD_NAME = "gross_primary_productivity_of_biomass_expressed_as_carbon"
_PARTITIONINGS = {"nt": "night-time partitioning", "dt": "day-time partitioning"}
_PERCENTILES = ("05", "16", "25", "50", "75", "84", "95")
"""Of the GPP of FLUXNET2015 over its u* thresholds."""


def _tower_gpp(method: str, percentile: str = "") -> SceneVariable:
    """GPP measured at a tower by one partitioning, or a percentile of it over u* thresholds."""
    name = f"gpp_{method}" + (f"_{percentile}" if percentile else "")
    part = f", percentile {percentile} over u* thresholds" if percentile else ""
    long_name = f"gross primary production, {_PARTITIONINGS[method]}{part}"
    return SceneVariable(name, "gC m-2 d-1", long_name, _GPP_STANDARD_NAME, dims=SERIES)


NODES: dict[str, Node] = {
    node.name: node
    for node in (
        Node("s2", (_REFLECTANCE, _CLEAR, _CLOUD_TRUTH), S2_BANDS),
        Node(
            "s1",
            (
                SceneVariable(
                    "backscatter",
                    "dB",
                    "backscatter",
                    dims=CUBE,
                    required=True,
                    low=-100,
                    high=60,
                    advice="it looks like scaled integers, bring it to decibel",
                ),
            ),
            S1_BANDS,
        ),
        Node("landsat8", (_REFLECTANCE, _CLEAR, _CLOUD_TRUTH), L8_BANDS),
        Node("weather", _WEATHER),
        Node(
            "tower",
            (
                *(_tower_gpp(method) for method in _PARTITIONINGS),
                *(_tower_gpp(method, p) for method in _PARTITIONINGS for p in _PERCENTILES),
                SceneVariable(
                    "qc",
                    "1",
                    "share of measured or well filled net exchange",
                    dims=SERIES,
                    low=0,
                    high=1,
                    advice="give the fraction of good data, 0-1",
                ),
                *_WEATHER,
            ),
        ),
        Node(
            "truth",
            (
                SceneVariable("lai", "m2 m-2", "leaf area index", "leaf_area_index", dims=MAPS, step=1e-3),
                SceneVariable(
                    "fapar",
                    "1",
                    "absorbed share of photosynthetically active radiation",
                    dims=MAPS,
                    step=1e-4,
                ),
                SceneVariable("chlorophyll", "ug cm-2", "leaf chlorophyll content", dims=MAPS, step=1e-2),
                SceneVariable("soil_moisture", "m3 m-3", "volumetric soil moisture", dims=MAPS, step=1e-4),
                SceneVariable(
                    "gpp", "gC m-2 d-1", "gross primary production", _GPP_STANDARD_NAME, dims=MAPS, step=2e-3
                ),
                SceneVariable("land_cover", "1", "land cover class", dims=("y", "x"), kind="i"),
            ),
        ),
    )
}

SATURATION = 2.0
"""Highest reflectance of a scene; cloud, snow and glint exceed 1, sensors saturate about here."""

SENSORS = ("s2", "s1")
"""Nodes of which a scene needs at least one."""

WEATHER = tuple(variable.name for variable in _WEATHER)


def units(node: str, name: str) -> str:
    """Units of a variable of the contract.

    Parameters
    ----------
    node, name
        Such as ``"weather", "vpd"``.

    Returns
    -------
    str
        Such as ``"hPa"``.
    """
    return next(variable.units for variable in NODES[node].variables if variable.name == name)


def validate(scene: xr.DataTree, values: bool = True) -> xr.DataTree:
    """Check a scene against the contract.

    Parameters
    ----------
    scene
        One node per sensor, see the module's docstring.
    values
        Check values against physical bounds as well: of arrays in memory all, of lazy ones three dates, so that opening
        stays cheap.

    Returns
    -------
    xarray.DataTree
        The scene with dims in the contract's order and times in ns.

    Raises
    ------
    InputError
        For the first thing that breaks the contract: what was got, what is needed, what to do.
    """
    if not isinstance(scene, xr.DataTree):
        raise InputError(
            f"Got a {type(scene).__name__}, need an xarray.DataTree; build one with DataTree.from_dict."
        )
    present = [name for name in SENSORS if name in scene.children]
    if not present:
        found = ", ".join(f"/{name}" for name in scene.children) or "no node"
        raise InputError(f"Got {found}, need at least one of /s2 and /s1; add a sensor node.")
    datasets = {node.path: node.to_dataset() for node in scene.subtree}
    for name, node in NODES.items():
        if name in scene.children:
            datasets[f"/{name}"] = check_node(node, datasets[f"/{name}"], values)
    _one_crs({name: datasets[f"/{name}"] for name in NODES if name in scene.children})
    return xr.DataTree.from_dict(datasets, name=scene.name)


def clip_saturated(reflectance: xr.DataArray) -> xr.DataArray:
    """Clip saturated cloud and sun glint to ``SATURATION``.

    Parameters
    ----------
    reflectance
        0-1, any dims. Values above 100 are left: they are digital numbers, which :func:`validate` refuses.

    Returns
    -------
    xarray.DataArray
        The same, at most 2.
    """
    saturated = (reflectance > SATURATION) & (reflectance < 100)
    return reflectance.where(~saturated, np.float32(SATURATION))


def round_to_step(values: np.ndarray, step: float) -> np.ndarray:
    """Round to multiples of a step, bit for bit what int16 multiples give back through :func:`unpack`.

    Parameters
    ----------
    values
        Any shape; NaN stays NaN.
    step
        In the unit of ``values``; 1 / step is a whole number.

    Returns
    -------
    numpy.ndarray
        float32 of the same shape.
    """
    return unpack(np.round(np.asarray(values, dtype="float64") / step), step)


def unpack(multiples, step: float):
    """float32 numbers of integer multiples of a step.

    Parameters
    ----------
    multiples
        Any array, numpy, dask or xarray.
    step
        1 / step is a whole number. The multiples are divided by that and not multiplied by the step, which float32 does
        not hold exactly: each result is then the float32 nearest to the decimal number.

    Returns
    -------
    array of the same kind
        float32.
    """
    return multiples.astype("float32") / np.float32(round(1 / step))


def round_scene(scene: xr.DataTree) -> xr.DataTree:
    """Round a scene as writing and reading it would.

    Parameters
    ----------
    scene
        Validated, lazy or not.

    Returns
    -------
    xarray.DataTree
        The same with variables that have a ``step`` in the contract rounded to multiples of it.
    """
    datasets = {node.path: node.to_dataset() for node in scene.subtree}
    for name, node in NODES.items():
        dataset = datasets.get(f"/{name}")
        for variable in node.variables if dataset is not None else ():
            if variable.step and variable.name in dataset:
                dataset[variable.name] = xr.apply_ufunc(
                    round_to_step,
                    dataset[variable.name],
                    variable.step,
                    dask="parallelized",
                    output_dtypes=["float32"],
                    keep_attrs=True,
                )
    return xr.DataTree.from_dict(datasets, name=scene.name)


def utc_days(cube: xr.Dataset | xr.DataArray) -> np.ndarray:
    """UTC days of a cube's times.

    Parameters
    ----------
    cube
        With a coordinate ``time``.

    Returns
    -------
    numpy.ndarray
        datetime64[D] (time).
    """
    return cube["time"].values.astype("datetime64[D]")


def digest(scene: xr.DataTree) -> str:
    """Hash of a scene's content: names, coordinates and values of every node, and none of the attrs.

    The order of nodes and variables, chunks, the spelling of the CRS and the bits of a NaN do not matter.

    Parameters
    ----------
    scene
        Lazy or not; it is read in boxes, never held whole.

    Returns
    -------
    str
        32 hexadecimal digits (blake2b).
    """
    out = hashlib.blake2b(digest_size=16)
    for node in sorted(scene.subtree, key=lambda node: node.path):
        dataset = node.to_dataset(inherit=False)
        for name in sorted(map(str, dataset.variables)):
            variable = dataset[name]
            if name == "spatial_ref":
                out.update(f"{node.path}:crs:{crs_name(dataset)}\n".encode())
                continue
            out.update(f"{node.path}:{name}:{variable.dims}:{variable.shape}\n".encode())
            for block in _blocks(variable):
                out.update(block)
    return out.hexdigest()


def _blocks(array: xr.DataArray) -> Iterator[bytes]:
    """The array's bytes, whole or, where it is large, in boxes that do not depend on how it is stored."""
    if array.nbytes <= DIGEST_BYTES:
        yield _canonical(array.values)
        return
    steps = [DIGEST_BOX.get(str(dim), size) for dim, size in array.sizes.items()]
    starts = (range(0, size, step) for size, step in zip(array.shape, steps, strict=True))
    for corner in product(*starts):
        box = tuple(slice(a, a + step) for a, step in zip(corner, steps, strict=True))
        yield _canonical(array[box].values)


def _canonical(values: np.ndarray) -> bytes:
    """Bytes that equal values share: one NaN, one zero, little-endian, times in ns, text in UTF-8."""
    if values.dtype.kind == "M":
        return values.astype("datetime64[ns]").astype("<i8").tobytes()
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), values.dtype.type(np.nan), values + values.dtype.type(0))
        return values.astype(values.dtype.newbyteorder("<")).tobytes()
    if values.dtype.kind in "biu":
        return values.astype(values.dtype.newbyteorder("<")).tobytes()
    return "\0".join(map(str, values.ravel())).encode()


def check_node(node: Node, dataset: xr.Dataset, values: bool = True) -> xr.Dataset:
    """Check one node of a scene.

    Parameters
    ----------
    node
        The contract's, of ``NODES``.
    dataset
        The node's data.
    values
        As of :func:`validate`.

    Returns
    -------
    xarray.Dataset
        The same, transposed where only the order of dims was off, times in ns.

    Raises
    ------
    InputError
        For the first thing that breaks the contract.
    """
    where = f"/{node.name}"
    _time(where, dataset)
    if dataset["time"].dtype != "datetime64[ns]":
        dataset = dataset.assign_coords(time=dataset["time"].astype("datetime64[ns]"))
    if node.gridded:
        try:
            Grid.from_cube(dataset)
        except InputError as error:
            raise InputError(f"In {where}: {error}") from error
    for variable in node.variables:
        if variable.name in dataset:
            dataset[variable.name] = _dims(where, variable, dataset[variable.name])
            _values(where, variable, dataset[variable.name], values)
        elif variable.required:
            found = ", ".join(map(str, dataset.data_vars)) or "no variable"
            raise InputError(
                f"Got {where} with {found}, need {variable.name!r} {_shape(variable.dims)}; add or rename it."
            )
    if not any(variable.name in dataset for variable in node.variables):
        known = ", ".join(variable.name for variable in node.variables)
        raise InputError(f"Got {where} without a known variable, need some of {known}; rename them.")
    if node.bands:
        _bands(where, node, dataset)
    if values and "clear" in dataset:
        _clear_has_data(where, dataset)
    return dataset


def _time(where: str, dataset: xr.Dataset) -> None:
    time = dataset.coords.get("time")
    if time is None or time.ndim != 1:
        raise InputError(f"Got {where} without a time coordinate, need UTC times; add a 1-d 'time'.")
    if not np.issubdtype(time.dtype, np.datetime64):
        raise InputError(f"Got {where} time as {time.dtype}, need datetime64; use pandas.to_datetime.")
    if not time.size:
        raise InputError(f"Got {where} without a single date, need at least one; widen the time range.")
    if np.isnat(time.values).any():
        raise InputError(f"Got {where} with a missing time (NaT), need a date for each; drop the others.")
    steps = np.diff(time.values.astype("datetime64[ns]").astype("int64"))
    if (steps == 0).any():
        twice = str(time.values[1:][steps == 0][0])[:19]
        raise InputError(f"Got {where} with {twice} twice, need each time once; merge the duplicates.")
    if (steps < 0).any():
        back = str(time.values[1:][steps < 0][0])[:19]
        raise InputError(f"Got {where} going back in time at {back}, need increasing times; sort by time.")


def _dims(where: str, variable: SceneVariable, array: xr.DataArray) -> xr.DataArray:
    if set(array.dims) != set(variable.dims):
        raise InputError(
            f"Got {where} {variable.name} with dims {_shape(array.dims)}, need {_shape(variable.dims)}; "
            "rename, add or select dims."
        )
    return array if array.dims == variable.dims else array.transpose(*variable.dims)


def _values(where: str, variable: SceneVariable, array: xr.DataArray, look: bool) -> None:
    what = f"{where} {variable.name}"
    if variable.kind == "b":
        if array.dtype.kind != "b":
            raise InputError(f"Got {what} as {array.dtype}, need bool; convert with .astype(bool).")
        return
    if variable.kind == "f" and array.dtype.kind != "f":
        advice = variable.advice or "convert it with .astype('float32')"
        raise InputError(f"Got {what} as {array.dtype}, need float32 with NaN for no data; {advice}.")
    if variable.kind == "i" or not array.size or not look:
        return
    values = _sample(array)
    finite = np.isfinite(values)
    # A sample of three dates may be clouded all over and masked: only then is all of the array read.
    if not finite.any():
        if array.chunks is None or not bool(np.isfinite(array).any()):
            raise InputError(f"Got {what} with no value at all (all NaN), need data; check the no-data mask.")
        return
    low, high = float(values[finite].min()), float(values[finite].max())
    physical = variable.name if variable.units == "1" else variable.units
    # -9999 and its kin, as they are or scaled with the data, are by far the most frequent mistake
    if -10_000 <= low <= -9000 or (variable.name == "reflectance" and low < variable.low):
        raise InputError(f"Got {what} down to {low:g}, need NaN for no data; mask -9999 before scaling.")
    if low < variable.low or high > variable.high:
        raise InputError(
            f"Got {what} from {low:g} to {high:g}, need {physical} between {variable.low:g} and "
            f"{variable.high:g}; {variable.advice}."
        )
    if variable.name == "backscatter" and low >= 0:
        raise InputError(
            f"Got {what} from {low:g} to {high:g}, need dB; it looks like linear power, take 10 log10 of it."
        )


def _bands(where: str, node: Node, dataset: xr.Dataset) -> None:
    if "band" not in dataset.coords:
        raise InputError(f"Got {where} without band names, need {', '.join(node.bands)}; assign 'band'.")
    names = [str(name) for name in dataset["band"].values]
    unknown = [name for name in names if name not in node.bands]
    if unknown or len(set(names)) < len(names):
        raise InputError(
            f"Got {where} with bands {', '.join(names)}, need each of {', '.join(node.bands)} at most once; "
            "rename or drop the others."
        )
    if "orbit" in dataset.coords:
        other = sorted({str(value) for value in dataset["orbit"].values} - set(ORBITS))
        if other:
            raise InputError(f"Got {where} orbit {', '.join(other)}, need {' or '.join(ORBITS)}; rename.")


def _clear_has_data(where: str, dataset: xr.Dataset) -> None:
    """Where a pixel is clear there is a value in some band."""
    clear, seen = _sample(dataset["clear"]), ~np.isnan(_sample(dataset["reflectance"])).all(axis=1)
    if (clear & ~seen).any():
        share = (clear & ~seen).sum() / clear.sum()
        raise InputError(
            f"Got {where} with {share:.1%} of the clear pixels without any data, need clear False there; "
            "combine the mask with the valid pixels."
        )


def _sample(array: xr.DataArray) -> np.ndarray:
    """All values in memory; of lazy ones the middle 256 pixels of the first, middle and last date."""
    if array.chunks is None:
        return array.values
    pick: dict[Hashable, object] = {}
    for dim, size in array.sizes.items():
        if dim == "time":
            pick[dim] = sorted({0, size // 2, size - 1})
        elif dim in ("x", "y") and size > 256:
            pick[dim] = slice(size // 2 - 128, size // 2 + 128)
    return array.isel(pick).values


def _one_crs(datasets: dict[str, xr.Dataset]) -> None:
    names = {f"/{name}": crs_name(data) for name, data in datasets.items() if NODES[name].gridded}
    if len(set(names.values())) > 1:
        told = ", ".join(f"{where} in {crs}" for where, crs in names.items())
        raise InputError(f"Got {told}, need one CRS for all nodes; reproject the others.")


def _shape(dims: tuple[Hashable, ...]) -> str:
    return f"({', '.join(map(str, dims))})"
