"""The intake drivers: a scene, a stored cube, a cube computed as it is read, a tower, a series table.

Each has ``read()`` and ``steps()``; the latter yields ``Progress`` and returns what ``read`` does. Arguments are those
of a catalog entry.

Long on purpose: installed metadata names this one file for all five drivers, which share their base class.
"""

from __future__ import annotations

import difflib
import inspect
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

import xarray as xr
from fluxlens.embeddings import cache, progress
from fluxlens.embeddings.progress import Progress, Steps
from fluxlens.models.errors import InputError
from intake.source.base import DataSource, Schema


def source(catalog: Any, name: str, **arguments: Any) -> Any:
    """The source of an entry.

    Parameters
    ----------
    catalog
        Of :func:`open`.
    name
        Of the entry.
    arguments
        Of the driver, in place of the entry's own.

    Returns
    -------
    One of ``driver.SOURCES``.

    Raises
    ------
    InputError
        For an unknown name, with the entries there are, and for a template among the arguments.
    """
    # Asked of the catalog first: intake's own KeyError names no other entry.
    names = list(catalog)
    if name not in names:
        # A misspelt entry is the usual mistake; the nearest name saves a look at the catalog.
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"Got the entry {name!r}, need one of {', '.join(sorted(names))}{hint or '.'}")
    for key, value in arguments.items():
        # intake renders arguments as templates too.
        if isinstance(value, str) and "{" in value:
            raise InputError(f"Got {key} = {value!r}, need a plain value without braces; correct it.")
    entry = catalog[name]
    # A catalog of other drivers than ours is opened by intake itself.
    known = argument_names(type(entry).name) if type(entry).name in SOURCES else None
    if known is not None and (other := sorted(set(arguments) - known)):
        raise InputError(
            f"Got {', '.join(other)} for {name}, need some of {', '.join(sorted(known))}; rename."
        )
    return entry(**arguments) if arguments else entry


class _Source(DataSource):
    """What all share: no partitions, nothing loaded before it is read."""

    container = "xarray"
    version = "1"
    partition_access = False

    def read(self) -> Any:
        """Run all steps and return the result."""
        return progress.run(self.steps())

    def to_dask(self) -> Any:
        """What ``read`` returns: its arrays are dask's already, and what is one table or one series is small."""
        return self.read()

    def steps(self) -> Steps[Any]:
        """Read, yielding progress; returns what ``read`` does."""
        raise NotImplementedError

    def check(self) -> None:
        """InputError when reading could not work; computes nothing."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether reading has nothing long to do first."""
        return True

    def _get_schema(self) -> Schema:
        # intake asks for a schema on opening; reading the data for it would take minutes.
        return Schema(dtype=None, shape=None, npartitions=1, extra_metadata={})

    @property
    def schema(self) -> dict[str, Any]:
        """What ``discover`` tells: data types and shapes are known once it is read."""
        return self.discover()

    def _get_partition(self, i: int) -> Any:
        # One partition: read_partition(0) and read_chunked() give all of it.
        return self.read()

    def _close(self) -> None:
        self._schema = None

    def _scene_source(self, name: str) -> SceneSource:
        """The scene entry of that name in this source's own catalog."""
        if self.cat is None:
            raise InputError(
                f"Got the scene {name!r} without a catalog, need an entry of one; open a catalog first."
            )
        # Through the catalog, so that a scene is opened with the arguments of its own entry.
        scene_source = source(self.cat, name)
        if not isinstance(scene_source, SceneSource):
            raise InputError(f"Got the entry {name!r}, need one that is a scene; choose another.")
        return scene_source

    def _path(self, path: str) -> Path | str:
        """A relative path starts at the catalog's folder; ``file://`` is a path."""
        # YAML may hold anything: a list or a number would fail later, in the words of another library.
        if not isinstance(path, str | Path) or not str(path).strip():
            raise InputError(f"Got {path!r} as a path of {self.name}, need text; correct it.")
        text = _without_file_scheme(str(path))
        if "://" in text:
            return text
        place = Path(text).expanduser()
        # intake hands the catalog's folder on in the metadata; without a catalog a path is relative to the process.
        root = _without_file_scheme((self.metadata or {}).get("catalog_dir", ""))
        if place.is_absolute() or not root:
            return place
        return f"{root.rstrip('/')}/{text}" if "://" in root else Path(root) / place

    def _local_path(self, path: str) -> Path:
        """As ``_path``, of files that are read from this machine alone."""
        place = self._path(path)
        if not isinstance(place, Path):
            raise InputError(
                f"Got the URL {path} in {self.name}, need a file on this machine; download it, and give its path."
            )
        return place

    def _model(self, name: str) -> str:
        """A model's name, or the path of its weights."""
        return str(self._path(name)) if name.endswith(".safetensors") else name


