"""`python -m engine` is the `holdfast` command."""

import sys

from engine.cli import main

sys.exit(main())
