"""Configs: the seed's numbers, presets, overrides, and refusals in sentences."""

import pytest

from iqa import config
from iqa.config import reading


def refusal(stage: str, preset: str = "demo", **overrides: str) -> str:
    with pytest.raises(config.ConfigError) as error:
        config.load(stage, {name.replace("__", "."): value for name, value in overrides.items()}, preset)
    return str(error.value)


def test_the_defaults_are_the_seeds_numbers():
    stage1, stage2 = config.load("pretrain", {}, "paper"), config.load("finetune", {}, "paper")
    assert (stage1.optim.lr, stage1.optim.batch_size, stage1.optim.epochs, stage1.degrade.levels) == (5e-5, 8, 10, 5)
    assert stage1.degrade.families == ("blur", "jpeg", "noise", "brightness")
    assert (stage2.optim.head_lr, stage2.optim.batch_size) == (5e-5, 96)
    assert (stage2.optim.epochs, stage2.optim.patience) == (50, 10)
    assert (stage2.model.drop_path, stage2.model.dropout, stage2.optim.weight_decay) == (0.2, 0.3, 2e-4)


@pytest.mark.parametrize("preset", sorted(file.stem for file in reading.PRESETS.glob("*.yaml")))
@pytest.mark.parametrize("stage", list(config.STAGES))
def test_every_preset_makes_every_stage(preset, stage):
    assert config.load(stage, {}, preset)


def test_a_flat_name_and_its_dotted_name_mean_the_same():
    assert config.load("finetune", {"epochs": "3"}) == config.load("finetune", {"optim.epochs": "3"})


def test_a_parameter_that_nobody_gave_is_the_presets():
    assert config.load("finetune", {"epochs": config.UNSET}) == config.load("finetune", {})


def test_text_becomes_what_the_field_is():
    settings = config.load("pretrain", {"families": "blur, jpeg", "lr": "1e-4", "levels": "3"})
    assert (settings.degrade.families, settings.optim.lr, settings.degrade.levels) == (("blur", "jpeg"), 1e-4, 3)


def test_an_unknown_parameter_is_refused_with_the_nearest():
    assert "'epocs' is no parameter of finetune: did you mean 'epochs'?" in refusal("finetune", epocs="3")


def test_everything_wrong_is_reported_at_once():
    sentences = refusal("finetune", epochs="many", head_lr="-1", model__dropout="1")
    assert all(name in sentences for name in ("optim.epochs", "optim.head_lr", "model.dropout"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", "0"), ("epochs", "1.5"), ("batch_size", ""), ("head_lr", "nan"), ("head_lr", "inf"), ("seed", "-1"),
     ("device", "tpu"), ("model.attention", "perhaps"), ("crops.size", "0"), ("data.on_bad", "ignore")],
)  # fmt: skip
def test_an_ill_typed_value_is_refused_by_name(name, value):
    sentence = refusal("finetune", **{name.replace(".", "__"): value})
    assert config.FLAT["finetune"].get(name, name) in sentence and repr(value) in sentence


def test_both_spellings_at_once_are_refused():
    assert "given twice" in refusal("finetune", epochs="1", optim__epochs="2")


def test_an_unknown_preset_is_refused_with_the_nearest():
    assert "did you mean 'demo'?" in refusal("finetune", preset="demos")


def test_a_preset_may_be_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("finetune: {head_lr: 0.002}\n")
    assert config.load("finetune", {}, str(file)).optim.head_lr == 0.002


def test_a_preset_with_an_unknown_field_is_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("finetune: {headlr: 0.002}\n")
    assert "did you mean 'head_lr'?" in refusal("finetune", preset=str(file))


def test_a_config_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        config.load("finetune", {}).seed = 3


def test_the_fingerprint_changes_with_what_changes_the_result():
    one = config.load("finetune", {})
    assert config.fingerprint(one, {}) != config.fingerprint(config.load("finetune", {"seed": "1"}), {})
    assert config.fingerprint(one, {"data.name": "a"}) != config.fingerprint(one, {"data.name": "b"})


def test_the_fingerprint_ignores_where_data_lie_and_how_often_a_checkpoint_is_written():
    moved = config.load("finetune", {"data_root": "/elsewhere", "compute.checkpoint_minutes": "1"})
    assert config.fingerprint(moved, {}) == config.fingerprint(config.load("finetune", {}), {})


def test_flattened_params_build_the_same_config_again():
    settings = config.load("pretrain", {"families": "blur"})
    assert config.build("pretrain", config.flatten(settings)) == settings


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"finetune: {epochs: 1}\nfinetune: {head_lr: 0.1}\n", "line 2: 'finetune' is given twice"),
        (b"finetune: {epochs: 1, epochs: 2}\n", "line 1: 'epochs' is given twice"),
        (b"finetune: [epochs\n", "Mend the YAML there"),
        (b"finetune:\n\tepochs: 1\n", "line 2: found character"),
        (b"finetune: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        ("finetune: {data: ä}".encode("latin-1"), "is no YAML in UTF-8"),
        (b"- epochs\n", "holds no names with values"),
        (b"finetune: [epochs]\n", "each with names and values, not finetune"),
    ],
)
def test_a_yaml_file_that_cannot_be_read_is_a_sentence(tmp_path, content, says):
    (tmp_path / "own.yaml").write_bytes(content)
    assert says in refusal("finetune", preset=str(tmp_path / "own.yaml"))


def test_an_empty_yaml_file_names_nothing(tmp_path):
    (tmp_path / "own.yaml").write_text("# the defaults\n")
    assert config.load("finetune", {}, str(tmp_path / "own.yaml")) == config.FinetuneConfig()
