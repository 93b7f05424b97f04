"""Units as they are printed on screen; this module imports nothing."""

UNIT_SIGNS = {"gC m-2 d-1": "gC m⁻² d⁻¹", "W m-2": "W m⁻²", "degC": "°C", "1": ""}
"""By CF unit; "1" is a bare number."""
GPP_UNIT = UNIT_SIGNS["gC m-2 d-1"]
