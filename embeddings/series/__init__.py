"""Series tables: single pixels, plots or sites, embedded and reconstructed without neighbours."""
