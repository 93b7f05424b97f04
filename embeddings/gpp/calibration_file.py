"""The file of a calibration: small readable JSON, checked when it is read, bound to the weights it was made with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fluxlens.embeddings.gpp.calibration import TERMS, Adjustment
from fluxlens.models.atomic import atomic_path
from fluxlens.models.errors import InputError

from fluxlens import embeddings

FORMAT, VERSION = "fluxlens_gpp_calibration", 1
BYTES_AT_MOST = 4 * 2**20
LARGEST = 100.0
"""Of any number of an adjustment: ten times what the most different tower ever needed."""
TERM_NOTES = {
    "gain": "relative change of the prediction",
    "warmth": "the same, per scaled mean temperature of the recent past (10 degC)",
    "clearness": "the same, per share of clear-sky light above one half",
    "offset": "gC m-2 d-1 on a day of 200 W m-2, in proportion to the light",
}


@dataclass(frozen=True)
class HeadAdjustment:
    """The adjustments of one head.

    Parameters
    ----------
    kind
        ``daily`` (series and maps) or ``table``.
    weights
        Digest of the head's weights.
    pooled
        For places that are none of the towers.
    own
        By tower.
    checked
        Scores on days left out in blocks, see ``calibrate.check_on_blocks``; empty where there are too few.
    """

    kind: str
    weights: str
    pooled: Adjustment
    own: dict[str, Adjustment]
    checked: dict[str, float] = field(default_factory=dict)

    def at(self, site: str) -> Adjustment:
        """That of the tower ``site``, or of a further place where it is none of the towers."""
        return self.own.get(site, self.pooled)


@dataclass(frozen=True)
class Calibration:
    """What measured towers say of a GPP head.

    Parameters
    ----------
    name
        The tower, or how many of them.
    measured
        ``source``, ``variable``, ``start``, ``end`` (ISO dates), ``days``, ``sites``: facts of the measurements.
    heads
        One or more, each of other weights.
    """

    name: str
    measured: dict[str, Any]
    heads: tuple[HeadAdjustment, ...]

    def head(self, kind: str, weights: str) -> HeadAdjustment:
        """The adjustment of a head.

        Parameters
        ----------
        kind
            ``daily`` or ``table``.
        weights
            Digest of the weights that predict.

        Returns
        -------
        HeadAdjustment
            Made with the same weights.

        Raises
        ------
        InputError
            Where it was made with other weights.
        """
        # Weights decide, not the kind: a head of one kind may have been trained anew since.
        for one in self.heads:
            if one.weights == weights:
                return one
        made = ", ".join(f"{one.weights} ({one.kind})" for one in self.heads)
        raise InputError(
            f"Got the calibration {self.name} made with the GPP weights {made}, need one made with {weights} ({kind}),"
            " which predict here; run `fluxlens calibrate gpp` again with them."
        )

    @property
    def digest(self) -> str:
        """Of all that changes a prediction, 16 hexadecimal digits."""
        # Over the rounded text and not the arrays: it is the same after the file was read again.
        text = json.dumps([_head_text(one) for one in self.heads], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """One line for files and screens: name, days, period, variable, digest."""
        m = self.measured
        return f"{self.name}: {m['days']} days, {m['start']} to {m['end']}, {m['variable']}; {self.digest}"

    def text(self) -> str:
        """The text of its file."""
        content = {
            FORMAT: VERSION,
            "name": self.name,
            "digest": self.digest,
            "software": f"fluxlens {embeddings.__version__}",
            "measured": self.measured,
            "terms": TERM_NOTES,
            "heads": [_head_text(one) for one in self.heads],
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the file ``path``, a ``.json`` in a folder that exists; replaced only by the whole new one."""
        path = check_path(path)
        with atomic_path(path) as temporary:
            temporary.write_text(self.text(), encoding="utf-8")


def check_path(path: str | Path) -> Path:
    """A path a calibration can be written to; InputError for another suffix or a folder that does not exist.

    Parameters
    ----------
    path
        To check.
    """
    path = Path(path)
    if path.suffix.lower() != ".json" or not path.resolve().parent.is_dir() or path.is_dir():
        raise InputError(
            f"Got {path} for a calibration, need a .json file in a folder that exists; correct it."
        )
    return path


