"""The store of many runs that is timed: its experiment, what makes a copied run another one, and the clock."""

import json
import os
import shutil
from fnmatch import fnmatchcase

import numpy as np
import torch
import yaml

from benchmarks import beyond, big_store
from iqa import checkpoint
from iqa.experiment import matrix


def test_each_seed_of_its_experiment_has_as_many_places_as_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / big_store.FILE).write_text(yaml.safe_dump(big_store.declared(2), sort_keys=False))
    places = list(matrix.places(big_store.planned()))
    assert len(places) == 2 * big_store.RUNS and big_store.RUNS * big_store.SEEDS == 1000
    computed = [place.stage for place in places if fnmatchcase(place.title, big_store.TEMPLATES)]
    assert computed == ["pretrain", "finetune", "evaluate"]


def test_a_copy_has_weights_and_predictions_of_its_own_and_leaves_the_templates_alone(tmp_path):
    template = tmp_path / "template"
    (template / "predictions").mkdir(parents=True)
    origin = {"run": "a", "cell": "b"}
    checkpoint.write(template / "model", {"weights": torch.arange(3.0), "origin": origin}, "model")
    lines = "".join(f"{i}.png,g{i},{i / 10},{i / 10 + 0.01}\n" for i in range(10))
    (template / "predictions" / "set.csv").write_text("path,group,score,prediction\n" + lines)
    before = tmp_path / "before"
    shutil.copytree(template, before)
    copies = [tmp_path / str(number) for number in range(2)]
    found = [big_store._artifacts(number, template, copy) for number, copy in enumerate(copies)]
    digests = {checkpoint.digest(folder / "model") for folder in (template, *copies)}
    assert len(digests) == 3 and found[0]["test/set/rmse"] != found[1]["test/set/rmse"] and found[0]["test/set/n"] == 10
    for copy in copies:
        assert torch.equal(checkpoint.read(copy / "model", "model")["weights"], torch.arange(3.0))
        assert os.path.samefile(copy / "model" / checkpoint.TENSORS, template / "model" / checkpoint.TENSORS)
    for file in (one.relative_to(before) for one in before.rglob("*.*")):
        assert (template / file).read_bytes() == (before / file).read_bytes(), file


def worked(words):
    """What the clock is to time: an import of its own, then some computing."""
    import colorsys  # noqa: F401

    np.linalg.svd(np.ones((int(words[0]), int(words[0]))))
    return 0


def test_the_clock_leaves_what_was_brought_in_and_begins_with_it_the_next_time(tmp_path, monkeypatch):
    told = tmp_path / "told.json"
    told.write_text("")
    assert beyond.call(told, f"{__name__}:worked", ["20"]) == 0
    first = json.loads(told.read_text())
    assert "colorsys" in first["modules"] and first["taken"]["processor"] >= 0
    warmed = []
    monkeypatch.setattr(beyond, "warm", warmed.append)
    beyond.call(told, f"{__name__}:worked", ["20"])
    assert warmed == [first["modules"]]
