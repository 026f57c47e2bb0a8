"""iqa score: from the words that are typed to the two files, and how it ends."""

import csv
import shutil

import pytest
from stage_toy import untrained

from entrypoints import score
from iqa import tracking


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(untrained(tmp_path_factory.mktemp("model") / "model"))


@pytest.fixture(autouse=True)
def alone(home, monkeypatch):
    """A store that nobody may need: every model here is a folder, or offline's. What a command sets is taken back."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("IQA_OFFLINE", "false")


def images_of(file):
    with open(file, newline="") as lines:
        return [row["image"] for row in csv.DictReader(lines)]


def test_pictures_and_folders_become_a_csv_and_a_sheet(model, photos, home, capsys):
    (home / "bad.jpg").write_text("no picture")
    words = ["bad.jpg", "--model", model, "-o", "mine.csv", "--sheet=mine.html", str(photos), "--device=cpu"]
    assert score.main(words) == 0
    told = capsys.readouterr()
    assert "skipped: 'bad.jpg' is not a picture that can be read" in told.err
    assert f"30 scored, 1 skipped, by {model}: mine.csv, mine.html" in told.out
    assert "predictions of opinion scores of toys, 0 (worst) to 100 (best)" in told.out
    assert images_of("mine.csv") == [str(photos / name) for name in sorted(file.name for file in photos.glob("*.png"))]
    page = (home / "mine.html").read_text()
    assert page.count("<li title=") == 30 and "bad.jpg" in page and "runs:/0123456789abcdef" in page
    first = [(home / name).read_bytes() for name in ("mine.csv", "mine.html")]
    assert score.main(words) == 0
    assert [(home / name).read_bytes() for name in ("mine.csv", "mine.html")] == first


def test_the_best_model_is_taken_and_named_where_none_is(model, photos, home, capsys, monkeypatch):
    monkeypatch.setattr(tracking, "best_model", lambda: (model, "the champion, version 3 of iqa"))
    assert score.main([str(photos / "0-0.png"), "--sheet=none", "--device=cpu"]) == 0
    assert "1 scored, 0 skipped, by the champion, version 3 of iqa: scores.csv\n" in capsys.readouterr().out
    assert not (home / "sheet.html").exists()


def test_a_finished_run_s_model_is_found_by_its_id(model, photos, home, monkeypatch):
    monkeypatch.setenv("IQA_OFFLINE", "true")
    about = {"name": "a", "params": {}, "tags": {"preset": "demo"}}
    with tracking.open_run("finetune", home / "runs" / "a", **about) as run:
        run.artifact(shutil.copytree(model, run.folder / "model"))
    words = [str(photos / "0-0.png"), "--sheet=none", "--device=cpu", "--offline"]
    assert score.main([*words, f"--model=runs:/{run.run_id}/model"]) == 0
    assert score.main(words) == 0  # the only one there is


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Which pictures? iqa score PATHS…"),
        (["nowhere.jpg"], "There is no picture to score:\n  'nowhere.jpg' cannot be opened"),
        (["x.jpg", "--modle=y"], "'modle' is no parameter: did you mean 'model'?"),
        (["x.jpg", "--model=nowhere"], "nowhere is not there: a checkpoint is a folder"),
        (["x.jpg", "--output=no/such.csv"], "no such file or directory. Give a path that is there"),
        (["x.jpg", "--input_size=big"], "input_size = 'big': a size is native"),
        (["x.jpg", "--device=tpu"], "'tpu' is no device"),
        (["x.jpg", "--model=models:/iqa@champion", "--offline"], "needs the tracking store"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_two(words, sentence, model, capsys):
    own = [] if any(word.startswith("--mod") for word in words) else [f"--model={model}"]
    assert score.main([*words, *own]) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told


def test_mlflow_s_one_word_of_paths_is_read_with_commas_or_spaces(home):
    (home / "a b.jpg").write_text("")
    assert score.apart("a.jpg, b c.jpg,d") == ["a.jpg", "b c.jpg", "d"]
    assert score.apart("a.jpg b.jpg") == ["a.jpg", "b.jpg"]
    assert score.apart("a b.jpg") == ["a b.jpg"] and score.apart("") == []
