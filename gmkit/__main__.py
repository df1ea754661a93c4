"""``python -m gmkit``: the same as the ``gmkit`` command."""

import sys

from gmkit.cli.main import main

sys.exit(main())
