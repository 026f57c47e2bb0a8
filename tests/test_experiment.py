"""The matrix, the identity of a cell, and how an experiment's command is read."""

import re

import pytest

from iqa import experiment
from iqa.config import ConfigError, load
from iqa.experiment import cells, code, declaration, matrix

FILE = """
title: Toy
preset: smoke
seeds: [0, 1]
arms:
  baseline: {title: ImageNet}
  slow: {title: ImageNet slowly, finetune: {encoder_lr_ratio: 0.02}}
  pretrained: {title: Pretrained, pretrain: {families: blur}}
contrasts:
  - {name: pretraining, treatment: pretrained, baseline: baseline}
"""


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "toy.yaml").write_text(FILE)
    return lambda seeds="", preset="", **overrides: experiment.plan(
        str(tmp_path / "toy.yaml"), preset, seeds, {k.replace("__", "."): v for k, v in overrides.items()}
    )


def test_the_experiments_of_the_project_can_be_read():
    assert [matrix.read(file.stem).name for file in sorted(matrix.FOLDER.glob("*.yaml"))]


def test_an_experiment_takes_its_name_from_its_file_and_its_preset_from_its_text(plan):
    assert (plan().experiment.name, plan().preset) == ("toy", "smoke")


def test_an_arm_overrides_the_preset(plan):
    assert plan().finetuning("slow", 0).optim.encoder_lr_ratio == 0.02
    assert plan().finetuning("baseline", 0).optim.encoder_lr_ratio == 0.1


def test_an_arm_overrides_the_command_line_which_overrides_the_preset(plan):
    settled = plan(encoder_lr_ratio="0.5")
    assert settled.finetuning("slow", 0).optim.encoder_lr_ratio == 0.02
    assert settled.finetuning("baseline", 0).optim.encoder_lr_ratio == 0.5


def test_families_that_an_arms_crops_are_too_small_for_are_told_before_anything_runs(plan, tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(FILE.replace("{families: blur}", "{families: 'jpeg2000,non_eccentricity', degrade.crop: 64}"))
    with pytest.raises(
        ConfigError, match="arm pretrained: jpeg2000 needs crops of at least 80 pixels and non_ecc.* 96"
    ):
        matrix.plan(str(file), "", "", {})


def test_an_arm_without_pretraining_has_none(plan):
    assert plan().pretraining("baseline", 0) is None
    assert plan().pretraining("pretrained", 0).degrade.families == ("blur",)


def test_the_seed_goes_to_every_stage_of_its_pair(plan):
    assert plan().pretraining("pretrained", 1).seed == plan().finetuning("pretrained", 1).seed == 1


def test_fine_tuning_starts_from_the_encoder_that_pretraining_left(plan):
    assert plan().finetuning("pretrained", 0, "runs:/x/encoder").model.weights == "runs:/x/encoder"


def test_a_bare_override_goes_to_every_stage_that_has_it(plan):
    settled = plan(epochs="3", data="folder")
    assert settled.pretraining("pretrained", 0).optim.epochs == settled.finetuning("baseline", 0).optim.epochs == 3
    assert settled.finetuning("baseline", 0).data.name == "folder"


def test_an_override_with_a_stage_goes_to_that_stage(plan):
    settled = plan(pretrain__epochs="3")
    assert settled.pretraining("pretrained", 0).optim.epochs == 3
    assert settled.finetuning("baseline", 0).optim.epochs == 1


def test_an_override_that_no_stage_knows_is_refused_with_the_nearest(plan):
    with pytest.raises(ConfigError, match="'epocs' is no parameter of the experiment: did you mean 'epochs'"):
        plan(epocs="3")


def test_one_seed_for_the_whole_experiment_is_refused(plan):
    with pytest.raises(ConfigError, match="did you mean 'seeds'"):
        plan(seed="3")


@pytest.mark.parametrize(
    ("text", "seeds"), [("0", (0,)), ("0,2,5", (0, 2, 5)), ("0-3", (0, 1, 2, 3)), ("7,0-1", (7, 0, 1))]
)
def test_seeds_are_a_list_or_a_range(plan, text, seeds):
    assert plan(text).experiment.seeds == seeds


@pytest.mark.parametrize("text", ["a", "1,,2", "1,1", "3-1", "-1"])
def test_other_seeds_are_refused(plan, text):
    with pytest.raises(ConfigError, match="seeds = "):
        plan(text)


def test_an_unknown_experiment_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'demo'"):
        matrix.read("demmo")


def test_a_contrast_of_an_unknown_arm_is_refused(tmp_path):
    (tmp_path / "toy.yaml").write_text(FILE.replace("baseline: baseline}", "baseline: basline}"))
    with pytest.raises(ConfigError, match="did you mean 'baseline'"):
        matrix.read(str(tmp_path / "toy.yaml"))


def test_a_file_with_several_faults_names_them_all(tmp_path):
    (tmp_path / "toy.yaml").write_text("title: x\nseeds: []\narms: {a: {titel: y}}\n")
    with pytest.raises(ConfigError) as error:
        matrix.read(str(tmp_path / "toy.yaml"))
    assert all(word in str(error.value) for word in ("preset", "seeds", "titel"))


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("seeds: [0, 1]", "seeds: [0, 1, 0]", "seeds: 0 stands there 2 times: each seed once"),
        (
            "  - {",
            "  - {name: pretraining, treatment: slow, baseline: baseline}\n  - {",
            "2 contrasts are called pretraining",
        ),
        ("baseline: baseline}", "baseline: pretrained}", "contrast pretraining compares pretrained with itself"),
        ("finetune: {", "finetune: {seed: 3, ", "has a seed of its own"),
        ("title: ImageNet slowly", "title: ImageNet", "2 arms or groups have the title ImageNet: give each its own"),
    ],
)
def test_what_stands_twice_or_says_nothing_is_refused(tmp_path, was, becomes, says):
    """A seed given thrice would be three seed pairs of one run each, and a mark."""
    assert was in FILE
    (tmp_path / "toy.yaml").write_text(FILE.replace(was, becomes, 1))
    with pytest.raises(ConfigError, match=re.escape(says)):
        matrix.read(str(tmp_path / "toy.yaml"))