class SceneSource(_Source):
    """A scene: from a path, or simulated and kept in the cache.

    Parameters
    ----------
    scene
        ``simulated``, where there is no path.
    path
        Anything ``readers.open_scene`` reads; relative to the catalog.
    storage_options
        Of a path that is a URL of an object store, as of ``EmbeddingsSource``.
    metadata
        Of intake.
    request
        Fields of ``simulate.Request``, of a simulated scene.

    Raises
    ------
    InputError
        For neither or both, and for a request beside a path.
    """

    name = "fluxlens_scene"

    def __init__(
        self,
        scene: str | None = None,
        path: str | None = None,
        storage_options: dict[str, Any] | None = None,
        metadata: dict | None = None,
        **request: Any,
    ) -> None:
        super().__init__(metadata=metadata)
        if (path is None) == (scene is None):
            raise InputError(
                "Got a scene entry with neither or both of path and scene, need one; set args: path."
            )
        if scene not in (None, "simulated"):
            raise InputError(f"Got args scene: {scene!r} of a scene entry, need 'simulated'; or give a path.")
        if path is not None and request:
            raise InputError(f"Got {', '.join(request)} beside a path, need the path alone; remove them.")
        if path is None and storage_options:
            raise InputError("Got storage options of a simulated scene, need them for a URL; remove them.")
        self.path, self.storage_options = path, storage_options
        # YAML turns 2020-01-01 into a date, which neither a key of the cache nor the simulator takes.
        self.request = {name: _date_as_text(value) for name, value in request.items()}

    def steps(self) -> Steps[xr.DataTree]:
        """Open or simulate the scene: yields progress, returns a DataTree with dims and units of the scene contract."""
        from fluxlens.embeddings.readers import open_scene

        if self.path is not None:
            yield Progress("opening the scene", 0.0)
            return open_scene(self._path(self.path), self.storage_options)
        path = yield from cache.build_once(self.key, self._simulate)
        return open_scene(path)

    def check(self) -> None:
        if self.path is None:
            # Building the request checks every argument without simulating anything.
            _ = self._simulation
        else:
            from fluxlens.embeddings.readers import open_scene

            open_scene(self._path(self.path), self.storage_options)

    @cached_property
    def key(self) -> str:
        """Name of the simulated scene in the cache, or the path."""
        if self.path is not None:
            return str(self._path(self.path))
        from fluxlens.embeddings import geometry, scenes, simulate

        # Other code of the simulator makes another scene, so its digest is part of the name.
        code = cache.fingerprint(simulate, scenes, geometry)
        return cache.key(f"scene-{self._simulation.name}", self.request, code)

    @property
    def ready(self) -> bool:
        return self.path is not None or (cache.folder() / self.key).exists()

    def digest(self, scene: xr.DataTree) -> Steps[str]:
        """The digest of the scene, kept in the cache until one of its files changes, since it reads the whole scene.

        Parameters
        ----------
        scene
            As read.

        Yields
        ------
        Progress

        Returns
        -------
        str
            As of ``scenes.digest.digest``.
        """
        from fluxlens.embeddings.scenes import digest as scenes_digest

        # The time of change of a remote scene is not known: its digest is computed each time.
        if self.path is not None and "://" in self.path:
            return scenes_digest.digest(scene)

        def build(path: Path) -> Steps[None]:
            yield Progress("reading the scene", 0.0)
            path.write_text(scenes_digest.digest(scene))

        place = self._path(self.path) if self.path is not None else cache.folder() / self.key
        return (
            yield from cache.build_once(cache.key("digest", str(place), cache.mtime_digest(place)), build)
        ).read_text()

    @cached_property
    def _simulation(self) -> Any:
        from fluxlens.embeddings.simulate import Request

        known = {field.name: field for field in fields(Request)}
        # Objects inside a request, which a catalog cannot write.
        usable = [name for name in known if name not in ("landscape", "orbits", "tracks")]
        for name in self.request:
            if name not in usable:
                raise InputError(
                    f"Got {name!r} for a simulated scene, need some of {', '.join(usable)}; rename it."
                )
        try:
            return Request(**self.request)
        # An InputError is a ValueError: its own sentence must not be wrapped into the one below.
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Got a simulated scene with {self.request}, need numbers and dates ({error}); correct it."
            ) from error

    def _simulate(self, path: Path) -> Steps[None]:
        from fluxlens.embeddings import simulate
        from fluxlens.embeddings.readers import zarr

        scene = yield from simulate.build(self._simulation)
        yield Progress("writing the scene", 1.0)
        zarr.write(scene, path)


