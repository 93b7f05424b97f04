"""What the screen shows as numbers: facts of a scene, imagery, series, areas, layers and towers; draws nothing."""

from fluxlens.app.data.explorer_data import ExplorerData

__all__ = ["ExplorerData"]
