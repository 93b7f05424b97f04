"""What a score is of: its data, its split, the baselines beside it and what the weights were trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fluxlens.models.embedder import Embedder


@dataclass(frozen=True)
class Protocol:
    """Said above every table and in every JSON, so that no number stands without it."""

    data: str
    """What is scored, and whether it is measured or simulated."""
    split: str
    """What is left out of fitting, and what is scored."""
    baselines: str
    """The simple methods on the same rows, or what else the numbers are to be read against."""
    weights: str = ""
    """As of ``describe_weights``; empty where none are scored."""

    def attach(self, numbers: dict[str, Any], table: str) -> tuple[dict[str, Any], str]:
        """Put the facts before the numbers of an evaluation and above its table.

        Parameters
        ----------
        numbers
            Flat.
        table
            For people.

        Returns
        -------
        The numbers with ``data``, ``split``, ``baselines`` and ``weights``; the table with a line of each.
        """
        facts = {
            "data": self.data,
            "split": self.split,
            "baselines": self.baselines,
            "weights": self.weights,
        }
        facts = {name: text for name, text in facts.items() if text}
        head = [f"{name + ':':11}{text}" for name, text in facts.items()]
        return facts | numbers, "\n".join([*head, "", table])


def describe_weights(model: Embedder) -> str:
    """Name, digest and training data of an embedder, as its card has them.

    Parameters
    ----------
    model
        Loaded.

    Returns
    -------
    str
        Scores on a folder or a cube named here are no test of the embedding.
    """
    identity = model.identity
    card = identity.card
    taught = [f"{card['simulated_scenes']} simulated scenes"] if card.get("simulated_scenes") else []
    # Folders hold most of the cubes by name; a card that lists no folder lists its cubes.
    taught += [str(name) for name in card.get("measured_folders") or card.get("measured_cubes", [])]
    name = " ".join(word for word in (identity.name, identity.digest) if word)
    return f"{name}, trained without labels on {', '.join(taught)}" if taught else f"{name}, training unknown"