class EmbeddingsSource(_Source):
    """A stored cube, or published features to compare with.

    Parameters
    ----------
    store
        Path of a store, relative to the catalog, or its URL in an object store; or a list of them, which lie on one
        grid and are read as one cube, as of ``Mosaic``.
    scene
        Instead, name of a scene entry, which is embedded into the cache when it is not there.
    model
        Name of a shipped model, or the path of its weights.
    start, end
        First and last day; None: of the acquisitions.
    snapshot
        Id of an earlier state of the store; of several stores, an id of each with commas between.
    features
        Instead, path of a DeepFeatures feature cube.
    storage_options
        Of a store in an object store, such as ``anonymous`` and ``endpoint_url``, as of ``object_url.OPTIONS``;
        credentials come from the environment.
    calibration
        Path of a calibration of GPP to towers, as `fluxlens calibrate gpp` writes it; relative to the catalog.
    metadata
        Of intake.

    Raises
    ------
    InputError
        For none or several of ``store``, ``scene`` and ``features``, and for a list of stores that are no paths.
    """

    name = "fluxlens_embeddings"

    def __init__(
        self,
        store: str | list[str] | None = None,
        scene: str | None = None,
        model: str = "default",
        start: Any = None,
        end: Any = None,
        snapshot: str | None = None,
        features: str | None = None,
        storage_options: dict[str, Any] | None = None,
        calibration: str | None = None,
        metadata: dict | None = None,
    ) -> None:
        super().__init__(metadata=metadata)
        self.calibration = calibration
        # Here and not in ``steps``: a mistake in the catalog must show before anything is read.
        if [store, scene, features].count(None) != 2:
            raise InputError(
                "Got an embeddings entry with none or several of store, scene and features, need one; set one."
            )
        if storage_options and store is None:
            raise InputError("Got storage options without a store, need them for its URL; remove them.")
        # YAML may hold anything; a number or a mapping would fail later with a traceback.
        paths = store if isinstance(store, list | tuple) else [store]
        if store is not None and not (paths and all(isinstance(one, str | Path) for one in paths)):
            raise InputError(
                f"Got args store: {store!r}, need a path, a URL, or a list of at least one; correct it."
            )
        self.features, self.storage_options = features, storage_options
        self.store_path, self.scene, self.model, self.snapshot = store, scene, model, snapshot
        self.start, self.end = _date_as_text(start), _date_as_text(end)

    def steps(self) -> Steps[xr.Dataset]:
        """Open or make the store: yields progress, returns the cube (time, y, x, feature), units of the contract."""
        if self.features is not None:
            from fluxlens.embeddings.readers import feature_cube

            yield Progress("opening the feature cube", 0.0)
            return feature_cube.open(self._local_path(self.features))
        store = yield from self.store_steps()
        cube = store.cube()
        if store.calibration is None:
            return cube
        from fluxlens.embeddings.gpp.cubes import CALIBRATION_ATTR

        return cube.assign_attrs({CALIBRATION_ATTR: store.calibration.text()})

    def store_steps(self) -> Steps[Any]:
        """As ``steps``, but returns the opened ``Store`` itself: maps, series, scene, snapshot.

        Of a list of stores it returns their ``Mosaic``.
        """
        from fluxlens.embeddings.store import Mosaic, Store

        # A published cube has no daily maps and no series layout; it stands beside a store, not in its place.
        if self.features is not None:
            raise InputError(
                f"Got {self.features}, published features to compare with, need an entry of daily embeddings; choose"
                " one over the same place, where they are a layer, or export them."
            )
        # Before the store, which may have to be computed: a wrong file is known at once.
        fitted = self._calibration()
        if self.is_mosaic:
            yield Progress("opening the stores", 0.0)
            paths = [self._path(path) for path in self.store_path]
            mosaic = Mosaic.open(paths, self.snapshot, self.storage_options)
            mosaic.calibration = fitted
            return mosaic
        if self.store_path is not None:
            yield Progress("opening the store", 0.0)
            path, options = self._path(self.store_path), self.storage_options
        else:
            # Made once for all processes of this machine; a second one waits for the first.
            path, options = (yield from cache.build_once(self.key, self._embed)), None
        store = Store.open(path, self.snapshot, options)
        store.calibration = fitted
        return store

    def _calibration(self) -> Any:
        if self.calibration is None:
            return None
        from fluxlens.embeddings import gpp

        return gpp.load_calibration(self._local_path(self.calibration))

    @property
    def is_mosaic(self) -> bool:
        """Whether the entry is a list of stores."""
        return isinstance(self.store_path, list | tuple)

    def store(self) -> Any:
        """The opened ``Store`` or ``Mosaic``."""
        return progress.run(self.store_steps())

    def check(self) -> None:
        self._calibration()
        if self.features is not None:
            self.read()
        elif self.store_path is None:
            self._scene_source(self.scene).check()
        else:
            self.store()

    @cached_property
    def key(self) -> str:
        """Name of the store in the cache."""
        from fluxlens.embeddings.inference.on_demand import code_fingerprint

        scene = self._scene_source(self.scene)
        # A scene or weights that were written anew under the same path make another store.
        changed = [
            _last_modified(scene.key) if scene.path is not None else 0,
            _last_modified(self._model(self.model)),
        ]
        return cache.key(
            "embeddings",
            scene.key,
            self._model(self.model),
            changed,
            self.start,
            self.end,
            code_fingerprint(),
        )

    @property
    def ready(self) -> bool:
        # A store of its own is there already; only one made of a scene may take long.
        return self.scene is None or (cache.folder() / self.key).exists()

    def _embed(self, path: Path) -> Steps[None]:
        from fluxlens.embeddings.inference.embed import embed_to_store

        scene = yield from self._scene_source(self.scene).steps()
        yield from embed_to_store(path, scene, self._model(self.model), self.start, self.end)


