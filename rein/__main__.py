"""`python -m rein`: the command line, as `torchrun -m rein` wants it."""

from rein.cli import main

main()
