"""GPP networks: the daily head of maps, series and tables, and what teaches it.

``daily_head`` predicts, ``pmodel`` is the theory inside it, ``drivers`` names and scales what stands beside the
embedding, ``training`` fits the daily head, ``correction`` fits its correction for land seen at 10 to 30 m with the
Gaussian process of ``gaussian_process``, ``fast_silu`` is its CPU activation.
"""
