"""``python -m archloom`` is the `archloom` command."""

import sys

from archloom.cli import main

sys.exit(main())
