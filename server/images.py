"""Images by digest: what a tag means today, written behind it, so that it cannot come to mean something else."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from server.compose import ROOT

FILES = ("docker-compose.yml", "Dockerfile")
BUILT = "iqa-server:"  # made here, of the Dockerfile
NAMED = re.compile(r"^(?:FROM |\s*image: )([\w./-]+:[\w.-]+)(@sha256:[0-9a-f]{64})?", re.MULTILINE)


def named(text: str) -> list[str]:
    """The images of a compose file or a Dockerfile, by name and tag, but for the one that is built here."""
    return list(dict.fromkeys(name for name, _ in NAMED.findall(text) if not name.startswith(BUILT)))


def pinned(text: str, digests: dict[str, str]) -> str:
    """The text with each image's digest behind its tag, an older one replaced."""
    for name, digest in digests.items():
        text = re.sub(rf"{re.escape(name)}(@sha256:[0-9a-f]{{64}})?", f"{name}@{digest}", text)
    return text


def pin(resolve: Callable[[str], str], folder: Path = ROOT) -> dict[str, str]:
    """Write the digests into both files; image → digest. Nothing is written unless all were resolved."""
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in FILES}
    digests = {image: resolve(image) for text in texts.values() for image in named(text)}
    for name, text in texts.items():
        (folder / name).write_text(pinned(text, digests), encoding="utf-8")
    return digests


def engine(image: str) -> str:
    """The digest that the registry has for a tag, of all platforms. Raises ValueError if nothing can be asked."""
    command = ["docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", image]
    try:
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[0]
        raise ValueError(f"The registry cannot be asked for the digest of {image}: {reason}") from None
    if not re.fullmatch("sha256:[0-9a-f]{64}", said):
        raise ValueError(f"The registry's answer for {image} is no digest: '{said}'.")
    return said
