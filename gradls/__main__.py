"""`python -m gradls` is the command `gradls`."""

import sys

from gradls.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
