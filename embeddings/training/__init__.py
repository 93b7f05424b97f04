"""What is learnt: samples, curricula and training runs of encoders, fusion and GPP heads."""
