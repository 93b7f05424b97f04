"""The layers of the map in groups by what one wants to know, with a one-line explanation each."""

GROUPS = {
    "See": ("true", "pca", "feature", "published"),
    "Carbon": ("gpp", "width"),
    "Compare": ("similar", "clusters", "labels"),
    "Trust": ("sigma", "gap"),
}
"""Keys of ``LAYERS`` by group, in the order of the screen."""
EXPLANATIONS = {
    "true": "The nearest clear Sentinel-2 image, in the colours of a photograph.",
    "pca": "The embedding of the day: its three principal components as red, green and blue.",
    "feature": "One number of the embedding; the list is sorted by correlation with GPP at the chosen pixel.",
    "published": "Embeddings of other authors over the same scene, at their own dates.",
    "gpp": "Gross primary production predicted from embedding and weather, gC m⁻² d⁻¹.",
    "width": "Width of the 90 % band of predicted GPP: where it is wide, the prediction is unsure.",
    "similar": "How similar each pixel is to the chosen one (cosine of their embeddings).",
    "clusters": "Pixels grouped by their embeddings (k-means), without any labels.",
    "labels": "Classes or numbers that you give to a few pixels, spread over the whole map.",
    "sigma": "Expected error of the reflectance decoded from the embedding.",
    "gap": "Days to the nearest clear Sentinel-2 view: what is far was bridged by the model.",
}
"""What each layer shows, one sentence for the user."""
