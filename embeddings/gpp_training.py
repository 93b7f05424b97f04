"""Training of the GPP heads, and the card that says which rows and scenes taught them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from embeddings import gpp_table
from embeddings.gpp_table import Head


def table(path: str | Path, out: str | Path | None = None, **fit) -> Generator[tuple[str, float], None, str]:
    """Teaches the head for tables from measured rows; yields progress, returns the digest."""
    from models import heads

    rows = gpp_table.read(path, need_gpp=True)
    yield f"learning from {len(rows)} rows", 0.0
    head = Head.fit(rows, **fit)
    digest = gpp_table.save(head, out or heads.WEIGHTS / gpp_table.WEIGHTS, card(rows, Path(path).name))
    yield "done", 1.0
    return digest


def card(rows, name: str) -> dict:
    """What taught the head for tables."""
    return {
        "what": "GPP (night-time partitioning, gC m-2 d-1) from one surface reflectance spectrum of six bands, daily"
        " weather and the other spectra of the same site; 90 % band for new sites",
        "taught_by": name,
        "rows": int(rows["gpp"].notna().sum()),
        "sites": sorted(rows["site"].unique().tolist()),
        "years": [int(rows["date"].dt.year.min()), int(rows["date"].dt.year.max())],
        "source": "ibm-nasa-geospatial/hls_merra2_gppFlux: HLS v2 surface reflectance (NASA), MERRA-2 (NASA GMAO),"
        " GPP of AmeriFlux, ICOS and FLUXNET towers",
        "licence": "CC BY 4.0; the file holds features of those rows and their GPP, which a Gaussian process keeps",
        "never_used": "LHLAND and SHLAND (a land model's outputs), PFT and climate class, any GPP of the predicted site",
    }
