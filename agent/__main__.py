"""`python -m agent` is the command `yunjian`."""

import sys

from agent.cli import main

sys.exit(main())
