"""The computer: what it is asked for, what it says of itself."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from iqa import machine


@pytest.fixture
def torch_as_it_was():
    """torch's process-wide settings, put back afterwards."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = fill


def test_the_cpu_is_always_there():
    assert machine.device("cpu") == torch.device("cpu")


def test_auto_finds_a_device_that_computes():
    assert torch.ones(2, device=machine.device("auto")).sum().item() == 2


def test_an_unknown_device_is_refused_with_the_names_there_are():
    with pytest.raises(machine.MachineError, match="'gpu' is no device: auto, cuda, mps, cpu are"):
        machine.device("gpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_missing_is_refused_with_the_remedy(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(machine.MachineError, match=f"no {name} device, only cpu: use auto or cpu"):
        machine.device(name)


def test_a_device_error_is_one_for_users():
    assert issubclass(machine.MachineError, ValueError)


def test_threads_are_set_as_asked_and_zero_means_no_more_than_the_cores(torch_as_it_was):
    assert machine.threads(1) == 1 == torch.get_num_threads()
    chosen = machine.threads(0)
    assert chosen == torch.get_num_threads() and 1 <= chosen <= machine.cores()


def test_one_thread_before_does_not_limit_what_zero_chooses_after(torch_as_it_was):
    first = machine.threads(0)
    machine.threads(1)
    assert machine.threads(0) == first


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000\n", 8), ("200000 100000\n", 2), ("50000 100000\n", 1), ("9900000 100000\n", 8)],
)
def test_a_containers_quota_limits_the_cores(quota, expected):
    assert machine.within_quota(8, quota) == expected


def test_memory_is_kept_on_glibc_and_asking_twice_is_as_good_as_once():
    first = machine.keep_memory()
    assert first == machine.keep_memory()
    if sys.platform != "linux":
        assert first is False


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_keeping_memory_does_nothing(platform, monkeypatch):
    monkeypatch.setattr(machine.sys, "platform", platform)
    assert machine.keep_memory() is False


def test_channels_last_changes_the_layout_and_no_value():
    torch.manual_seed(0)
    model = torch.nn.Conv2d(3, 4, 3)
    images = torch.rand(2, 3, 8, 8)
    before = model(images)
    turned = machine.channels_last(model, torch.device("cpu"))
    assert turned is model and model.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(model(images), before, atol=1e-6)


def test_on_a_cpu_algorithms_become_deterministic_without_filling_fresh_memory(torch_as_it_was):
    machine.deterministic(torch.device("cpu"))
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory


def test_elsewhere_they_are_left_to_be_fast(torch_as_it_was):
    torch.use_deterministic_algorithms(True)
    machine.deterministic(torch.device("cuda"))
    assert not torch.are_deterministic_algorithms_enabled()


def test_determinism_does_not_bring_in_the_compiler():
    code = "import sys, torch; from iqa import machine; machine.deterministic(torch.device('cpu')); "
    subprocess.run([sys.executable, "-c", code + "assert 'sympy' not in sys.modules"], check=True)


def test_a_thread_that_works_alone_leaves_the_others_their_cores(torch_as_it_was):
    torch.set_num_threads(2)

    def openmp() -> int:
        machine.alone()
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(openmp).result() == 1
    assert torch.get_num_threads() == 2


def test_peak_memory_counts_what_was_there_for_a_moment():
    before = machine.peak_memory_mb()
    size = int((before + 64) * machine.MIB)  # more than has ever been resident
    block = torch.ones(size, dtype=torch.uint8)
    del block
    assert machine.peak_memory_mb() >= before + 64


def test_the_description_names_hardware_and_software_in_plain_values():
    about = machine.describe()
    assert {"cpu", "cores", "ram_gb", "gpu", "torch", "cuda", "python", "platform"} <= about.keys()
    assert about["torch"] == torch.__version__ and about["cpu"] and about["cores"] >= 1
    assert json.loads(json.dumps(about)) == about and None not in about.values()


def raising(error):
    raise error


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: torch.empty(10**15),  # as the CPU says it
        lambda: np.empty(10**15),
        lambda: raising(RuntimeError("could not create a primitive")),  # a convolution under a limit of address space
        lambda: raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore lines.")),
    ],
)
def test_memory_that_runs_out_is_one_sentence_with_the_remedy(allocate):
    with (
        pytest.raises(machine.MachineError, match="memory ran out.*Give less.") as said,
        machine.enough_memory("Give less."),
    ):
        allocate()
    assert "\n" not in str(said.value)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="shapes"), machine.enough_memory("Give less."):
        raise RuntimeError("The shapes differ.")


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp alone says how it waits")
@pytest.mark.parametrize(
    ("given", "spins"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "0")]
)
def test_torchs_workers_spin_shortly_unless_one_asks_for_something_else(given, spins):
    told = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in told}
    command = [sys.executable, "-c", "import iqa, torch"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment | {"OMP_DISPLAY_ENV": "verbose"} | given
    )
    assert f"GOMP_SPINCOUNT = '{spins}'" in done.stderr


@pytest.mark.parametrize(
    ("cores", "gigabytes", "carried"), [(2, 24, 2), (16, 24, 6), (2, 3, 1), (1, 64, 1)], ids=lambda value: str(value)
)
def test_a_cpu_carries_a_training_a_core_as_long_as_its_memory_does(cores, gigabytes, carried, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine.os, "sysconf", {"SC_PAGE_SIZE": 2**10, "SC_PHYS_PAGES": gigabytes * 2**20}.get)
    assert machine.at_once(name="cpu") == carried
    assert machine.at_once(5, "cpu") == 5


@pytest.mark.parametrize(("listed", "left"), [("3,5", ["3", "5", "3"]), ("4", ["4"] * 3), ("", [""] * 3)])
def test_each_process_has_one_of_the_gpus_that_are_there_for_it(listed, left, monkeypatch):
    found = []
    for slot in range(3):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
        machine.take_gpu(slot)
        found.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert found == left
