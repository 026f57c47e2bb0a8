"""Everything that the method offers, through its entry points with the preset `smoke`: losses, controls, families."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from entrypoints import finetune, main, pretrain
from iqa import degradations, images, tracking
from iqa.randomness import generator

ROOT = Path(__file__).parent.parent
SMALL = ["--preset=smoke", "--compute.threads=1", "--device=cpu", "--batch_size=6"]
PRETRAIN = [*SMALL, "--degrade.crop=32", "--families=blur,brightness", "--degrade.heldout=1"]
FINETUNE = [*SMALL, "--crops.size=32"]
LOSSES = {
    "simplified": [],
    "full": ["--loss=full", "--loss.text_model={clip}", "--loss.m_rank=0.05"],
    "full with several prompts": [
        "--loss=full",
        "--loss.text_model={clip}",
        "--loss.m_rank=0.05",
        "--loss.prompts=Good photo|Bad photo,Sharp photo|Blurry photo",
    ],
    "random prototypes": ["--loss=full", "--loss.prototypes=random", "--loss.cosine=0.5"],
    "shuffled levels": ["--loss.shuffle_levels=true"],
    "compositions": ["--degrade.compose=2"],
    "small memory": ["--compute.precision=bfloat16", "--compute.recompute=true", "--micro_batch=2", "--optim.clip=1"],
}
ENCODERS = {
    "bundled": [],
    "ConvNeXt": ["--encoder=convnext_atto", "--weights=random"],
    "ResNet": ["--encoder=resnet10t", "--weights=random"],
    "Swin": ["--encoder=swin_tiny", "--weights=random"],
    "HyperIQA": ["--encoder=resnet50.tv_in1k", "--weights=random", "--model.multi_scale=false"]
    + ["--model.attention=false"],
    "frozen": ["--encoder_lr_ratio=0"],
    "equal compute": ["--optim.extra_passes=25"],
    "small memory": ["--compute.precision=bfloat16", "--compute.recompute=true", "--compute.micro_batch=2"],
}


@pytest.fixture(autouse=True)
def in_home(home):
    """A store, a cache and a working directory of this test's own."""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Ten pictures of 120 × 128, which every family has room on."""
    folder = tmp_path_factory.mktemp("large")
    rows = ["image,mos,group"]
    for n in range(10):
        field = torch.rand(1, 3, 12, 13, generator=generator("large", n))
        smooth = torch.nn.functional.interpolate(field, (120, 128), mode="bicubic").clamp(0, 1)
        images.save_png((smooth[0] * 255).round().to(torch.uint8), folder / f"{n}.png")
        rows.append(f"{n}.png,{10 * n},scene{n}")
    (folder / "scores.csv").write_text("\n".join(rows))
    return folder


def only_run():
    (row,) = tracking.rows()
    return row


@pytest.mark.parametrize("words", LOSSES.values(), ids=LOSSES)
def test_every_loss_and_control_pretrains(words, photos, clip):
    words = [word.format(clip=clip).replace("--micro_batch", "--compute.micro_batch") for word in words]
    assert pretrain.main([*PRETRAIN, f"--data={photos}", *words]) == 0
    row = only_run()
    assert row.status == "FINISHED" and row.metrics["train/loss"] > 0 and "val/prototype_cosine" in row.metrics
    assert tracking.fetch(row.run_id, "figures/pretraining.csv").is_file()


@pytest.mark.parametrize("words", ENCODERS.values(), ids=ENCODERS)
def test_every_kind_of_encoder_and_way_to_tune_it_finetunes(words, photos):
    assert finetune.main([*FINETUNE, f"--data={photos}", *words]) == 0
    row = only_run()
    assert row.status == "FINISHED" and row.metrics["train/loss"] > 0
    assert (row.metrics["best/epoch"] > 0) and f"test/{photos.name}/rmse" in row.metrics


def test_every_family_pretrains_and_is_reported(large):
    families = ",".join(degradations.FAMILIES)
    words = [*SMALL, f"--data={large}", f"--families={families}", "--degrade.crop=96", "--degrade.heldout=1"]
    assert pretrain.main([*words, "--epochs=3", "--levels=2"]) == 0
    row = only_run()
    assert {name.removeprefix("val/ordering/") for name in row.metrics if name.startswith("val/ordering/")} == set(
        degradations.FAMILIES
    )


@pytest.mark.parametrize("family", degradations.FAMILIES)
def test_every_family_trains_alone(family, large, tmp_path):
    from iqa import config
    from iqa.stages import stage

    given = {"data": str(large), "families": family, "degrade.crop": "96", "batch_size": "6", "compute.threads": "1"}
    told = config.load("pretrain", given | {"levels": "2", "degrade.heldout": "1", "device": "cpu"}, "smoke")
    (record,) = stage("pretrain")(told, tracking.Silent(tmp_path))
    assert 0 <= record["train/loss"] < 1 and f"val/ordering/{family}" in record


