"""Simulator of scenes with their true state, for the demo, for tests and for training.

Optics: PROSAIL tables (Jacquemoud et al. 2009, doi:10.1016/j.rse.2008.01.026). Radar: the water-cloud model (Attema &
Ulaby 1978, doi:10.1029/RS013i002p00357). Soil water and sun: FAO-56 (Allen et al. 1998). Carbon: the P-model (Stocker
et al. 2020, doi:10.5194/gmd-13-1545-2020). Simple by intention: one seed gives one scene, bit for bit.
"""

from fluxlens.embeddings.simulate.scene import Request, build, random_request, random_scene, simulate, steps
from fluxlens.embeddings.simulate.tower import write_tower_file

__all__ = [
    "Request",
    "build",
    "random_request",
    "random_scene",
    "simulate",
    "steps",
    "write_tower_file",
]
