"""Validation of a scene against the schema; a scene that fails names what is wrong."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid, crs_name
from fluxlens.embeddings.scenes.schema import NODES, ORBITS, SENSORS, Node, SceneVariable
from fluxlens.models.errors import InputError


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
    # One sensor is enough: any subset of sensors may be missing.
    present = [name for name in SENSORS if name in scene.children]
    if not present:
        got = ", ".join(f"/{name}" for name in scene.children) or "no node"
        raise InputError(f"Got {got}, need at least one of /s2 and /s1; add a sensor node.")
    datasets = {node.path: node.to_dataset() for node in scene.subtree}
    for name, node in NODES.items():
        if name in scene.children:
            datasets[f"/{name}"] = check_node(node, datasets[f"/{name}"], values)
    # Nodes are read by coordinates on one grid; another CRS would be read at the wrong place without an error.
    _one_crs({name: datasets[f"/{name}"] for name in NODES if name in scene.children})
    return xr.DataTree.from_dict(datasets, name=scene.name)


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
    # xarray gives the unit of the file; all later arithmetic assumes nanoseconds.
    if dataset["time"].dtype != "datetime64[ns]":
        dataset = dataset.assign_coords(time=dataset["time"].astype("datetime64[ns]"))
    if node.gridded:
        try:
            Grid.from_cube(dataset)
        except InputError as error:
            raise InputError(f"In {where}: {error}") from error
    # Each known variable is checked where it is there; unknown ones pass, since scenes carry extras such as a cloud
    # truth.
    for variable in node.variables:
        if variable.name in dataset:
            dataset[variable.name] = _dims(where, variable, dataset[variable.name])
            _values(where, variable, dataset[variable.name], values)
        elif variable.required:
            got = ", ".join(map(str, dataset.data_vars)) or "no variable"
            raise InputError(
                f"Got {where} with {got}, need {variable.name!r} {_shape(variable.dims)}; add or rename it."
            )
    if not any(variable.name in dataset for variable in node.variables):
        known = ", ".join(variable.name for variable in node.variables)
        raise InputError(f"Got {where} without a known variable, need some of {known}; rename them.")
    if node.bands:
        _bands(where, node, dataset)
    # Reads the arrays: left out where a checksum has vouched for them.
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
    # As integers: differences of datetime64 overflow for far dates.
    steps = np.diff(time.values.astype("datetime64[ns]").astype("int64"))
    # Two images at one time: which of them counts nobody has said.
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
    # Another order of the same dims is no mistake, only slower.
    return array if array.dims == variable.dims else array.transpose(*variable.dims)


def _values(where: str, variable: SceneVariable, array: xr.DataArray, check_values: bool) -> None:
    what = f"{where} {variable.name}"
    if variable.kind == "b":
        if array.dtype.kind != "b":
            raise InputError(f"Got {what} as {array.dtype}, need bool; convert with .astype(bool).")
        return
    # Integers cannot be NaN, so a no-data value must be hidden in them.
    if variable.kind == "f" and array.dtype.kind != "f":
        advice = variable.advice or "convert it with .astype('float32')"
        raise InputError(f"Got {what} as {array.dtype}, need float32 with NaN for no data; {advice}.")
    if variable.kind == "i" or not array.size or not check_values:
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
    # Backscatter of land in dB is negative; powers are positive.
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
    clear, has_data = _sample(dataset["clear"]), ~np.isnan(_sample(dataset["reflectance"])).all(axis=1)
    if (clear & ~has_data).any():
        share = (clear & ~has_data).sum() / clear.sum()
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
        # First, middle and last date: units do not change between them, seasons do.
        if dim == "time":
            pick[dim] = sorted({0, size // 2, size - 1})
        elif dim in ("x", "y") and size > 256:
            # The middle of the scene: edges are often outside of the swath.
            pick[dim] = slice(size // 2 - 128, size // 2 + 128)
    return array.isel(pick).values


def _one_crs(datasets: dict[str, xr.Dataset]) -> None:
    names = {f"/{name}": crs_name(data) for name, data in datasets.items() if NODES[name].gridded}
    if len(set(names.values())) > 1:
        listed = ", ".join(f"{where} in {crs}" for where, crs in names.items())
        raise InputError(f"Got {listed}, need one CRS for all nodes; reproject the others.")


def _shape(dims: tuple[Hashable, ...]) -> str:
    return f"({', '.join(map(str, dims))})"
