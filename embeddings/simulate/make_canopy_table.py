"""Development tool: compute the simulator's canopy table, and its golden values, with PROSPECT-D and 4SAIL.

Run it by hand (``python -m fluxlens.embeddings.simulate.make_canopy_table``) where ``prosail`` is installed: the extra
``simulator-table``. ``prosail`` is GPL-3 and is never imported at run time; the package only reads the
numbers.

Methods: PROSPECT-D (Féret et al. 2017, doi:10.1016/j.rse.2017.03.004), 4SAIL (Verhoef et al. 2007,
doi:10.1109/TGRS.2007.895844). Soil is left out of the table: over a soil of reflectance ``s`` a canopy
reflects ``a + b s / (1 - c s)``, and ``a``, ``b``, ``c`` are what is stored, so that any soil, litter or
snow can lie below.
"""

import json
from pathlib import Path

import numpy as np
from fluxlens.embeddings.simulate.canopy import (
    AXES,
    BANDS,
    CHANNELS,
    LEAVES,
    SUN_DEG,
    TABLE_FILE,
    VIEW_ZENITH_DEG,
    VIEWS,
    CanopyTable,
    LeafType,
)

GOLDEN_FILE = Path(__file__).parents[2] / "tests" / "golden" / "canopy.json"
WAVELENGTH_NM = np.arange(400, 2501)
# Far apart: the difference of their reflectances, by which c is found, stands well above rounding.
SOILS = (0.1, 0.5)
"""Two soil reflectances; with black soil, three points fix a, b and c."""


def responses() -> np.ndarray:
    """(band, wavelength) weights that sum to one: Gaussians at each band's published centre and width."""
    centre = np.array([band.centre_nm for band in BANDS.values()])[:, None]
    fwhm = np.array([band.width_nm for band in BANDS.values()])[:, None]
    weight = np.exp(-4 * np.log(2) * ((WAVELENGTH_NM - centre) / fwhm) ** 2)
    return weight / weight.sum(axis=1, keepdims=True)


def terms(
    leaf: LeafType, lai: float, cab: float, brown: float, water: float, sun_deg: float, azimuth_deg: float
) -> dict[str, np.ndarray]:
    """4SAIL's scattering terms over black soil, by name (Verhoef et al. 2007, table 1); all (wavelength,).

    Parameters
    ----------
    leaf
        Fixed parameters of the leaf type.
    lai
        Leaf area, m2 m-2.
    cab
        Chlorophyll, ug cm-2; carotenoids are a fifth of it.
    brown
        Brown pigment, PROSPECT's arbitrary units.
    water
        Leaf water, g cm-2.
    sun_deg
        Solar zenith angle, degrees.
    azimuth_deg
        Relative azimuth of sun and sensor, degrees.
    """
    import prosail

    names = ["tss", "too", "tsstoo", "rdd", "tdd", "rsd", "tsd", "rdo", "tdo", "rso"]
    scattering = prosail.run_prosail(
        n=leaf.structure,
        cab=cab,
        car=cab / 5,
        cbrown=brown,
        cw=water,
        cm=leaf.dry_matter_g_cm2,
        lai=lai,
        lidfa=leaf.mean_angle_deg,
        # Campbell's ellipsoid, which has the mean angle as its one parameter.
        typelidf=2,
        hspot=leaf.hotspot,
        tts=sun_deg,
        tto=VIEW_ZENITH_DEG,
        psi=azimuth_deg,
        prospect_version="D",
        rsoil0=np.zeros(WAVELENGTH_NM.size),
        factor="ALLALL",
    )
    return dict(zip(names, scattering, strict=False))


