"""Which pictures lie in a folder, and which of them a name means; nothing outside the folder is ever reached."""

import os
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePosixPath

from iqa import images


class Tree:
    """The image files under a root by their posix path relative to it; hidden ones and links that lead out are left."""

    def __init__(self, root: Path):
        self.root = root
        self.inside = os.path.realpath(root)
        found = self._walk(self.inside, "")
        self.files = sorted(path for path in found if is_utf8(path))  # tables and trackers hold nothing else
        self.unnameable = len(found) - len(self.files)
        self.loosely_matched = 0
        self._exact = set(self.files)
        self._named: dict[str, list[str]] = defaultdict(list)
        self._loose: dict[str, set[str]] = defaultdict(set)
        for path in self.files:
            pure = PurePosixPath(path)
            self._named[pure.name].append(path)
            for key in (path, pure.name, pure.stem):
                self._loose[_folded(key)].add(path)

    def find(self, name: str) -> tuple[str, str]:
        """(path, "") of the picture that a csv's name means, or ("", what is wrong).

        The exact path first, then the exact file name in any subfolder, then either regardless of letter case,
        Unicode form and a missing suffix; two candidates are a fault.
        """
        pure = PurePosixPath(name)
        if str(pure) in self._exact:
            return str(pure), ""
        if leads_out(name):
            return "", _outside(name)
        found = sorted(self._named.get(name, [])) or sorted(self._loose.get(_folded(str(pure)), set()))
        if len(found) == 1:
            self.loosely_matched += 1
            return found[0], ""
        if found:
            return "", f"{name!r} may be {found[0]!r} or {found[1]!r}: give the whole path"
        return "", f"{name!r} {self._why_not(pure)}"

    def _why_not(self, pure: PurePosixPath) -> str:
        path = os.path.join(self.inside, pure)
        if os.path.lexists(path):
            fault = no_file(self.inside, str(pure))
            if fault:
                return f"{fault}: put an image file there"
            return f"has none of the suffixes {', '.join(sorted(images.SUFFIXES))}: rename it"
        return f"is not in {str(self.root)!r}: add the image, or remove the line"

    def _walk(self, folder: str, prefix: str) -> list[str]:
        """Image files below `folder`; linked folders are not entered, so a loop of links ends."""
        found = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found += self._walk(entry.path, f"{prefix}{entry.name}/")
                elif self._is_picture(entry):
                    found.append(prefix + entry.name)
        return found

    def _is_picture(self, entry: os.DirEntry) -> bool:
        if os.path.splitext(entry.name)[1].lower() not in images.SUFFIXES:
            return False
        if entry.is_symlink():
            return within(self.inside, entry.path) and os.path.isfile(entry.path)
        return entry.is_file()


class Unseen:
    """Stands for a tree that nobody looks at: every name that stays inside is there."""

    def __init__(self, root: Path):
        self.root, self.inside = root, os.path.realpath(root)
        self.files: list[str] = []
        self.unnameable = self.loosely_matched = 0

    def find(self, name: str) -> tuple[str, str]:
        """(path, "") of a name that stays inside, ("", what is wrong) of another."""
        return ("", _outside(name)) if leads_out(name) else (str(PurePosixPath(name)), "")


def no_file(inside: str, name: str) -> str:
    """Why a name that is there is no file inside the folder; "" if it is one."""
    path = os.path.join(inside, name)
    if not within(inside, path):
        return "is a link that leads out of the folder"
    if os.path.isfile(path):
        return ""
    return "is a link to nothing" if os.path.islink(path) and not os.path.exists(path) else "is not a file"


def is_utf8(name: str) -> bool:
    """Whether a file's name is text: the bytes of another encoding reach Python as halves of a pair."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def leads_out(name: str) -> bool:
    """Whether a csv's name may mean something outside the folder."""
    return "\0" in name or PurePosixPath(name).is_absolute() or ".." in name.replace("\\", "/").split("/")


def within(inside: str, path: str) -> bool:
    """Whether a path, once its links are followed, lies in the folder `inside`, which holds none."""
    return os.path.commonpath([inside, os.path.realpath(path)]) == inside


def _outside(name: str) -> str:
    return f"{name!r} leads out of the folder: give a path inside it"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
