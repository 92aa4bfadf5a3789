"""doit with the engine's commands, in any project, started as doitw starts it: without what a start does not need."""

import sys

from stages import main
from tests.graph.run_doit import CONFIG

sys.exit(main.main(CONFIG["COMMAND"]))
