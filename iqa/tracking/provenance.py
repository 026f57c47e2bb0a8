"""Which code and which packages made a run."""

import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
LONGEST_DIFF = 5_000_000  # bytes: more than that is data, not code


@cache
def commit_tags() -> dict[str, str]:
    """git.commit and git.dirty of the repository that this code lies in; {} where there is none, or no git."""
    commit = _git("rev-parse", "HEAD")
    if not commit or not _git("ls-files", "--", str(PACKAGE / "__init__.py")):  # somebody else's repository
        return {}
    dirty = bool(_git("status", "--porcelain", "--untracked-files=normal"))
    return {"git.commit": commit.strip(), "git.dirty": str(dirty).lower()}


def diff() -> str:
    """What differs from the commit: the names of untracked files, then the diff; "" where nothing does."""
    if commit_tags().get("git.dirty") != "true":
        return ""
    untracked = _git("ls-files", "--others", "--exclude-standard", "--full-name", ":/").splitlines()
    lines = [f"# untracked: {name}\n" for name in untracked]
    return "".join(lines) + _git("diff", "HEAD", "--no-color", "--no-ext-diff")[:LONGEST_DIFF]


@cache
def environment() -> str:
    """Interpreter, platform and every installed package with its version, one a line."""
    packages = {f"{one.name}=={one.version}" for one in distributions()}
    head = [f"# python {platform.python_version()} ({sys.implementation.name})", f"# {platform.platform()}"]
    return "\n".join([*head, *sorted(packages, key=str.lower)]) + "\n"


def _git(*arguments: str) -> str:
    """What git says about our repository; "" if it cannot."""
    command = ["git", "-C", str(PACKAGE), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
