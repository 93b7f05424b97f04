"""The layers of the map: which there are, how each is coloured, and its image on a day."""

import datetime as dt
import math
from dataclasses import replace
from functools import cached_property, lru_cache

import numpy as np
from fluxlens.app.data import scene as scene_module
from fluxlens.app.data.byte_cache import ByteLimitedCache
from fluxlens.app.data.imagery import Imagery
from fluxlens.app.data.label_map import FittedLabels, fit_labels, predict_labels
from fluxlens.app.data.layer_image import LayerImage, LayerStyle, Viewport, format_date, format_offset
from fluxlens.app.data.published import PublishedEmbeddings
from fluxlens.app.data.scene import SceneData
from fluxlens.app.data.similarity import PixelSimilarity
from fluxlens.app.state.labels import Label, is_fittable
from fluxlens.app.state.layer_key import LayerKey
from fluxlens.app.units import GPP_UNIT
from fluxlens.embeddings import analysis


class MapLayers:
    """Images and styles of the layers of one scene; the latest images are cached.

    Parameters
    ----------
    scene : SceneData
        Embeddings and GPP.
    imagery : Imagery
        True colour.
    similarity : PixelSimilarity
        Similarity, clusters, and the features that labels are fitted to.
    published : PublishedEmbeddings, optional
        Feature cube of other authors over the same scene.
    published_error : str
        Why a published cube could not be read, one sentence.

    Attributes
    ----------
    image_cache, gpp_cache : ByteLimitedCache
        Images by (LayerKey, viewport); GPP maps by (day, viewport).
    """

    def __init__(
        self,
        scene: SceneData,
        imagery: Imagery,
        similarity: PixelSimilarity,
        published: PublishedEmbeddings | None = None,
        published_error: str = "",
    ):
        self.scene, self.imagery, self.similarity = scene, imagery, similarity
        self.published, self.published_error = published, published_error
        self.image_cache = ByteLimitedCache(self._make_image, scene_module.CACHE_BYTES // 2)
        self.gpp_cache = ByteLimitedCache(scene.predict_map, scene_module.CACHE_BYTES // 4)
        self._fitted = lru_cache(maxsize=32)(self._fit_labels)
        # How each layer is made; a layer that is not here does not exist.
        self._makers = {
            "true": self._make_true_colour,
            "pca": self._make_pca,
            "feature": self._make_feature,
            "published": self._make_published,
            "gpp": self._make_gpp,
            "width": self._make_band_width,
            "similar": self._make_similarity,
            "clusters": self._make_clusters,
            "labels": self._make_labels,
            "sigma": self._make_sigma,
            "gap": self._make_gap,
        }
        self._stylers = {
            "true": self._style_true_colour,
            "pca": self._style_pca,
            "gpp": self._style_gpp,
            "width": self._style_band_width,
            "published": self._style_published,
            "sigma": self._style_sigma,
            "gap": self._style_gap,
        }

    # --- what there is ---

    @cached_property
    def keys(self) -> list[str]:
        """Layers that this store can show, in the order of the screen; keys of ``LAYERS``."""
        photo = ["true"] if self.imagery.rgb_bands else []
        gpp = ["gpp", "width"] if self.scene.predict else []
        published = ["published"] if self.published is not None else []
        return [*photo, "pca", "feature", *published, *gpp, "similar", "clusters", "labels", "sigma", "gap"]

    @cached_property
    def missing_reasons(self) -> list[str]:
        """Why something is not on this screen, one sentence each."""
        s2 = self.imagery.s2
        bands = [str(band) for band in s2.band.values] if s2 is not None else []
        has = f"this scene has {', '.join(bands)}" if bands else "this store carries no Sentinel-2"
        reasons = []
        if not self.imagery.rgb_bands:
            reasons.append(f"No true colour: it needs B04, B03 and B02, {has}.")
        if not self.imagery.has_ndvi:
            reasons.append(f"No NDVI: it needs B04 (red) and B08 or B8A (near infrared), {has}.")
        if self.scene.predict is None:
            no_weather = self.scene.node("weather") is None
            # Of a mosaic the stores carry it, but not all the same.
            whose = getattr(self.scene.store, "no_weather", "the store carries no weather")
            why = whose if no_weather else "another model made it"
            reasons.append(f"No GPP: {why}.")
        if self.published_error:
            reasons.append(self.published_error)
        return reasons

    # --- images ---

    def image(self, key: LayerKey, viewport: Viewport | None = None) -> LayerImage:
        """The image of a layer; layers of one day share one read of the store.

        Parameters
        ----------
        key : LayerKey
            Layer, day and the choices it depends on.
        viewport : Viewport, optional
            None: the whole scene at full resolution.
        """
        return self.image_cache(key, viewport)

    def _make_image(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        image = self._makers[key.layer](key, viewport)
        if not self.scene.has_gaps:
            return image
        # Where no store of a mosaic is, the cube has its value for "missing", of which any layer would make a colour.
        stored = self.scene.covered_pixels(viewport)
        shares = image.shares
        if shares:
            # Of the pixels that stores hold alone: the others got a class too, which says nothing.
            shares = tuple(
                (
                    np.bincount(image.values[stored, 0].astype(int), minlength=len(shares)) / stored.sum()
                ).tolist()
            )
        return replace(
            image, values=np.where(stored[..., None], image.values, np.float32(np.nan)), shares=shares
        )

    def _make_true_colour(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        values, clear, acquired = self.imagery.true_colour(key.day, viewport)
        date = format_offset(acquired, key.day)
        caption = f"Sentinel-2 as seen on {date}"
        return LayerImage(values, self.style("true"), caption, ~clear, when=date)

    def _make_pca(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        if key.day is None:
            weights, mean = self.scene.components
            return self._image_of((self.similarity.period_mean(viewport) - mean) @ weights, key)
        cube = self.scene.cube(key.day, viewport, quality=False)
        weights, mean = self.scene.components
        # Dequantisation is folded into the weights: stored int8 values are projected without a float copy.
        onto = (weights * self.scene.scale[:, None]).astype("float32")
        return self._image_of(analysis.project(cube.embedding.values, onto, -mean @ weights), key)

    def _make_feature(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        if key.day is None:
            return self._image_of(self.similarity.period_mean(viewport)[..., key.feature], key)
        cube = self.scene.cube(key.day, viewport, quality=False)
        values = cube.embedding.isel(feature=key.feature).values * self.scene.scale[key.feature]
        return self._image_of(values, key)

    def _make_published(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        return self.published.image(key.day, viewport)

    def _make_gpp(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        return self._image_of(self.gpp_cache(key.day, viewport).gpp.values, key)

    def _make_band_width(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        gpp = self.gpp_cache(key.day, viewport)
        return self._image_of(gpp.gpp_hi.values - gpp.gpp_lo.values, key)

    def _make_similarity(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        return self.similarity.similarity_image(key.day, key.area or key.pixel, key.threshold, viewport)

    def _make_clusters(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        return self.similarity.cluster_image(key.day, key.clusters, viewport)

    def _make_labels(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        if is_fittable(key.labels):
            return predict_labels(self._fitted(key.day, key.labels), self.similarity, key.day, viewport)
        # Before there are two kinds of labels the map shows the embedding, on which pixels can be chosen.
        embedding = self.image(LayerKey("pca", key.day or self.scene.first), viewport)
        return replace(
            embedding,
            caption="type a class or a number, and tap pixels of two kinds or more",
            when=embedding.date,
        )

    def _make_sigma(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        return self._image_of(self.scene.cube(key.day, viewport).sigma.values, key)

    def _make_gap(self, key: LayerKey, viewport: Viewport | None) -> LayerImage:
        days = self.scene.cube(key.day, viewport).days_from_s2.values
        return self._image_of(np.where(days < 0, np.nan, days), key)  # -1: no acquisition at all

    def _image_of(self, values: np.ndarray, key: LayerKey) -> LayerImage:
        """Values (y, x) or (y, x, channel) in the style of their layer."""
        values = values.astype("float32", copy=False)
        values = values.reshape(*values.shape[:2], -1)  # (y, x, channel)
        caption = format_date(key.day) if key.day else f"mean {self.similarity.period_label}"
        return LayerImage(values, self.style(key.layer, key.feature), caption)

    def _fit_labels(self, day: dt.date | None, labels: tuple[Label, ...]) -> FittedLabels:
        return fit_labels(self.similarity, day, labels)

    # --- styles, the same for every day ---

    def style(self, layer: str, feature: int = 0) -> LayerStyle:
        """Colours of a layer with one stretch for all days.

        Parameters
        ----------
        layer : str
            A key of ``LAYERS``, but for similarity, clusters and labels, whose style comes with the image.
        feature : int
            Index of the feature, for "feature".
        """
        return self._style_feature(feature) if layer == "feature" else self._stylers[layer]()

    def _style_true_colour(self) -> LayerStyle:
        # Upper ends of vegetation and soil; gamma brightens forests, which reflect 2 to 5 %.
        bands, high = ("B04", "B03", "B02"), (0.24, 0.22, 0.20)
        return LayerStyle("True colour", "reflectance", bands, (0.0,) * 3, high, gamma=0.7)

    @cached_property
    def _pca_stretch(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        weights, mean = self.scene.components
        projected = (self.scene.sample_vectors - mean) @ weights
        # Not the extremes: a few pixels of water or snow would take most of the colours.
        low, high = np.percentile(projected, [1, 99], axis=0)
        return tuple(low.tolist()), tuple(high.tolist())

    def _style_pca(self) -> LayerStyle:
        low, high = self._pca_stretch
        return LayerStyle("Embedding, first three components", "", ("PC1", "PC2", "PC3"), low, high)

    def _style_feature(self, feature: int) -> LayerStyle:
        name = self.scene.features[feature]
        # As far below 0 as above it: the middle of the palette, which is pale, stands for 0.
        values = np.abs(self.scene.sample_codes[:, feature] * self.scene.scale[feature])
        top = float(f"{max(np.percentile(values, 99), 1e-6):.2g}")  # two digits, so that ticks are short
        return LayerStyle(f"Feature {name}", "", (name,), (-top,), (top,), palette="CET_CBD1")

    def _style_published(self) -> LayerStyle:
        return self.published.style

    @cached_property
    def _gpp_tops(self) -> tuple[float, float]:
        """Upper ends for GPP and for the width of its band, whole gC m-2 d-1."""
        predicted = self.scene.sample_prediction
        top = np.nanpercentile(predicted.gpp.values, 99.5)
        width = np.nanpercentile((predicted.gpp_hi - predicted.gpp_lo).values, 99)
        # Whole numbers make short ticks; at least 1, since bare ground would stretch noise over all colours.
        return max(1.0, math.ceil(top)), max(1.0, math.ceil(width))

    def _style_gpp(self) -> LayerStyle:
        fitted = self.scene.calibration
        label = "GPP" if fitted is None else f"GPP, calibrated with {fitted.name}"
        return LayerStyle(
            label, GPP_UNIT, ("gpp",), (0.0,), (self._gpp_tops[0],), palette="CET_CBL2", value_name="GPP"
        )

    def _style_band_width(self) -> LayerStyle:
        label, high = "Width of the 90 % band", (self._gpp_tops[1],)
        return LayerStyle(
            label, GPP_UNIT, ("gpp_hi−gpp_lo",), (0.0,), high, palette="CET_CBL1", value_name=label
        )

    def _style_sigma(self) -> LayerStyle:
        top = math.ceil(np.nanpercentile(self.scene.sample.sigma.values, 99) * 100) / 100
        label, high = "Sigma, expected reflectance error", (max(top, 0.01),)
        return LayerStyle(label, "", ("sigma",), (0.0,), high, palette="CET_CBL1")

    def _style_gap(self) -> LayerStyle:
        label = "Days to the nearest clear Sentinel-2 view"
        name = "nearest clear view"
        return LayerStyle(label, "d", ("days",), (0.0,), (30.0,), palette="CET_CBL1", value_name=name)

    # --- caches ---

    def preload(self) -> None:
        """Compute what the first map would else wait for: the fixed stretches and the embedding of the first day.

        Kept apart from opening, so that a thread can do it before the first user comes.
        """
        for layer in set(self.keys) - {"similar", "clusters", "labels"}:  # their style depends on choices
            self.style(layer)
        self.image(LayerKey("pca", self.scene.first), self.scene.overview)
