"""One session: the explorer that wires state, data and views, its permalink, and what Panel needs."""
