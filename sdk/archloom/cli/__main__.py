"""``python -m archloom.cli``: the `archloom` command of this interpreter's installation."""

import sys

from archloom.cli import main

sys.exit(main())
