"""How the commands read their parameters and how they end."""

import argparse
import errno
import subprocess
import sys
from importlib import import_module

import pytest

from benchmarks import toys
from entrypoints import command, compare, evaluate, report
from iqa import config
from iqa.datasets import published


def test_overrides_are_read_in_both_spellings():
    assert command.overrides(["--a.b", "1", "--c=2", "--d="]) == {"a.b": "1", "c": "2", "d": ""}


def test_a_value_that_looks_like_an_option_stays_a_value():
    assert command.overrides(["--name=--lr=9"]) == {"name": "--lr=9"}


@pytest.mark.parametrize("words", [["word"], ["--a"], ["--a", "--b", "1"], ["--a=1", "--a=2"], ["--=1"]])
def test_anything_else_is_refused(words):
    with pytest.raises(ValueError, match="write --|given twice|belongs to no parameter"):
        command.overrides(words)


def test_a_mended_error_ends_with_two_and_one_sentence(capsys):
    def fail():
        raise ValueError("A sentence.")

    assert command.ended(fail) == 2
    assert capsys.readouterr().err == "error: A sentence.\n"


def test_the_module_form_works_from_the_projects_root():
    done = subprocess.run([sys.executable, "-m", "iqa", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "finetune" in done.stdout


def test_an_unknown_command_ends_with_two():
    done = subprocess.run([sys.executable, "-m", "iqa", "fintune"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "'fintune' is no command" in done.stderr


def test_a_full_disk_is_one_line_with_the_path_and_what_is_free(tmp_path, capsys):
    def fail():
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "file"))

    assert command.ended(fail) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path / 'file'} cannot be written (No space left on device; ")
    assert "bytes are free there" in said and said.count("\n") == 1


@pytest.mark.parametrize(("text", "on"), [("", False), ("False", False), ("no", False), ("true", True), ("Yes", True)])
def test_a_switch_is_true_or_false_or_yes_or_no(text, on):
    assert command.switch("check", text) is on


def test_a_switch_that_is_neither_is_refused_by_its_name():
    with pytest.raises(ValueError, match="check is true or false, not 'maybe'"):
        command.switch("check", "maybe")


LIGHT = ["main", "report", "ablate", "plan", "finetune", "data", "study", "sync", "clean", "doctor", "score"]


@pytest.mark.parametrize("name", LIGHT)
def test_the_help_of_a_command_brings_in_nothing_heavy(name):
    code = (
        f"import sys; from entrypoints.{name} import main\n"
        "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'mlflow', 'pandas'} & set(sys.modules), set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


def test_a_store_that_is_no_store_is_one_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "mlflow.db").write_text("garbage" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    assert evaluate.main(["--preset=smoke"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: The tracking store at sqlite:///") and "move a damaged file" in said


def test_an_error_of_the_system_names_its_path_and_a_remedy():
    error = FileNotFoundError(2, "No such file or directory", "/nowhere/x.zip")
    assert (
        command.sentence(error)
        == "/nowhere/x.zip: no such file or directory. Give a path that is there and that you may use."
    )


def test_what_was_given_can_be_typed_again():
    given = argparse.Namespace(preset="smoke", seeds="", check="true", rest={"data": "x"})
    assert command.words(given, "check") == ["--preset=smoke", "--data=x"]


def test_a_command_is_recorded_without_the_parameters_that_nobody_gave():
    passed = [
        "--preset=default",
        "--seeds=0",
        "--data",
        "default",
        "--optim.clip",
        "1",
        "--name=a=default",
        "--accept-code",
    ]
    assert command.said("main", passed) == "iqa main --seeds=0 --optim.clip 1 --name=a=default --accept-code"
    given = argparse.Namespace(preset="smoke", rest={"data": "default", "targets": "x"})
    assert command.words(given) == ["--preset=smoke", "--targets=x"]


@pytest.mark.parametrize("word", ["", " ", "mine.csv,", ",mine.csv", "a.csv,,b.csv"])
def test_a_side_of_a_comparison_that_names_nothing_is_refused(home, capsys, word):
    assert compare.main(["theirs.csv", word]) == 2
    assert f"'{word}' names nothing where a file or a run should stand" in capsys.readouterr().err


MISSPELT = [
    ("report", "--bundel=x", "'bundel' is no parameter of the experiment: did you mean 'bundle'?"),
    ("report", "--chek=true", "did you mean 'check'?"),
    ("main", "--forse=all", "did you mean 'force'?"),
    ("main", "--epocs=1", "did you mean 'epochs'?"),
    ("main", "--sead=1", "did you mean 'seeds'?"),
    ("plan", "--comands=true", "did you mean 'commands'?"),
    ("finetune", "--presset=smoke", "'presset' is no parameter of finetune: did you mean 'preset'?"),
    ("finetune", "--optim.patiense=1", "did you mean 'optim.patience'?"),
    ("compare", "--treatmnet=a.csv", "'treatmnet' is no parameter: did you mean 'treatment'?"),
    ("study", "--trails=3", "'trails' is no parameter of the study: did you mean 'trials'?"),
]


@pytest.mark.parametrize(("name", "word", "says"), MISSPELT)
def test_a_misspelt_parameter_is_refused_with_the_nearest_of_the_stage_s_and_the_command_s(
    home, capsys, name, word, says
):
    assert import_module(f"entrypoints.{name}").main([word]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", ["main", "finetune", "evaluate"])
def test_where_no_name_is_near_the_known_ones_are_listed_once_each(home, capsys, name):
    assert import_module(f"entrypoints.{name}").main(["--xyzzy=1"]) == 2
    told = capsys.readouterr().err.partition("known are ")[2].strip().rstrip(".").split(", ")
    assert len(told) == len(set(told)) > 10 and {"preset", "device"} <= set(told)


def helped(capsys, name, *words):
    """What a command's help says."""
    with pytest.raises(SystemExit):
        import_module(f"entrypoints.{name}").main([*words, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["finetune", "plan", "study"])
def test_the_help_says_each_flag_once(capsys, name):
    said = helped(capsys, name)
    assert said.count("--preset PRESET") == 2 and "--preset PRESET, --preset" not in said  # the usage and its line


@pytest.mark.parametrize("preset", ["", "paper"])
@pytest.mark.parametrize("name", ["pretrain", "finetune", "evaluate", "main"])
def test_the_help_ends_with_the_short_names_what_they_mean_and_the_preset_s_values(capsys, name, preset):
    told = helped(capsys, name, *([f"--preset={preset}"] if preset else [])).partition("parameters:")[2]
    for stage in config.FLAT if name == "main" else [name]:
        default = config.flatten(config.load(stage, {}, preset or "demo"))
        for short, full in config.FLAT[stage].items():
            assert [f"--{short}", full, "nothing" if default[full] == "" else str(default[full])] in [
                line.split(maxsplit=2) for line in told.splitlines()
            ]
    assert "every field has a dotted name: --" in told


def test_the_list_of_data_sets_goes_on_where_one_cannot_be_read(home, capsys, monkeypatch):
    found = published.located

    def located(one, root):
        if one.name == "koniq":
            raise PermissionError(13, "Permission denied", "/data/koniq")
        return found(one, root)

    monkeypatch.setattr(published, "located", located)
    assert import_module("entrypoints.data").main(["list"]) == 0
    said = capsys.readouterr().out
    assert "/data/koniq: permission denied. Give a path" in said and "CLIVE" in said


def test_a_report_without_a_number_is_not_said_to_follow_from_its_runs(home, photos, capsys):
    (home / "toy.yaml").write_text(toys.EXPERIMENT)
    words = ["--experiment=toy.yaml", f"--data={photos}", f"--targets={photos}"]
    assert report.main(words) == 0
    assert report.main([*words, "--check"]) == 0
    assert "the report of toy: 0 numbers, 5 cells without a finished run\n" in capsys.readouterr().out
