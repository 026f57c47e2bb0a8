"""Files that would do something if they were trusted."""

import os
from pathlib import Path


class Canary:
    """Unpickled, it would make a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)
