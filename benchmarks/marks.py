"""The part of a page that a command writes: what stands between two marks."""

from pathlib import Path


def replace(file: Path, begin: str, end: str, text: str) -> None:
    """Put the text, which has both marks, in the place of what stands between them."""
    before, _, rest = file.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    file.write_text(before + text + after, encoding="utf-8")
