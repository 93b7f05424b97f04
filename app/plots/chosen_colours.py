"""Range and palette that the user chose for a layer, in place of its own."""

from dataclasses import replace

from fluxlens.app.data.layer_image import LayerImage
from fluxlens.app.state.selection import State


def with_chosen_colours(image: LayerImage, state: State) -> LayerImage:
    """An image in the range and palette that the user chose for its layer; as it is where none were chosen.

    Parameters
    ----------
    image : LayerImage
        As ``ExplorerData.layer_image`` makes it.
    state : State
        ``colours``, by the label of the style.
    """
    chosen = state.colours.get(image.style.label)
    if chosen is None or image.style.palette is None:
        return image
    # A copy: the image is cached and shared with other sessions, which have colours of their own.
    low, high, palette = chosen
    return replace(image, style=replace(image.style, low=(low,), high=(high,), palette=palette))
