"""Starting several processes for one stage: how they ended, and the whole of it on the CPU with gloo."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from stage_toy import Recorded, done, settings
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from entrypoints import processes
from iqa import config, distributed, launching, machine, tracking

ROOT = Path(__file__).parent.parent
NO_NOISE = {"model.dropout": "0", "model.drop_path": "0"}


def failure(rank, code, file=""):
    return ProcessFailure(local_rank=rank, pid=1, exitcode=code, error_file=str(file))


def test_a_process_that_was_killed_is_to_blame_and_not_those_that_it_left_alone():
    code, said = launching.verdict({0: failure(0, launching.LEFT_ALONE), 1: failure(1, -9)}, 2)
    assert code == 1
    assert said.startswith("process 2 of 2 was killed by SIGKILL, which ended the others: the same command goes on")


def test_an_error_is_told_once_whichever_process_met_it(tmp_path, monkeypatch):
    monkeypatch.setenv(launching.ERROR_FILE, str(tmp_path / "error.json"))
    launching.leave_word("A sentence.")
    assert launching.verdict({1: failure(1, 2, tmp_path / "error.json"), 0: failure(0, -15)}, 2) == (2, "A sentence.")


def test_a_stop_that_the_first_process_has_told_is_not_told_again():
    assert launching.verdict({0: failure(0, 143), 1: failure(1, 143)}, 2) == (143, "")


def test_processes_are_started_where_several_devices_are_asked_for_and_none_are_there_yet(monkeypatch):
    one, two = (load_with(devices=count) for count in ("1", "2"))
    assert processes.wanted(one.compute) == 0 and processes.wanted(two.compute) == 2
    stand_in_for_a_launcher(monkeypatch, 2)
    assert processes.wanted(two.compute) == 0


def test_under_a_launcher_the_devices_are_its_processes(monkeypatch):
    stand_in_for_a_launcher(monkeypatch, 4)
    assert processes.settings("finetune", {}, "smoke").compute.devices == 4
    assert processes.settings("finetune", {"devices": "4"}, "smoke").compute.devices == 4
    with pytest.raises(config.ConfigError, match="devices=2, and the launcher has started 4 processes"):
        processes.settings("finetune", {"compute.devices": "2"}, "smoke")


def test_a_command_for_torchrun_is_kept_so_that_it_can_be_repeated_without():
    compute = load_with(devices="4").compute
    assert processes.left_out(["--epochs=1"], compute) == ["--devices=4"]
    assert processes.left_out(["--epochs=1", "--devices", "4"], compute) == []


@pytest.mark.parametrize(("kind", "there"), [("cuda", 2), ("mps", 1)])
def test_more_devices_than_there_are_are_refused_with_their_number(kind, there, monkeypatch):
    monkeypatch.setattr(machine.torch.cuda, "device_count", lambda: 2)
    device = machine.torch.device(kind)
    machine.carry(there, device)
    with pytest.raises(machine.MachineError, match=f"3 devices.*has {there} of the kind {kind}: give devices={there}"):
        machine.carry(3, device)
    machine.carry(3, machine.torch.device("cpu"))


@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_more_devices_than_a_batch_has_images_are_refused(name):
    with pytest.raises(config.ConfigError, match="compute.devices is 3, and a batch has 2 images to share out"):
        config.load(name, {"devices": "3", "batch_size": "2"}, "smoke")
    crops = {"devices": "2", "batch_size": "6", "crops.per_image": "6"}
    with pytest.raises(config.ConfigError, match="compute.devices is 2, and a batch has 1 images"):
        config.load("finetune", crops, "smoke")


def load_with(**more):
    return config.load("finetune", {"device": "cpu"} | more, "smoke")


def stand_in_for_a_launcher(monkeypatch, count):
    for name in distributed.SAID:
        monkeypatch.setenv(name, str(count))


SMALL = ["--device=cpu", "--compute.threads=1", "--batch_size=6", "--levels=3", "--families=jpeg,brightness"]
TUNED = ["--device=cpu", "--compute.threads=1", "--batch_size=6", "--crops.size=32", "--crops.validation=1"]
TUNED += ["--crops.grid=2", "--epochs=3"]


class Started:
    """A stage's command in two processes, in a folder of its own; `words` are like those of `stage_toy.settings`."""

    def __init__(self, home, name, words, launcher=("-m", "iqa"), **environment):
        self.name, self.home = name, home
        own = {"IQA_OFFLINE": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, *launcher, name, "--preset=smoke", *words]
        told = os.environ | own | environment
        self.process = subprocess.Popen(command, cwd=home, env=told, text=True, stdout=-1, stderr=-1)

    def ended(self):
        out, err = self.process.communicate()
        return self.process.returncode, out, err

    def folder(self):
        (found,) = (self.home / "runs").glob(f"{self.name}-*/1")
        return found

    def metrics(self):
        lines = map(json.loads, (self.folder() / "journal.jsonl").read_text().splitlines())
        written = [
            (key, line["step"], value)
            for line in lines
            if line["what"] == "metrics"
            for key, value in line["values"].items()
        ]
        return {(key, step): value for key, step, value in written}

    def workers(self):
        """rank → process of those that the command has started."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "environ").read_bytes().split(b"\0")
            except (OSError, ValueError):
                continue
            if parent == self.process.pid:
                found |= {int(word[5:]): int(entry.name) for word in words if word.startswith(b"RANK=")}
        return found


def digest(folder):
    return hashlib.sha256((folder / "tensors.safetensors").read_bytes()).hexdigest()


def wait_for(what, process):
    while not what():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.processes
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_two_processes_have_the_loss_curve_of_one(name, photos, home):
    more = {} if name == "pretrain" else {key.replace(".", "__"): value for key, value in NO_NOISE.items()}
    one = Recorded(home / "one")
    done(name, settings(name, photos, **more), one)
    words = [f"--{key}={value}" for key, value in config.flatten(settings(name, photos, **more)).items()]
    two = Started(home, name, [word for word in words if not word.startswith("--compute.devices")] + ["--devices=2"])
    code, _, err = two.ended()
    assert code == 0, err
    curves = two.metrics()
    expected = {key: value for key, value in one.values.items() if key[0].startswith("train/")}
    assert expected and {key: curves[key] for key in expected} == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert {key for key in one.values if "cost" not in key[0]} == {key for key in curves if "cost" not in key[0]}


@pytest.mark.processes
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_one_process_that_dies_ends_all_and_the_same_command_ends_as_an_undisturbed_one(photos, tmp_path, home):
    words = [*TUNED, f"--data={photos}", "--devices=2"]
    places = [tmp_path / "whole", tmp_path / "killed"]
    for place in places:
        place.mkdir()
    whole = Started(places[0], "finetune", words)
    assert whole.ended()[0] == 0

    killed = Started(places[1], "finetune", [*words, "--compute.checkpoint_minutes=0"])
    wait_for(lambda: list((places[1] / "runs").glob("*/1/checkpoints/step-*")), killed.process)
    workers = killed.workers()
    os.kill(workers[1], signal.SIGKILL)
    code, _, err = killed.ended()
    assert code == 1 and err.rstrip().splitlines()[-1].startswith("error: process 2 of 2 was killed by SIGKILL")
    assert not any(map(alive, workers.values()))

    stopped = Started(places[1], "finetune", [*words, "--compute.checkpoint_minutes=0"])
    wait_for(lambda: len(stopped.workers()) == 2, stopped.process)
    wait_for(lambda: "resumed" in (stopped.folder() / "journal.jsonl").read_text(), stopped.process)
    stopped.process.send_signal(signal.SIGTERM)
    code, _, err = stopped.ended()
    assert code == 143 and err.count("Stopped by SIGTERM, ") == 1, err  # before a step or amid the steps

    again = Started(places[1], "finetune", words)
    code, out, err = again.ended()
    assert code == 0 and out.count("next: mlflow run . -e evaluate -P ") == 1, err
    assert digest(again.folder() / "model") == digest(whole.folder() / "model")
    assert {k: v for k, v in again.metrics().items() if "cost" not in k[0]} == pytest.approx(
        {k: v for k, v in whole.metrics().items() if "cost" not in k[0]}, abs=0, nan_ok=True
    )


@pytest.mark.processes
@pytest.mark.timeout(600)
def test_evaluation_shared_out_predicts_what_one_process_predicts(photos, home):
    _, model = done("finetune", settings("finetune", photos, epochs="1"), tracking.Silent(home / "run"))
    words = ["--device=cpu", "--compute.threads=1", f"--weights={model}", f"--targets={photos}", "--crops.size=32"]
    two = Started(home, "evaluate", [*words, "--devices=2"])
    code, _, err = two.ended()
    assert code == 0, err
    told = config.load("evaluate", {word[2:].partition("=")[0]: word.partition("=")[2] for word in words}, "smoke")
    from iqa.stages import stage

    list(stage("evaluate")(told, tracking.Silent(home / "alone")))
    rows, alone = (
        (place / "predictions" / f"{photos.name}.csv").read_text().splitlines()
        for place in (two.folder(), home / "alone")
    )
    assert [row.split(",")[0] for row in rows] == [row.split(",")[0] for row in alone]
    predictions = np.array([[float(row.split(",")[3]) for row in some[1:]] for some in (rows, alone)])
    assert np.allclose(predictions[0], predictions[1], rtol=0, atol=1e-6)
