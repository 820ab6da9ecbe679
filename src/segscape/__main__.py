"""``python -m segscape`` is the command line (and what ``accelerate launch -m segscape`` starts)."""

import sys

from segscape.cli import main

if __name__ == "__main__":
    sys.exit(main())
