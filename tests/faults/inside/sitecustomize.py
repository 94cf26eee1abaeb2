"""Python runs this at the start of every process that has this folder on its path: the campaign's, and no other's."""

import os

if "REIN_FAULTS" in os.environ:
    import observer

    observer.install()