def over_soil(t: dict, soil: float) -> np.ndarray:
    """Bidirectional reflectance (wavelength,) of the canopy over a flat soil spectrum.

    Parameters
    ----------
    t
        What ``terms`` returns.
    soil
        Reflectance of the soil, 0-1.
    """
    # Light that bounces between soil and canopy any number of times.
    rebound = soil / (1 - soil * t["rdd"])
    below = (t["tss"] + t["tsd"]) * t["tdo"] + (t["tsd"] + t["tss"] * soil * t["rdd"]) * t["too"]
    return t["rso"] + t["tsstoo"] * soil + below * rebound


def cell(
    leaf: LeafType, lai: float, cab: float, brown: float, water: float, sun_deg: float, azimuth_deg: float
) -> np.ndarray:
    """(channel,) unitless a, b, c for each band, then the fraction of PAR absorbed over black soil.

    Arguments ``leaf``, ``lai`` (m2 m-2), ``cab`` (ug cm-2), ``brown``, ``water`` (g cm-2), ``sun_deg`` and
    ``azimuth_deg`` (degrees) as of ``terms``.
    """
    # Bare soil: reflects s, absorbs nothing.
    if lai == 0:
        zeros = np.zeros(len(BANDS))
        return np.concatenate([zeros, zeros + 1, zeros, [0.0]])
    t = terms(leaf, lai, cab, brown, water, sun_deg, azimuth_deg)
    weight = responses()  # (band, wavelength)
    black = weight @ t["rso"]  # (band,)
    # Reflectances over black and two grey soils solve a + b s / (1 - c s) for a, b and c.
    low, high = ((weight @ over_soil(t, s) - black) / s for s in SOILS)
    # Clipped: a thin canopy leaves a quotient of two near zeros, and 1 - c s must stay positive for any soil and snow.
    c = np.clip((high - low) / (SOILS[1] * high - SOILS[0] * low), 0, 0.9)
    b = high * (1 - c * SOILS[1])
    par = WAVELENGTH_NM <= 700
    # What is neither reflected nor reaches the soil, over black soil and averaged over 400-700 nm.
    absorbed = 1 - (t["rsd"] + t["tsd"])[par].mean() - t["tss"]
    return np.concatenate([black, b, c, [absorbed]])


def table() -> np.ndarray:
    """(leaf, view, sun, brown, water, cab, lai, channel) float64."""
    shape = [len(LEAVES), len(VIEWS), len(SUN_DEG), *(len(nodes) for nodes in AXES.values())]
    out = np.empty([*shape, CHANNELS])
    brown, water, cab, lai = AXES.values()
    for at in np.ndindex(*shape):
        leaf, view = list(LEAVES.values())[at[0]], list(VIEWS.values())[at[1]]
        out[at] = cell(leaf, lai[at[6]], cab[at[5]], brown[at[3]], water[at[4]], SUN_DEG[at[2]], view)
    return out


def golden(rng: np.random.Generator) -> list[dict]:
    """Canopies between the table's nodes, computed without the table."""
    rows = []
    for name, leaf in LEAVES.items():
        for _ in range(4):
            state = {
                "lai": round(rng.uniform(0.3, 6), 3),
                "cab": round(rng.uniform(10, 70), 2),
                "brown": round(rng.uniform(0, 1.2), 3),
                "water": round(rng.uniform(0.006, 0.022), 4),
                "sun_deg": round(rng.uniform(25, 65), 2),
                "soil": round(rng.uniform(0.08, 0.3), 3),
            }
            view = list(VIEWS)[rng.integers(2)]
            t = terms(
                leaf,
                state["lai"],
                state["cab"],
                state["brown"],
                state["water"],
                state["sun_deg"],
                VIEWS[view],
            )
            values = responses() @ over_soil(t, state["soil"])
            rows.append({"leaf": name, "view": view, **state, "reflectance": np.round(values, 5).tolist()})
    return rows


def main() -> None:
    np.savez_compressed(TABLE_FILE, table=CanopyTable.pack(table()))
    GOLDEN_FILE.write_text(json.dumps(golden(np.random.default_rng(7)), indent=1) + "\n")
    print(f"{TABLE_FILE.name}: {TABLE_FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