def load(path: str | Path) -> Calibration:
    """Read and check the file of a calibration.

    Parameters
    ----------
    path
        Of ``fluxlens calibrate gpp``.

    Returns
    -------
    Calibration
        Every number in it is finite and within bounds.

    Raises
    ------
    InputError
        Where it is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"Got the calibration {path}, which is not there, need a file; check the path.")
    # Before it is read: a device file has no end, and a large one would fill the memory.
    if not path.is_file() or path.stat().st_size > BYTES_AT_MOST:
        raise InputError(
            f"Got {path}, which is no file of at most {BYTES_AT_MOST:,} bytes, need a calibration as `fluxlens"
            " calibrate gpp` writes it; check the path."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(_no_calibration(path.name, "it is no text")) from error
    return from_text(text, path.name)


def from_text(text: str, name: str = "a calibration") -> Calibration:
    """Read and check the text of a calibration.

    Parameters
    ----------
    text
        JSON.
    name
        What errors call it.

    Returns
    -------
    Calibration
        As ``load`` returns it.

    Raises
    ------
    InputError
        Where it is no calibration.
    """
    try:
        content = json.loads(text)
    # RecursionError: JSON nested thousands deep, which no calibration is.
    except (ValueError, RecursionError) as error:
        raise InputError(_no_calibration(name, "it is no JSON")) from error
    if not isinstance(content, dict) or FORMAT not in content:
        raise InputError(_no_calibration(name, f"it has no {FORMAT}"))
    if content[FORMAT] != VERSION:
        raise InputError(
            f"Got {name} of version {str(content[FORMAT])[:20]}, need {VERSION}; use the software that wrote it."
        )
    # A file comes from others: each part is checked before it moves a prediction.
    try:
        measured = content["measured"]
        facts = {key: str(measured[key]) for key in ("source", "variable", "start", "end")}
        facts |= {"days": int(measured["days"]), "sites": [str(site) for site in measured["sites"]]}
        heads = tuple(_head_of(one) for one in content["heads"])
        calibration = Calibration(str(content["name"]), facts, heads)
        # Texts are shown on screen and in exports: control characters in them are refused.
        sound = bool(heads) and all(
            text.isprintable() for text in (calibration.name, *map(str, facts.values()))
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(_no_calibration(name, f"a part is missing or wrong ({error})")) from error
    if not sound:
        raise InputError(_no_calibration(name, "it holds no head, or a name that cannot be printed"))
    # The digest is over the numbers that were just parsed: it guards against edits and lost digits, not against malice.
    if content.get("digest") != calibration.digest:
        raise InputError(
            _no_calibration(name, "its numbers are not those it was written with (digest differs)")
        )
    return calibration


def _no_calibration(name: str, why: str) -> str:
    return (
        f"Got {name}, which is no whole calibration: {why}, need a file as `fluxlens calibrate gpp` writes it; make it"
        " again."
    )


def _head_text(one: HeadAdjustment) -> dict:
    return {
        "kind": one.kind,
        "weights": one.weights,
        "left_out_blocks": {key: round(float(value), 4) for key, value in one.checked.items()},
        "pooled": _adjustment_text(one.pooled),
        "sites": {name: _adjustment_text(adjustment) for name, adjustment in one.own.items()},
    }


def _adjustment_text(one: Adjustment) -> dict:
    # Six digits: far below the posterior's width, and the same text after reading and writing again.
    sd = np.sqrt(np.diag(one.covariance))
    # "sd" is for people who read the file; reading takes the covariance.
    return {
        "mean": {name: _round(value) for name, value in zip(TERMS, one.mean, strict=True)},
        "sd": {name: _round(value, 3) for name, value in zip(TERMS, sd, strict=True)},
        "covariance": [[_round(value) for value in row] for row in one.covariance],
        "spread": _round(one.spread),
        "days": int(one.days),
        "effective_days": _round(one.effective_days, 3),
    }


def _round(value: float, digits: int = 6) -> float:
    return float(f"{float(value):.{digits}g}")


def _head_of(content: dict) -> HeadAdjustment:
    checked = {str(key): float(value) for key, value in content["left_out_blocks"].items()}
    own = {str(name): _adjustment_of(one) for name, one in content["sites"].items()}
    return HeadAdjustment(
        str(content["kind"]), str(content["weights"]), _adjustment_of(content["pooled"]), own, checked
    )


def _adjustment_of(content: dict) -> Adjustment:
    mean = np.array([float(content["mean"][name]) for name in TERMS])
    covariance = np.array(content["covariance"], float)
    spread, effective = float(content["spread"]), float(content["effective_days"])
    if covariance.shape != (len(TERMS), len(TERMS)):
        raise ValueError(f"covariance of shape {covariance.shape}")
    # Bounds before use: an adjustment is applied to whole maps without a further look.
    numbers = np.concatenate([mean, covariance.ravel(), [spread]])
    if not (
        np.isfinite(numbers).all() and np.abs(numbers).max() <= LARGEST and spread > 0 and effective >= 0
    ):
        raise ValueError("a number beyond its bounds")
    # Rounding to six digits may leave an eigenvalue just below zero.
    covariance = (covariance + covariance.T) / 2
    if np.linalg.eigvalsh(covariance).min() < -1e-5 * max(1.0, np.trace(covariance)):
        raise ValueError("a covariance that is none")
    return Adjustment(mean, covariance, spread, int(content["days"]), effective)
