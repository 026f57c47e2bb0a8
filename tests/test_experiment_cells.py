"""A cell's run that goes on, and what ends it: another config, too little memory, a full disk."""

import json

import pytest

from iqa import config, experiment, tracking
from iqa.experiment import cells
from iqa.machine import MachineError
from iqa.tracking import JournalError, run, shipping
from iqa.tracking.journal import Journal

TINY = {
    "compute.threads": "1",
    "device": "cpu",
    "batch_size": "6",
    "epochs": "2",
    "crops.size": "32",
    "crops.grid": "1",
}


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)
    monkeypatch.setattr(run, "PATIENCE", 0.3)


@pytest.fixture
def cell(photos):
    return experiment.cell("finetune", config.load("finetune", TINY | {"data": str(photos)}, "smoke"), {})


def fails(monkeypatch, error):
    """The stage raises this in its second epoch."""

    def stage(name):
        def records(settings, run):
            yield {"epoch": 1}
            raise error

        return records

    monkeypatch.setattr(cells, "stage_of", stage)


def test_a_folder_that_was_begun_with_another_config_is_refused_field_by_field(cell, monkeypatch):
    fails(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        experiment.compute(cell)
    file = tracking.runs_folder() / f"finetune-{cell.key[:12]}" / "1" / "config.json"
    told = json.loads(file.read_text())
    told["optim"]["head_lr"], told["data"]["root"] = 7.0, "/elsewhere"  # where data lie is no part of a result
    file.write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"another config:\n  optim.head_lr: 7.0 there, 0.001 now\nMove"):
        experiment.compute(cell)
    assert json.loads(file.read_text()) == told


def test_too_little_memory_fails_the_run_and_names_the_batch_and_the_remedy(cell, monkeypatch):
    fails(monkeypatch, RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 4000 bytes."))
    with pytest.raises(MachineError, match="batch_size is 6, all at once: give compute.micro_batch=3"):
        experiment.compute(cell)
    (row,) = tracking.rows()
    assert row.status == "FAILED" and "compute.micro_batch=3" in row.tags["iqa.reason"]


def test_a_remedy_that_was_taken_is_halved(photos):
    told = config.load("finetune", TINY | {"data": str(photos), "compute.micro_batch": "4"}, "smoke")
    assert "4 at once: give compute.micro_batch=2" in cells.smaller(told)
    assert "device=cpu" in cells.smaller(config.load("evaluate", {}, "smoke"))


def test_a_journal_that_takes_no_end_says_so_and_the_store_is_told_what_happened(cell, monkeypatch):
    fails(monkeypatch, ValueError("The reason."))
    append = Journal.append

    def full(self, what, **fields):
        if what == "end" or "iqa.reason" in fields.get("values", {}):
            raise JournalError("journal.jsonl cannot be written (no room; 0 bytes are free there): make room for it.")
        append(self, what, **fields)

    with monkeypatch.context() as disk:
        disk.setattr(Journal, "append", full)
        with pytest.raises(ValueError, match=r"The reason\."):
            experiment.compute(cell)
    (row,) = tracking.rows()
    assert row.status == "FAILED" and row.tags["iqa.reason"] == "The reason."
    with pytest.raises(ValueError, match=r"The reason\."):  # and the lock was given back
        experiment.compute(cell)
    assert len(tracking.rows()) == 1
