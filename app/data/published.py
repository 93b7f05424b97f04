"""Embeddings published by others as a layer: the image nearest to a day, with gaps where clouds were."""

import datetime as dt
from contextlib import suppress
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.layer_image import LayerImage, LayerStyle, Viewport, format_offset
from fluxlens.embeddings import analysis
from fluxlens.embeddings.geometry import Grid
from fluxlens.models.errors import InputError

CANDIDATE_IMAGES = 8
"""Images nearest to a day of which the clearest is shown, where none is half clear."""
SAMPLE_IMAGES, SAMPLE_SIDE_PX = 12, 48
"""The sample behind the fixed stretch: that many images, about that many pixels a side."""
OVERLAP_PX = 64
"""Whether a cube lies over a scene is tested at that many points a side."""


def find_published(catalog, grid: Grid) -> tuple["PublishedEmbeddings | None", str]:
    """The first cube of published features in a catalog that overlaps a scene.

    Parameters
    ----------
    catalog : intake.Catalog
        The open catalog.
    grid : Grid
        Grid of the scene, in any CRS.

    Returns
    -------
    published : PublishedEmbeddings or None
    reason : str
        Why one could not be read, one sentence; else empty.
    """
    from fluxlens.embeddings.catalog import entries

    reason = ""
    for entry in entries(catalog):
        source = _open_source(catalog, entry.name) if entry.kind == "embeddings" else None
        # Entries of our own stores are no published cubes.
        if getattr(source, "features", None) is None:
            continue
        try:
            published = PublishedEmbeddings(source.read(), grid)
        # One broken cube must not hide another that can be shown.
        except InputError as error:
            reason = f"No published embedding of {entry.name!r}: {error}"
        else:
            if published.overlaps_scene:
                return published, ""
    return None, reason


def _open_source(catalog, name: str):
    """None for an entry that is wrong: its error is shown to whoever chooses that entry."""
    from fluxlens.embeddings.catalog import source

    with suppress(InputError):
        return source(catalog, name)


