"""The screen: `from fluxlens import Explorer` gives the dashboard's own object for a notebook."""


def __getattr__(name: str):
    # Late: `fluxlens --help` and the command line's other verbs must not load Panel.
    if name == "Explorer":
        from fluxlens.app.session.explorer import Explorer

        return Explorer
    raise AttributeError(f"module 'app' has no attribute {name!r}")