def test_text_without_weights_ends_with_two_and_one_sentence(photos, offline, capsys):
    assert pretrain.main([*PRETRAIN, f"--data={photos}", "--loss=full"]) == 2
    said = capsys.readouterr().err
    assert said.count("error: ") == 1 and "hf download timm/resnet50_clip.openai" in said
    assert not any(row.status == "FINISHED" for row in tracking.rows())


def test_weights_in_another_place_are_the_same_cell_other_weights_or_prompts_another(photos, clip, tmp_path):
    import shutil

    from iqa import config, experiment

    shutil.copytree(clip, tmp_path / "elsewhere" / clip.name)

    def key(folder, prompts="Good photo|Bad photo"):
        given = {"data": str(photos), "loss": "full", "loss.text_model": str(folder), "loss.prompts": prompts}
        return experiment.cell("pretrain", config.load("pretrain", given, "smoke"), {}).key

    moved = tmp_path / "elsewhere" / clip.name
    assert key(clip) == key(moved)
    file = moved / "open_clip_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert key(clip) != key(moved)
    assert key(clip) != key(clip, "Sharp photo|Blurry photo")


EQUAL = """
title: Toy
preset: smoke
seeds: [0]
arms:
  baseline: {title: ImageNet encoder}
  pretrained: {title: Pretrained encoder, pretrain: {families: brightness}}
  longer: {title: As much computed, spends: pretrained}
contrasts:
  - {name: pretraining, treatment: pretrained, baseline: longer}
"""


def test_equal_compute_spends_the_pretrainings_passes_on_more_epochs(photos, home):
    (home / "toy.yaml").write_text(EQUAL)
    words = [
        "--experiment=toy.yaml",
        "--at_once=1",
        f"--data={photos}",
        f"--targets={photos}",
        "--compute.threads=1",
        "--batch_size=6",
    ]
    sizes = ["--degrade.crop=32", "--finetune.crops.size=32", "--evaluate.crops.size=32", "--epochs=1", "--device=cpu"]
    assert main.main([*words, *sizes]) == 0
    tuned = {row.tags["arm"]: row for row in tracking.rows() if row.tags["stage"] == "finetune"}
    # one epoch of 20 images in two crops at three levels: 120 crops, six more epochs of 20
    assert (
        tuned["longer"].params["optim.extra_passes"] == "120" and tuned["baseline"].params["optim.extra_passes"] == "0"
    )
    told = json.loads(tracking.fetch(tuned["longer"].run_id, "config.json").read_text())
    assert told["optim"]["epochs"] == 1
    steps = tracking.history(tuned["longer"].run_id, "train/loss")
    assert len(steps) == 7 and len(tracking.history(tuned["baseline"].run_id, "train/loss")) == 1


@pytest.mark.parametrize("spends", ["nobody", "baseline"])
def test_spending_what_nobody_pretrains_with_is_refused(spends, home, capsys):
    (home / "toy.yaml").write_text(EQUAL.replace("spends: pretrained", f"spends: {spends}"))
    assert main.main(["--experiment=toy.yaml"]) == 2
    assert f"arm longer spends what '{spends}' pretrains with" in capsys.readouterr().err


@pytest.mark.processes
@pytest.mark.timeout(300)  # three processes of mlflow, each of which imports everything
def test_pretraining_and_evaluation_run_through_mlflow_run_as_fine_tuning_does(photos, home):
    assert finetune.main([*FINETUNE, f"--data={photos}"]) == 0
    model = only_run().run_id
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "IQA_RUNS": str(home / "runs"),
        "OMP_NUM_THREADS": "1",
    }
    small = ["preset=smoke", "compute.threads=1", "device=cpu"]
    full = ["loss=full", "loss.prototypes=random", "degrade.crop=32", "families=blur,brightness", "batch_size=6"]
    commands = {
        "pretrain": [*small, f"data={photos}", *full],
        "evaluate": [*small, f"weights=runs:/{model}/model", f"targets={photos}", "crops.size=32"],
    }
    for name, given in commands.items():
        words = [word for pair in given for word in ("-P", pair)]
        command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", name, "--env-manager", "local", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
    found = {row.tags["stage"]: row for row in tracking.rows()}
    assert {row.status for row in found.values()} == {"FINISHED"} and set(found) == {"pretrain", "finetune", "evaluate"}
    assert found["pretrain"].params["loss.type"] == "full"