class OnDemandSource(_Source):
    """A cube computed block by block as it is read, each block once: any scene entry, model and days.

    Parameters
    ----------
    scene
        Name of a scene entry.
    model
        Name of a shipped model, or the path of its weights.
    start, end
        First and last day; None: of the acquisitions.
    device
        ``auto``, ``cpu`` or ``cuda``.
    metadata
        Of intake.
    """

    name = "fluxlens_on_demand"

    def __init__(
        self,
        scene: str | None = None,
        model: str = "default",
        start: Any = None,
        end: Any = None,
        device: str = "auto",
        metadata: dict | None = None,
    ) -> None:
        super().__init__(metadata=metadata)
        self.scene, self.model, self.device = scene, model, device
        self.start, self.end = _date_as_text(start), _date_as_text(end)

    def steps(self) -> Steps[xr.Dataset]:
        """The lazy cube (time, y, x, feature), computed as it is read; yields progress while the scene is opened."""
        from fluxlens.embeddings.inference import on_demand

        return on_demand.on_demand(*(yield from self._request()))

    def compute_steps(self) -> Steps[xr.Dataset]:
        """As ``steps``, but computed in full; closed, it stops within a second and finished blocks stay cached."""
        from fluxlens.embeddings.inference import on_demand

        return (yield from on_demand.compute_on_demand(*(yield from self._request())))

    def _request(self) -> Steps[tuple]:
        if self.scene is None:
            raise InputError("Got no scene, need the name of a scene entry; write (scene='demo_scene').")
        source = self._scene_source(self.scene)
        scene = yield from source.steps()
        # Only now: importing PyTorch takes a second that a wrong scene should not cost.
        yield Progress("loading the model", 1.0)
        from fluxlens.models import checkpoints

        model = checkpoints.load(self._model(self.model), self.device)
        return scene, model, self.start, self.end, (yield from source.digest(scene))

    def check(self) -> None:
        if self.scene is not None:
            self._scene_source(self.scene).check()