def test_code_that_a_stage_does_not_import_is_no_part_of_its_identity():
    names = {file.name for file in code.modules(code.PACKAGE / "stages" / "finetune.py")}
    assert {"finetune.py", "loop.py", "hyperiqa.py", "batches.py", "randomness.py"} <= names
    assert not names & {"pretrain.py", "running.py", "__main__.py"}
    assert not any(
        "report" in file.relative_to(code.PACKAGE).parts
        for file in code.modules(code.PACKAGE / "stages" / "finetune.py")
    )


def test_docstrings_comments_and_layout_are_no_part_of_codes_identity():
    one = 'def f(x):\n    """Says."""\n    return x + 1\n'
    other = "def f(x):\n\n    # why\n    return (x + 1)\n"
    assert dumped(one) == dumped(other) != dumped(one.replace("+ 1", "+ 2"))


def test_codes_identity_is_found_once_for_the_same_sources_and_anew_for_others(home, tmp_path, monkeypatch):
    package = tmp_path / "iqa"
    (package / "stages").mkdir(parents=True)
    (package / "stages" / "evaluate.py").write_text("x = 1\n")
    monkeypatch.setattr(code, "PACKAGE", package)

    def digest():
        for one in (code.digest, code.sources, code.read):
            one.cache_clear()
        return code.digest("evaluate")

    first = digest()
    monkeypatch.setattr(code, "modules", None)  # nothing is parsed again
    assert digest() == first
    monkeypatch.undo()
    monkeypatch.setattr(code, "PACKAGE", package)
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    (package / "stages" / "evaluate.py").write_text("x = 2\n")
    second = digest()
    (package / "stages" / "evaluate.py").write_text("x = 2  # why\n")
    assert second != first and digest() == second
    for kept in (tmp_path / "cache" / "code").iterdir():
        kept.write_text("torn")
    assert digest() == second
    monkeypatch.undo()
    for one in (code.digest, code.sources, code.read):
        one.cache_clear()


def dumped(text: str) -> str:
    import ast

    return ast.dump(code.stripped(ast.parse(text)))


def test_the_repeat_command_says_what_differs_from_the_preset():
    settings = load("finetune", {"epochs": "3", "data": "my photos"}, "smoke")
    cell = cells.Cell("finetune", settings, "0" * 64, {"preset": "smoke"})
    assert cells.repeat(cell) == "iqa finetune --preset=smoke '--data.name=my photos' --optim.epochs=3"


def test_a_missing_weights_file_is_refused():
    with pytest.raises(ValueError, match="There are no weights at nowhere.pth"):
        cells.weights_identity("nowhere.pth")


@pytest.mark.parametrize(
    "given",
    [{"lr": "1", "optim.lr": "2"}, {"optim.lr": "2", "lr": "1"}, {"pretrain.lr": "1", "pretrain.optim.lr": "2"}],
)
def test_both_spellings_of_a_field_at_once_are_refused_in_an_experiment_too(given):
    with pytest.raises(ConfigError, match="'optim.lr' of pretrain is given twice"):
        matrix.by_stage(given)


def test_what_is_said_of_one_stage_stands_above_what_is_said_of_all():
    for given in ({"pretrain.epochs": "2", "epochs": "3"}, {"epochs": "3", "pretrain.optim.epochs": "2"}):
        found = matrix.by_stage(given)
        assert (found["pretrain"]["optim.epochs"], found["finetune"]["optim.epochs"]) == ("2", "3")


@pytest.mark.parametrize("text", ["0-99999999999", "12345678901234567890"])
def test_more_seeds_than_anybody_can_list_are_refused(text):
    with pytest.raises(ConfigError, match="the largest is 9999"):
        matrix.read_seeds(text)


def test_a_preset_without_an_experiment_of_its_own_asks_for_one_by_name():
    with pytest.raises(ConfigError, match="The preset laptop has no experiment of its own: name one, experiment="):
        matrix.plan("", "laptop", "", {})
    assert matrix.plan("demo", "laptop", "", {}).preset == "laptop"


@pytest.mark.parametrize("name", ["it's", "a (2)", "a/b", "x" * 101])
def test_a_name_that_folders_and_mlflow_s_tags_cannot_bear_is_refused(name):
    told = matrix.read("demo").model_copy(update={"name": name})
    assert declaration.faults_of(told)[0].startswith(f"name: '{name}': up to 100 letters")
    arms = told.arms | {name: told.arms["baseline"].model_copy(update={"title": "Another"})}
    told = told.model_copy(update={"name": "x", "arms": arms})
    assert declaration.faults_of(told) == [f"arm: {declaration.misnamed(name)}"]


def test_a_mistyped_preset_is_no_experiment():
    with pytest.raises(ConfigError, match="'smok' is no preset: did you mean 'smoke'"):
        matrix.plan("", "smok", "", {})
