"""``python -m fluxlens.app.cli`` is the command ``fluxlens``."""

import sys

from fluxlens.app.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
