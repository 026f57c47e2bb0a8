import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iqa.tracking import Busy, JournalError, folders, journal
from iqa.tracking.journal import Journal, last_status
from iqa.tracking.lock import hold, holding, release
from iqa.tracking.shipping import METRICS, Position, batches

ROOT = Path(__file__).parent.parent


def entries(folder):
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def started(folder):
    journal = Journal(folder)
    journal.start(stage="pretrain", name="n", experiment="iqa", parent=None)
    return journal


def test_the_first_line_has_a_format_number_and_all_that_creates_the_run(tmp_path):
    started(tmp_path)
    first = entries(tmp_path)[0]
    assert first["what"] == "begin" and first["format"] == 1 and len(first["id"]) == 32
    assert {"stage", "name", "experiment", "parent", "time"} <= set(first)


def test_another_format_is_refused_by_number(tmp_path):
    started(tmp_path)
    file = tmp_path / "journal.jsonl"
    file.write_text(file.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(JournalError, match="format 2.*reads format 1"):
        Journal(tmp_path)


def test_a_step_once_written_is_never_written_again(tmp_path):
    journal = started(tmp_path)
    journal.metrics({"loss": 1.0, "srcc": 0.5}, 1)
    journal.metrics({"loss": 9.0, "plcc": 0.7}, 1)
    again = Journal(tmp_path)
    again.metrics({"loss": 9.0, "srcc": 9.0, "plcc": 9.0}, 1)
    again.metrics({"loss": 2.0}, 2)
    written = [(entry["step"], entry["values"]) for entry in entries(tmp_path) if entry["what"] == "metrics"]
    assert written == [(1, {"loss": 1.0, "srcc": 0.5}), (1, {"plcc": 0.7}), (2, {"loss": 2.0})]


def test_the_first_params_stay_and_new_ones_are_added(tmp_path):
    started(tmp_path).params({"seed": "0"})
    Journal(tmp_path).params({"seed": "1", "lr": "2"})
    assert [entry["values"] for entry in entries(tmp_path)[1:]] == [{"seed": "0"}, {"lr": "2"}]


def test_nan_and_infinity_survive(tmp_path):
    journal = started(tmp_path)
    journal.metrics({"a": math.nan, "b": math.inf}, 1)
    values = [entry for entry, _ in journal.read(0)][1]["values"]
    assert math.isnan(values["a"]) and values["b"] == math.inf


@pytest.mark.parametrize(
    "torn", [b"{", b'{"what": "metrics", "ti', b'{"what": "tags"}', b"\0" * 50 + b"\n", b'"text"\n']
)
def test_a_torn_last_line_is_cut_off_and_the_rest_goes_on(tmp_path, torn, caplog):
    started(tmp_path).metrics({"loss": 1.0}, 1)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(torn)
    Journal(tmp_path).metrics({"loss": 1.0, "srcc": 2.0}, 1)
    assert [entry["what"] for entry in entries(tmp_path)] == ["begin", "metrics", "metrics"]
    assert entries(tmp_path)[-1]["values"] == {"srcc": 2.0} and "torn" in caplog.text


@pytest.mark.parametrize(
    "bad",
    [
        b"\0" * 50,
        b'{"what": "met',
        b'{"what": "m%trics", "time": 1, "step": 1, "values": {}}',
        b'{"what": "metrics", "time": 1, "step": 1}',
    ],
    ids=["zeros", "torn", "no kind of ours", "a field is missing"],
)
def test_a_bad_line_before_whole_ones_is_refused_and_nothing_is_thrown_away(tmp_path, bad):
    started(tmp_path).metrics({"loss": 1.0}, 1)
    file = tmp_path / "journal.jsonl"
    with file.open("ab") as more:
        more.write(bad + b'\n{"what": "metrics", "time": 2, "step": 2, "values": {"loss": 0.5}}\n')
    before = file.read_bytes()
    with pytest.raises(JournalError, match="line 3 is no entry.*delete that line"):
        Journal(tmp_path)
    assert file.read_bytes() == before


def test_a_journal_of_another_format_is_not_cut(tmp_path):
    file = tmp_path / "journal.jsonl"
    file.write_text('{"what": "begin", "time": 1, "format": 2, "id": "a"}\n{"of": "format 2"}\n')
    before = file.read_bytes()
    with pytest.raises(JournalError, match="format 2"):
        Journal(tmp_path)
    assert file.read_bytes() == before


def test_a_kill_at_any_byte_loses_whole_lines_only(tmp_path):
    journal = started(tmp_path)
    for step in range(3):
        journal.metrics({"loss": 1.0}, step)
    whole = (tmp_path / "journal.jsonl").read_bytes()
    for size in range(0, len(whole), 7):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(whole[:size])
        Journal(folder)
        left = (folder / "journal.jsonl").read_bytes()
        assert whole.startswith(left) and (not left or left.endswith(b"\n"))
        assert len(left) == whole[:size].rfind(b"\n") + 1


def test_a_full_disk_is_one_sentence_and_leaves_whole_lines(tmp_path):
    journal = started(tmp_path)
    before = (tmp_path / "journal.jsonl").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
    try:
        with pytest.raises(JournalError, match="bytes are free"):
            journal.metrics({"a long name " * 9: 1.0}, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_a_line_that_is_being_written_is_not_read_yet(tmp_path):
    journal = started(tmp_path)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"what": "metrics", "time": 1, "step": 1, "val')
    assert [entry["what"] for entry, _ in journal.read(0)] == ["begin"]


def test_reading_goes_on_where_it_stopped(tmp_path):
    journal = started(tmp_path)
    *_, (_, after) = journal.read(0)
    journal.metrics({"loss": 1.0}, 1)
    assert [entry["what"] for entry, _ in journal.read(after)] == ["metrics"]


def test_a_model_s_metric_has_the_time_of_the_run_s(tmp_path):
    journal = started(tmp_path)
    journal.metrics({"srcc": 0.5}, 3)
    time.sleep(0.01)
    journal.model_metrics("m", {"srcc": 0.5}, "set", "digest", 3)
    journal.model_metrics("m", {"srcc": 0.5}, "set", "digest", 3)
    first, second = entries(tmp_path)[1:]
    assert second["rows"] == [["srcc", 0.5, first["time"]]]


def test_the_status_is_that_of_the_last_end_unless_it_went_on(tmp_path):
    journal = started(tmp_path)
    assert last_status(tmp_path) == journal.status == ""
    journal.append("end", status="FAILED")
    assert last_status(tmp_path) == journal.status == Journal(tmp_path).status == "FAILED"
    journal.append("resumed", pid=1)
    assert last_status(tmp_path) == journal.status == Journal(tmp_path).status == ""
    assert last_status(tmp_path / "nowhere") == "" and not (tmp_path / "nowhere").exists()


def test_batches_fit_into_one_call_and_keep_the_order(tmp_path):
    def metrics(count):
        return {"what": "metrics", "values": {str(i): 0.0 for i in range(count)}}

    tag, artifact = {"what": "tags", "values": {"a": "b"}}, {"what": "artifact"}
    source = [metrics(600), metrics(300), tag, artifact, tag, metrics(200), metrics(900)]
    made = list(batches(((entry, i + 1) for i, entry in enumerate(source)), ("metrics", "tags")))
    assert [[entry["what"] for entry in batch] for batch, _ in made] == [
        ["metrics", "metrics"],
        ["tags", "tags"],
        ["metrics"],
        ["metrics"],
    ]
    assert [after for _, after in made] == [2, 5, 6, 7]
    assert all(sum(len(entry["values"]) for entry in batch) <= METRICS for batch, _ in made)


def test_positions_move_past_what_belongs_to_the_other_lane():
    artifact = {"what": "artifact"}
    assert list(batches(iter([(artifact, 10), (artifact, 20)]), ("metrics",))) == [([], 20)]
    assert list(batches(iter([]), ("metrics",))) == []


def test_a_position_that_was_torn_or_points_past_the_journal_begins_anew(tmp_path):
    (tmp_path / "shipped.json").write_text('{"data": 1')
    assert Position(tmp_path, 100).lanes == {"data": 0, "files": 0}
    (tmp_path / "shipped.json").write_text('{"data": 500, "files": 40}')
    assert Position(tmp_path, 100).lanes == {"data": 100, "files": 40}


def test_a_position_past_the_journal_is_mended_on_the_disk_before_the_journal_grows_past_it(tmp_path):
    (tmp_path / "shipped.json").write_text('{"data": 500, "files": 40}')
    Position(tmp_path, 100)
    assert Position(tmp_path, 600).lanes == {"data": 100, "files": 40}


HOLD = """
import sys, time
from pathlib import Path
from iqa.tracking.lock import hold
held = hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_refused_within_two_seconds_and_told_who_holds_it(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        began = time.monotonic()
        with pytest.raises(Busy, match=f"process {holder.pid} on {os.uname().nodename}"):
            hold(tmp_path)
        assert time.monotonic() - began < 2
        holder.kill()
        holder.wait()
    release(tmp_path, hold(tmp_path))  # a killed process holds nothing


def test_times_never_run_backwards_when_the_clock_is_set_back(tmp_path, monkeypatch):
    journal = started(tmp_path)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 3600 * 10**9)
    journal.metrics({"loss": 1.0}, 1)
    time.sleep(0.02)
    again = Journal(tmp_path)
    again.metrics({"loss": 1.0}, 2)
    time.sleep(0.02)
    again.metrics({"loss": 1.0}, 3)
    times = [entry["time"] for entry in entries(tmp_path)]
    assert times == sorted(times) and times[3] - times[2] >= 20


def test_what_a_run_became_after_its_end_does_not_open_it_again(tmp_path):
    journal = started(tmp_path)
    journal.append("end", status="FINISHED")
    journal.append("joined", run="r", experiment="0", store="s")
    assert journal.status == Journal(tmp_path).status == last_status(tmp_path) == "FINISHED"


def test_time_worked_counts_every_opening_and_not_what_lay_between_them(tmp_path, monkeypatch):
    now = [1_000_000_000]
    monkeypatch.setattr(journal.time, "time_ns", lambda: now[0] * 1_000_000)

    def write(seconds, what, **fields):
        now[0] += 1000 * seconds
        Journal(tmp_path).append(what, **fields)

    write(0, "begin", format=journal.FORMAT, id="a")
    write(30, "metrics", step=1, values={"a": 1.0})
    write(3600, "resumed", pid=1)
    write(12, "metrics", step=2, values={"a": 1.0})
    write(7200, "joined", run="r", experiment="0", store="s")  # offline until then: sync sent it
    assert Journal(tmp_path).worked == 42
    write(100, "begin", format=journal.FORMAT, id="a", worked=60.0)  # adopted, after a minute elsewhere
    assert Journal(tmp_path).worked == 60


def test_every_reader_takes_a_journal_up_to_the_same_torn_line(tmp_path):
    written = started(tmp_path)
    written.append("joined", run="a", experiment="1", store="s")
    with (tmp_path / "journal.jsonl").open("ab") as out:
        out.write(b'{"what": "joined", "time": 1, "ru\n')
    assert [entry["what"] for entry, _ in written.read(0)] == ["begin", "joined"]
    assert [entry["what"] for entry in journal.entries(tmp_path)] == ["begin", "joined"]
    assert folders.names(tmp_path) == [written.begin["id"], "a"] and last_status(tmp_path) == ""
    assert Journal(tmp_path).openings == 1 and len(entries(tmp_path)) == 2  # what is torn was cut off


def test_a_folder_is_held_while_work_lasts_however_it_ends(tmp_path):
    with pytest.raises(KeyboardInterrupt), holding(tmp_path):
        with pytest.raises(Busy):
            hold(tmp_path)
        raise KeyboardInterrupt
    release(tmp_path, hold(tmp_path))
