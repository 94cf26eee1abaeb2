"""The command line: names and overrides in, results on stdout, progress and logs on stderr.

Exit status: 0 done, 1 a run failed, 2 a usage or config error, 130 interrupted (the same command goes on).
"""

from rein.cli.commands import app
from rein.cli.entry import main

__all__ = ["app", "main"]
