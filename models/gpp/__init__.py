"""GPP networks: the daily head for embedding cubes and the Gaussian process for tables.

``daily_head`` predicts, ``pmodel`` is the theory inside it, ``drivers`` names and scales what stands beside the
embedding, ``gaussian_process`` is the model for tables, ``training`` fits the daily head, ``fast_silu`` is its CPU
activation.
"""
