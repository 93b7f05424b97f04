"""A simulated world: scenes with their truth, for the demo, for tests and for training."""

from embeddings.simulate.scene import Request, build, random_request, random_scene, simulate, steps
from embeddings.simulate.tower import write_tower_file

__all__ = [
    "Request",
    "build",
    "random_request",
    "random_scene",
    "simulate",
    "steps",
    "write_tower_file",
]
