"""Scored pictures → a contact sheet: one HTML file that needs nothing else, the best first, readable on a phone."""

from collections.abc import Sequence
from typing import Protocol

from iqa.report.html import environment, picture


class Shown(Protocol):
    """What the sheet has to know of a picture: name, score from 0 to 1, the same as an opinion, a JPEG."""

    @property
    def name(self) -> str: ...

    @property
    def score(self) -> float: ...

    @property
    def opinion(self) -> float: ...

    @property
    def thumbnail(self) -> bytes: ...


def render(
    pictures: Sequence[Shown], left_out: int, skipped: Sequence[str], about: Sequence[tuple[str, str]], span: float
) -> str:
    """The page. left_out: how many lie between the two halves; about: (what, said) of model and scale;

    span: from the worst to the best opinion, which decides the digits that are shown.
    """
    digits = 1 if span >= 50 else 2 if span >= 3 else 3
    templates = environment(
        jpeg=lambda one: picture(one.thumbnail, "jpeg"),
        opinion=lambda one: f"{one.opinion:.{digits}f}",
        percent=lambda one: f"{100 * min(1.0, max(0.0, one.score)):.0f}",
        short=lambda one: one.name.replace("\\", "/").rpartition("/")[2],
    )
    total = len(pictures) + left_out
    half = len(pictures) // 2 if left_out else len(pictures)
    told = {"groups": [pictures[:half], pictures[half:]], "left_out": left_out, "total": total}
    return templates.get_template("contact.html").render(**told, skipped=skipped, about=about)
