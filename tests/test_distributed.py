"""Several processes that train one model: shares without repetition, sums over all, the result of one process."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from stage_toy import settings

from benchmarks import postgres
from iqa import batches, datasets, distributed
from iqa.config import load
from iqa.stages.state import refuse_batch_statistics

ROOT = Path(__file__).parent.parent


@pytest.fixture
def be(monkeypatch):
    """be(rank, world): from now on this process is one of several, as far as shares go."""

    def become(rank, world):
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        monkeypatch.setattr(distributed, "world", lambda: world)

    return become


@pytest.mark.parametrize(("count", "world"), [(10, 2), (10, 3), (7, 4), (2, 3), (0, 2), (5, 1)])
def test_shares_are_in_order_nothing_twice_nothing_left_out_and_even(count, world, be):
    shares = []
    for rank in range(world):
        be(rank, world)
        shares.append(distributed.share(count))
    assert list(itertools.chain(*shares)) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("world", [2, 3])
def test_the_processes_rows_of_a_step_are_together_those_of_one_process(world, be):
    whole = [batches.rows_at(step, 10, 4, seed=0) for step in range(6)]
    parts = []
    for rank in range(world):
        be(rank, world)
        parts.append([batches.rows_at(step, 10, 4, seed=0) for step in range(6)])
    for step, (epoch, rows) in enumerate(whole):
        assert {part[step][0] for part in parts} == {epoch}
        together = [row for part in parts for row in part[step][1]]
        assert together == (rows if len(rows) >= world else rows * world)  # a last, small batch: whole, by each


def test_a_crop_is_the_same_whichever_process_cuts_it(photos, home, be):
    train = datasets.load(str(photos)).part("train")

    def batch():
        made = batches.pretraining(train, batch=6, seed=0, start=1, families=("jpeg",), crop=32, overlap=0.5)
        return {pair.index: pair for pair in next(made)}

    whole = batch()
    be(1, 2)
    part = batch()
    assert len(part) == 3
    for index, pair in part.items():
        assert pair.seeds == whole[index].seeds and pair.corners == whole[index].corners
        assert all(map(torch.equal, pair.regions, whole[index].regions))


def test_in_one_process_everything_is_what_it_was():
    terms, tensor = {"total": torch.tensor(1.0)}, torch.ones(2)
    assert distributed.leads() and (distributed.rank(), distributed.world()) == (0, 1)
    assert distributed.combined([], terms) is terms and distributed.added(tensor) is tensor
    assert distributed.total(3) == distributed.highest(3) == distributed.from_first(lambda: 3) == 3
    distributed.join(torch.device("cpu"))
    distributed.leave()
    assert distributed.world() == 1


def test_only_a_whole_word_of_a_launcher_counts(monkeypatch):
    for name in distributed.SAID:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # as some clusters set it for their own ends
    assert distributed.started() == 0
    for name in distributed.SAID:
        monkeypatch.setenv(name, "4")
    assert distributed.started() == distributed.here() == 4


def test_batch_statistics_that_each_process_would_have_for_itself_are_refused(photos, home, be):
    from iqa.stages import finetune

    model = finetune.build(settings("finetune", photos, encoder="resnet10t", weights="random"))
    refuse_batch_statistics(model)
    be(0, 2)
    with pytest.raises(ValueError, match="normalises by a batch's own statistics.*leave devices out"):
        refuse_batch_statistics(model)
    refuse_batch_statistics(finetune.build(settings("finetune", photos)))


def test_devices_are_part_of_what_a_cell_is_as_micro_batches_are():
    from iqa.config import fingerprint

    one, two = (load("finetune", {"devices": count}, "smoke") for count in ("1", "2"))
    assert fingerprint(one, {}) != fingerprint(two, {})


TOGETHER = """
import os, signal, sys, time
import torch
from iqa import distributed
distributed.join(torch.device("cpu"))
rank = distributed.rank()
assert distributed.world() == 2 and distributed.leads() is (rank == 0)
model = torch.nn.Linear(2, 1)
distributed.same(model)
weights = model.weight.detach().clone()
batch = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0]])
own = batch[list(distributed.share(3))]
whole = distributed.total(len(own))
loss = model(own).square().mean() * len(own) / whole
loss.backward()
terms = distributed.combined(model.parameters(), {"total": loss.detach()})
single = torch.nn.Linear(2, 1)
single.load_state_dict(model.state_dict())
expected = single(batch).square().mean()
expected.backward()
assert torch.allclose(terms["total"], expected) and torch.allclose(model.weight.grad, single.weight.grad)
assert distributed.highest(rank * 15) == 15
assert distributed.from_first(lambda: ("said", rank)) == ("said", 0)
gathered = torch.zeros(5, dtype=torch.float64)
for n in distributed.share(5):
    gathered[n] = n / 7
assert distributed.added(gathered).tolist() == [n / 7 for n in range(5)]
if rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
try:
    distributed.total(1)
except distributed.Lost as lost:
    print(lost)
    raise SystemExit(lost.exit_code)
"""


@pytest.mark.processes
def test_two_processes_add_up_to_one_and_a_death_is_noticed(tmp_path):
    """Without a launcher, which might stop the one that is left before that one has spoken."""
    (tmp_path / "together.py").write_text(TOGETHER)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(postgres.free_port())}
    address |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    left, killed = (
        subprocess.Popen(
            [sys.executable, "together.py"],
            cwd=tmp_path,
            env=environment() | address | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    )
    said, why = left.communicate()
    assert "Another process of this training is gone: the same command goes on" in said, why
    assert left.returncode == distributed.Lost.exit_code
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL


def environment():
    """This process's, from which the project is found and no store is asked."""
    import os

    return os.environ | {"PYTHONPATH": str(ROOT), "IQA_OFFLINE": "true", "OMP_NUM_THREADS": "1"}
