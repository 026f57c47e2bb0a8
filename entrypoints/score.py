"""iqa score PATHS… [--model=WHERE] [-o scores.csv] [--sheet=sheet.html]: pictures → scores, and a contact sheet.

iqa score holiday/ portrait.jpg                        the best model there is: the champion, else the best run here
iqa score holiday/ --model=runs:/ID/model -o mine.csv  a run's; models:/iqa@champion, models:/iqa/3, a folder
"""

import os
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import command

FLAGS = {
    "paths": "the same in one word: a.jpg,folder (commas or spaces between)",
    "model": "runs:/ID/model, models:/NAME@ALIAS, models:/NAME/VERSION or a model's folder; the best there is",
    "output": "the csv, written anew; scores.csv",
    "sheet": "the contact sheet, written anew, or none; sheet.html",
    "input_size": "native, the short side in pixels (512), or width x height (512x384); as the model was trained",
    "device": "auto, cuda, mps or cpu",
    "offline": command.OFFLINE,
}
WORDS = ("PATHS", "images, and folders with images in any depth")


def main(argv: list[str] | None = None) -> int:
    """Score what can be read, name what is skipped; 2 if nothing is left. The same command gives the same files."""

    def work() -> None:
        given, rest = command.parse(__doc__, sys.argv[1:] if argv is None else argv, words=WORDS, **FLAGS)
        command.refuse_others(rest, FLAGS)
        command.go_offline(given.offline)
        paths = [*given.words, *apart(given.paths)]
        if not paths:
            raise ValueError("Which pictures? iqa score PATHS…: images, or folders with images.")
        scored(paths, given)

    return command.ended(work)


def scored(paths: list[str], given: Any) -> None:
    """The model, the pictures, the two files; then what a person should know about them."""
    from iqa import album, machine, tracking
    from iqa.report import contact
    from iqa.scorer import Scorer

    output, sheet = Path(given.output or "scores.csv"), given.sheet or "sheet.html"
    pictures = album.named(paths)
    where, said = (given.model, given.model) if given.model else tracking.best_model()
    machine.threads()
    scorer = Scorer(tracking.resolve(where), given.device or "auto", given.input_size)
    run = f"runs:/{scorer.run}/model"
    with ExitStack() as files, machine.enough_memory("Give --device=cpu, or free memory."):
        out = files.enter_context(album.output(output))
        page = files.enter_context(album.output(Path(sheet))) if sheet != "none" else None
        album.write(pictures, scorer, run, out, thumbnails=page is not None)
        if page is not None:
            about = {"model": said if said == run else f"{said} ({run})", **scorer.told()}
            shown = (pictures.shown, pictures.left_out, pictures.skipped, tuple(about.items()), scorer.scale.span)
            page.write(contact.render(*shown))
    for reason in pictures.skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    files_made = f"{output}, {sheet}" if page else str(output)
    print(f"{pictures.count} scored, {len(pictures.skipped)} skipped, by {said}: {files_made}")
    print(scorer.told()["scores"], *filter(None, [album.unlike_training(pictures, scorer)]), sep="\n")


def apart(text: str) -> list[str]:
    """Paths in one word: between commas; without any, a path that is there, or several between spaces."""
    if "," in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    return [text] if os.path.exists(text) else re.findall(r"\S+", text)


if __name__ == "__main__":
    raise SystemExit(main())
