"""What `make backup`, `restore`, `pin-images` and `secrets` do.

python -m server backup FOLDER     two dumps and a tar file, into a folder that is new
python -m server restore FOLDER    and back, into a server that is up
python -m server pin-images        a digest behind each image's tag
python -m server secrets           .env from .env.example, with random secrets
"""

import argparse
import secrets as random_secrets
import shutil
import subprocess
import sys
from pathlib import Path

from server import backup, images
from server.compose import ROOT

BAD_INPUT = 2
WRITERS = ("mlflow", "dashboard")  # do not run while a database is put back


def main(argv: list[str] | None = None) -> int:
    """Exit code 2 and a sentence where it cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("backup", "restore", "pin-images", "secrets"))
    parser.add_argument("folder", nargs="?", type=Path)
    given = parser.parse_args(argv)
    if (given.folder is None) == (given.action in ("backup", "restore")):
        parser.error(f"{given.action} takes {'a folder' if given.folder is None else 'no folder'}")
    try:
        if given.action != "secrets" and not engine_there():
            raise ValueError("There is no docker with compose here: install it (docs/team-server.md).")
        for line in ACTIONS[given.action](given.folder):
            print(line)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except subprocess.CalledProcessError as error:
        print(f"error: `{' '.join(map(str, error.cmd))}` ended with {error.returncode}.", file=sys.stderr)
        return BAD_INPUT
    return 0


def engine_there() -> bool:
    """Whether docker compose can be called."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


def _backup(folder: Path) -> list[str]:
    return [f"{file} {file.stat().st_size:,} bytes" for file in backup.backup(folder, backup.engine)]


def _restore(folder: Path) -> list[str]:
    backup.check(folder)
    _compose("stop", *WRITERS)
    try:
        backup.restore(folder, backup.engine)
    finally:
        _compose("start", *WRITERS)
    _compose("up", "--detach", "--no-recreate", "--wait", *WRITERS)  # nobody is told so before they are well
    return [f"{folder} is put back; passwords of MLflow's users are those of the backup"]


def _compose(*words: str) -> None:
    subprocess.run(["docker", "compose", *words], check=True, cwd=ROOT)


def _pin(folder: Path) -> list[str]:
    return [f"{image}@{digest}" for image, digest in images.pin(images.engine).items()]


def _secrets(folder: Path) -> list[str]:
    return [f"{written(ROOT / '.env.example', ROOT / '.env')} is written: keep a copy of it with the backups"]


def written(example: Path, target: Path) -> Path:
    """The example with 64 random hexadecimal digits for each empty value. Raises FileExistsError."""
    lines = example.read_text(encoding="utf-8").splitlines()
    empty = [line[:1].isalpha() and line.endswith("=") for line in lines]
    told = [line + random_secrets.token_hex(32) * missing for line, missing in zip(lines, empty, strict=True)]
    with target.open("x", encoding="utf-8") as out:
        target.chmod(0o600)
        out.write("\n".join(told) + "\n")
    return target


ACTIONS = {"backup": _backup, "restore": _restore, "pin-images": _pin, "secrets": _secrets}


if __name__ == "__main__":
    raise SystemExit(main())
