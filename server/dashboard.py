"""optuna-dashboard on a database that may be new: it makes no tables itself, and ends where there are none.

It runs inside the image, with optuna-dashboard's own words, of which the last is the database's address.
"""

import os
import sys

from optuna.storages import RDBStorage


def main() -> None:
    """Make the tables where there are none, then be optuna-dashboard."""
    RDBStorage(sys.argv[-1]).engine.dispose()
    os.execvp("optuna-dashboard", ["optuna-dashboard", *sys.argv[1:]])


if __name__ == "__main__":
    main()