class TowerSource(_Source):
    """Daily GPP of a tower, from a file or from a scene.

    Parameters
    ----------
    path
        Of a tower file, of a folder of one tower, or a list of files of its years; relative to the catalog.
    scene
        Instead, name of a scene entry that has a tower.
    sites
        Path of a table of site coordinates, for a file that has none.
    metadata
        Of intake.

    Raises
    ------
    InputError
        For neither or both of ``path`` and ``scene``.
    """

    name = "fluxlens_tower"

    def __init__(
        self,
        path: str | list[str] | None = None,
        scene: str | None = None,
        sites: str | None = None,
        metadata: dict | None = None,
    ) -> None:
        super().__init__(metadata=metadata)
        if (path is None) == (scene is None):
            raise InputError("Got a tower entry with neither or both of path and scene, need one; set one.")
        self.path, self.scene, self.sites = path, scene, sites

    def steps(self) -> Steps[xr.Dataset]:
        """Read the tower: yields progress, returns daily GPP (time), gC m-2 d-1, with weather of the scene contract."""
        if self.path is not None:
            from fluxlens.embeddings import towers

            yield Progress("reading the tower", 0.0)
            sites = towers.sites(self._local_path(self.sites)) if self.sites else None
            paths = self.path if isinstance(self.path, list | tuple) else [self.path]
            places = [self._local_path(one) for one in paths]
            return towers.read(places[0] if len(places) == 1 else places, sites)
        scene = yield from self._scene_source(self.scene).steps()
        if "tower" not in scene.children:
            raise InputError(
                f"Got the scene {self.scene!r}, which has no tower; choose another or give a path."
            )
        from fluxlens.embeddings.scenes import schema

        tower = scene["tower"].to_dataset().load()
        # Scenes may carry a tower without labels; plots write what stands here on their axes.
        for variable in schema.NODES["tower"].variables:
            if variable.name in tower:
                labels = {"units": variable.units, "long_name": variable.long_name}
                tower[variable.name].attrs = labels | tower[variable.name].attrs
        return tower

    def check(self) -> None:
        if self.path is None:
            self._scene_source(self.scene).check()
        else:
            self.read()


class SeriesSource(_Source):
    """Daily embeddings of a series table of Sentinel-2, with Sentinel-1 and daily weather beside it.

    Parameters
    ----------
    table, s1, weather
        Paths of tables as of ``embed_series``; relative to the catalog.
    model
        Name of a shipped model, or the path of its weights.
    start, end
        First and last day; None: of each series' acquisitions.
    metadata
        Of intake.
    """

    name = "fluxlens_series"
    container = "dataframe"

    def __init__(
        self,
        table: str,
        s1: str | None = None,
        weather: str | None = None,
        model: str = "default",
        start: str | None = None,
        end: str | None = None,
        metadata: dict | None = None,
    ) -> None:
        super().__init__(metadata=metadata)
        self.table, self.s1, self.weather, self.model = table, s1, weather, model
        self.start, self.end = _date_as_text(start), _date_as_text(end)

    def steps(self) -> Steps[Any]:
        import pandas as pd
        from fluxlens.embeddings.series import embed

        frames: list[pd.DataFrame] = []
        attrs = yield from embed.embed_series_steps(
            *self._tables(), self._model(self.model), start=self.start, end=self.end, sink=frames.append
        )
        out = pd.concat(frames, ignore_index=True)
        out.attrs = attrs
        return out

    def check(self) -> None:
        from fluxlens.embeddings.readers import series_table

        # Read but not embedded: all that can be wrong with a table shows when it is read.
        s2, s1, weather = self._tables()
        series_table.read_series(s2, s1)
        series_table.read_weather(weather)

    def _tables(self) -> list[Path | None]:
        return [
            None if path is None else self._local_path(path) for path in (self.table, self.s1, self.weather)
        ]


SOURCES = {
    source.name: source
    for source in (SceneSource, EmbeddingsSource, OnDemandSource, TowerSource, SeriesSource)
}
"""Drivers by the name a catalog writes."""


def argument_names(driver: str) -> set[str] | None:
    """Names of the arguments an entry may have.

    Parameters
    ----------
    driver
        Of ``SOURCES``.

    Returns
    -------
    set of str or None
        None where any name may come: the request of a simulated scene, which the source itself checks.
    """
    parameters = inspect.signature(SOURCES[driver].__init__).parameters
    # A simulated scene takes fields of its request, which it checks by itself.
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return set(parameters) - {"self", "metadata"}


def _without_file_scheme(path: str) -> str:
    """The path of a ``file://`` URL; others as they are."""
    return url2pathname(path.removeprefix("file://")) if path.startswith("file://") else path


def _date_as_text(value: Any) -> Any:
    """YAML makes dates of 2020-05-01; everything here takes them as text."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _last_modified(path: str) -> float:
    """When a path was last modified, a part of cache keys; 0 for a name that is no path."""
    place = Path(path)
    # One level deep: a Zarr scene changes the time of its group's folder when it is written anew.
    return max((file.stat().st_mtime for file in (place, *place.glob("*")) if file.exists()), default=0.0)
