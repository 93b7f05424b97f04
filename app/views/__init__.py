"""What is on screen, piece by piece; with dashboard.py the only modules that know Panel."""
