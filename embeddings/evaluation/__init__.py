"""How good it is: scores of reconstruction, land state, coherence, probes, simulator realism and GPP."""