class PublishedEmbeddings:
    """A feature cube laid over the grid of a scene in any CRS.

    Parameters
    ----------
    cube : xarray.Dataset
        As ``embeddings.readers.feature_cube`` opens it: ``embedding`` (time, y, x, feature) float32, NaN under cloud.
    grid : Grid
        Grid of the scene.

    Raises
    ------
    InputError
        The cube has fewer than three features.
    """

    def __init__(self, cube: xr.Dataset, grid: Grid):
        if cube.sizes["feature"] < 3:
            raise InputError(f"Got {cube.sizes['feature']} features, need three or more to colour a map.")
        self.cube, self.grid = cube, grid
        self._cube_grid = Grid.from_cube(cube)
        # Positions of the view in the other grid are the same for all days; they cost a projection.
        self._cube_pixels = lru_cache(maxsize=16)(self._find_cube_pixels)
        self._clear_share = lru_cache(maxsize=1024)(self._read_clear_share)

    @property
    def overlaps_scene(self) -> bool:
        """Whether some of the scene lies in the cube."""
        ny, nx = self.grid.shape
        rows, _ = self._cube_pixels(Viewport.covering((ny, nx), (0, ny), (0, nx), OVERLAP_PX))
        return bool((rows >= 0).any())

    @property
    def source(self) -> str:
        """Title, model and scene of the cube, for the metadata of exports."""
        attrs = self.cube.attrs
        return f"{attrs['title']}, model {attrs['model']}, scene {attrs['scene_id']}"

    def image(self, day: dt.date, viewport: Viewport | None = None) -> LayerImage:
        """Three principal components of the image nearest to a day; NaN where it has no data.

        Parameters
        ----------
        day : date
            UTC.
        viewport : Viewport, optional
            None: the whole scene.
        """
        index = self._nearest_clear_image(day)
        rows, cols = self._cube_pixels(viewport)
        inside = rows >= 0
        values = np.full((*rows.shape, 3), np.nan, np.float32)
        if inside.any():
            # One window is read and picked from: single pixels would read a chunk each.
            row_span, col_span = (_bounding_slice(indices[inside]) for indices in (rows, cols))
            window = self._read_components(index, row_span, col_span)
            values[inside] = window[rows[inside] - row_span.start, cols[inside] - col_span.start]
        # A published cube of simulated data says so in the caption.
        simulated = ", simulated" if int(self.cube.attrs["simulated"]) else ""
        acquired = format_offset(self.cube.time.values[index], day)
        return LayerImage(values, self.style, f"{self.cube.attrs['model']}{simulated}, image of {acquired}")

    @cached_property
    def style(self) -> LayerStyle:
        """The same colours for every day."""
        weights, mean = self._components
        projected = (self._sample - mean) @ weights if len(self._sample) else np.zeros((1, 3))
        # Outliers of clouds must not decide the stretch.
        low, high = np.percentile(projected, [1, 99], axis=0)
        label = "Published embedding, first three components"
        return LayerStyle(label, "", ("PC1", "PC2", "PC3"), tuple(low.tolist()), tuple(high.tolist()))

    @property
    def _thinned(self) -> dict[str, slice]:
        """Indexer of about ``SAMPLE_SIDE_PX`` pixels a side."""
        return {n: slice(None, None, max(1, self.cube.sizes[n] // SAMPLE_SIDE_PX)) for n in ("y", "x")}

    @cached_property
    def _sample(self) -> np.ndarray:
        """(pixel, feature) of some images and pixels, those under cloud left out."""
        images = np.unique(np.linspace(0, self.cube.sizes["time"] - 1, SAMPLE_IMAGES).round().astype(int))
        # image by image: a cube may be larger than memory
        images_px = [self.cube.embedding.isel(time=i).isel(self._thinned).values for i in images]
        vectors = np.concatenate([image_px.reshape(-1, image_px.shape[-1]) for image_px in images_px])
        return vectors[np.isfinite(vectors).all(1)]

    @cached_property
    def _components(self) -> tuple[np.ndarray, np.ndarray]:
        """(feature, 3) weights and (feature,) mean."""
        if len(self._sample) < 3:  # a cube of clouds has no components
            count = self.cube.sizes["feature"]
            return np.eye(count, 3, dtype=np.float32), np.zeros(count, np.float32)
        return analysis.principal(self._sample)

    def _nearest_clear_image(self, day: dt.date) -> int:
        """Index of the image nearest to noon of a day that is half clear, or the clearest of those near."""
        # Acquisitions carry a time of day; noon makes the day before and after equally near.
        noon = np.datetime64(pd.Timestamp(day) + pd.Timedelta(hours=12))
        order = np.argsort(np.abs(self.cube.time.values - noon), kind="stable")[:CANDIDATE_IMAGES]
        # The nearest image may be all cloud: the first of a few that shows half of the scene is taken.
        for index in order:
            if self._clear_share(int(index)) >= 0.5:
                return int(index)
        return int(max(order, key=lambda index: self._clear_share(int(index))))

    def _read_clear_share(self, index: int) -> float:
        image = self.cube.embedding.isel(time=index, feature=0).isel(self._thinned)
        # What was under cloud is NaN in such cubes, which have no mask of their own.
        return float(np.isfinite(image.values).mean())

    def _read_components(self, index: int, rows: slice, cols: slice) -> np.ndarray:
        """(y, x, 3) of a window of the cube."""
        weights, mean = self._components
        vectors = self.cube.embedding.isel(time=index, y=rows, x=cols).values
        return analysis.project(vectors, weights, -mean @ weights)

    def _find_cube_pixels(self, viewport: Viewport | None) -> tuple[np.ndarray, np.ndarray]:
        """Row and column in the cube (y, x) of the middle of each pixel of a viewport; -1 outside the cube."""
        ny, nx = self.grid.shape
        viewport = viewport or Viewport(1, 0, ny, 0, nx)
        rows, cols = (
            np.minimum(np.arange(span.start, span.stop) * viewport.level + viewport.level // 2, size - 1)
            for span, size in ((viewport.rows, ny), (viewport.cols, nx))
        )
        x, y = np.meshgrid(self.grid.x[cols], self.grid.y[rows])
        # Neighbouring UTM zones: through longitude and latitude, pixel by pixel.
        if self.grid.crs != self._cube_grid.crs:
            x, y = self._cube_grid.xy(*self.grid.lonlat(x, y))
        left, bottom, right, top = self._cube_grid.extent
        inside = (x >= left) & (x < right) & (y > bottom) & (y <= top)
        row, col = (top - y) // self._cube_grid.size_m, (x - left) // self._cube_grid.size_m
        return tuple(np.where(inside, indices, -1).astype(int) for indices in (row, col))


def _bounding_slice(indices: np.ndarray) -> slice:
    return slice(indices.min(), indices.max() + 1)
