import contextlib
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from iqa import checkpoint
from iqa.checkpoint import CheckpointError, digest, latest, read, save, write

FILES = ("tensors.safetensors", "state.json", "manifest.json")


@pytest.fixture
def tree():
    chance = torch.Generator().manual_seed(3)
    return {
        "weights": {"a.weight": torch.randn(4, 3, generator=chance), "count": torch.tensor(7)},
        "rows": [1, 2.5, "three", None, True, {"deep": torch.arange(5)}],
        "best": 0.1 + 0.2,
    }


def assert_same(found, expected):
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype and found.shape == expected.shape
        assert torch.equal(found.view(torch.uint8) if found.dim() else found, _bits(expected))
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert type(found) is type(expected) and (found == expected or (found != found and expected != expected))


def _bits(tensor):
    return tensor.contiguous().view(torch.uint8) if tensor.dim() else tensor


def test_a_tree_comes_back_to_the_bit(tmp_path, tree):
    assert_same(read(write(tmp_path / "one", tree, kind="model"), kind="model"), tree)


def test_every_dtype_and_awkward_shape_survives(tmp_path):
    dtypes = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
    tree = {str(dtype): torch.tensor([[0, 1], [1, 0]]).to(dtype) for dtype in dtypes}
    tree |= {"empty": torch.empty(0, 3), "scalar": torch.tensor(2.5), "odd/key with spaces é": torch.ones(1)}
    assert_same(read(write(tmp_path / "one", tree, kind="model"), kind="model"), tree)


def test_nan_and_infinities_are_allowed_and_exact(tmp_path):
    tree = {"values": [math.nan, math.inf, -math.inf, 5e-324], "tensor": torch.tensor([math.nan, -0.0])}
    assert_same(read(write(tmp_path / "one", tree, kind="model"), kind="model"), tree)
    json.loads((tmp_path / "one" / "state.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_tuples_come_back_as_lists(tmp_path):
    assert read(write(tmp_path / "one", {"betas": (0.9, 0.999)}, "model"), "model") == {"betas": [0.9, 0.999]}


def test_memory_layout_survives(tmp_path):
    weight = torch.randn(8, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    found = read(write(tmp_path / "one", {"w": weight, "p": weight.contiguous()}, "model"), "model")
    assert found["w"].is_contiguous(memory_format=torch.channels_last) and found["p"].is_contiguous()
    assert torch.equal(found["w"], weight)


def test_tensors_that_share_memory_are_each_kept(tmp_path):
    whole = torch.arange(6.0)
    tree = {"whole": whole, "again": whole, "part": whole[2:4], "wide": torch.ones(1).expand(3)}
    assert_same(read(write(tmp_path / "one", tree, "model"), "model"), tree)


def test_an_optimizer_goes_on_exactly(tmp_path):
    def step(model, optimizer):
        optimizer.zero_grad()
        model(torch.ones(2, 3)).square().mean().backward()
        optimizer.step()

    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    step(model, optimizer)
    state = optimizer.state_dict()
    write(
        tmp_path / "one",
        {"w": model.state_dict(), "groups": state["param_groups"], "s": [*state["state"].values()]},
        "x",
    )
    step(model, optimizer)

    found = read(tmp_path / "one", "x")
    other = nn.Linear(3, 2)
    other.load_state_dict(found["w"])
    resumed = torch.optim.AdamW(other.parameters(), lr=0.1)
    resumed.load_state_dict({"param_groups": found["groups"], "state": dict(enumerate(found["s"]))})
    step(other, resumed)
    assert torch.equal(other.weight, model.weight)


@pytest.mark.parametrize("bad", [{1: 2}, {"a": {2, 3}}, {"a": Path("x")}, {"__tensor__": "x"}, {"__float__": "x"}])
def test_what_json_and_safetensors_cannot_hold_is_refused_and_leaves_nothing(tmp_path, bad):
    with pytest.raises(CheckpointError):
        write(tmp_path / "one", bad, kind="model")
    assert list(tmp_path.iterdir()) == []


def test_the_same_tree_gives_the_same_identity_and_another_one_another(tmp_path, tree):
    first, second = write(tmp_path / "a", tree, "model"), write(tmp_path / "b", tree, "model")
    other = write(tmp_path / "c", tree | {"best": 0.3}, "model")
    assert digest(first) == digest(second) != digest(other) and len(digest(first)) == 64


def test_the_digest_does_not_depend_on_the_run_that_left_the_artifact(tmp_path):
    def left(name, cell, **differs):
        config = {"model.weights": f"runs:/{name}/encoder"}
        origin = {"run": name, "cell": cell} | differs
        return digest(write(tmp_path / name, {"config": config, "origin": origin, "w": torch.ones(3)}, "model"))

    first = left("a", "c" * 64)
    assert left("b", "c" * 64) == first
    assert left("other-cell", "d" * 64) != first and left("other-data", "c" * 64, data="e") != first
    assert left("no-cell", "") != left("no-cell-either", "")


def test_the_digest_of_an_artifact_without_a_state_that_can_be_read_is_refused(tmp_path):
    folder = write(tmp_path / "a", {"w": torch.ones(3)}, "model")
    (folder / "state.json").write_text("{")
    with pytest.raises(CheckpointError, match="a is damaged: state.json is no JSON"):
        digest(folder)


def test_writing_again_replaces_the_folder(tmp_path, tree):
    write(tmp_path / "one", tree, "model")
    write(tmp_path / "one", {"new": 1}, "model")
    assert read(tmp_path / "one", "model") == {"new": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


KILLED = """
import sys, torch
from pathlib import Path
from iqa import checkpoint
if sys.argv[2] == "without exchange":
    checkpoint._exchange = lambda one, other: False
checkpoint.save(Path(sys.argv[1]), 3, {"new": 1})
"""


@pytest.mark.parametrize("system", ["with exchange", "without exchange"])
@pytest.mark.parametrize("instant", ["amid-write", "before-rename", "amid-replacing", "after-rename"])
def test_a_kill_amid_replacing_leaves_the_old_one_or_the_new_one(tmp_path, instant, system):
    save(tmp_path, 3, {"old": 1})
    environment = os.environ | {"IQA_KILL_AT": f"{instant}:1"}
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path, system], env=environment, check=False)
    assert done.returncode == -9
    if system == "with exchange":
        assert (tmp_path / "step-000000003").is_dir()  # at no instant without
    found = latest(tmp_path)
    assert found in ((3, {"old": 1}), (3, {"new": 1}))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000003"]


@pytest.mark.parametrize("left", [".tmp-one-abc", ".was-one-abc"])
def test_writing_removes_what_a_kill_left_of_the_same_name(tmp_path, tree, left):
    (tmp_path / left).mkdir()
    write(tmp_path / "one", tree, "model")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_another_kind_is_refused_by_name(tmp_path, tree):
    write(tmp_path / "one", tree, "encoder")
    with pytest.raises(CheckpointError, match="'encoder'.*'model'"):
        read(tmp_path / "one", "model")


def test_another_format_is_refused_by_number(tmp_path, tree):
    manifest = write(tmp_path / "one", tree, "model") / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(CheckpointError, match="format 2.*reads format 1"):
        read(tmp_path / "one", "model")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "grown", "flipped"])
def test_a_damaged_checkpoint_is_detected(tmp_path, tree, name, damage):
    file = write(tmp_path / "one", tree, "model") / name
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "truncated": content[:-9], "grown": content + b"x", "flipped": flipped}[damage])
    with pytest.raises(CheckpointError, match="one"):
        read(tmp_path / "one", "model")


def test_one_flipped_bit_anywhere_is_detected_or_harmless(tmp_path, tree):
    folder = write(tmp_path / "one", tree, "model")
    for name in FILES:
        content = (folder / name).read_bytes()
        for at in range(0, len(content), max(1, len(content) // 40)):
            (folder / name).write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
            with contextlib.suppress(CheckpointError):
                assert_same(read(folder, "model"), tree)  # a space of the manifest's layout
        (folder / name).write_bytes(content)
    assert_same(read(folder, "model"), tree)


def test_the_newest_is_by_step_and_never_by_date(tmp_path):
    for step in (5, 1000, 20):
        save(tmp_path, step, {"step": step}, keep=9)
    os.utime(tmp_path / "step-000000005")
    assert latest(tmp_path) == (1000, {"step": 1000})


def test_a_damaged_newest_is_passed_over_and_said_so(tmp_path, caplog):
    save(tmp_path, 1, {"step": 1})
    (save(tmp_path, 2, {"step": 2}) / "tensors.safetensors").write_bytes(b"")
    assert latest(tmp_path) == (1, {"step": 1})
    assert "step-000000002" in caplog.text


def test_the_sound_one_is_kept_as_the_one_before_and_not_the_damaged_one_that_was_passed_over(tmp_path):
    def damage(step):
        (tmp_path / f"step-00000000{step}" / "tensors.safetensors").write_bytes(b"")

    for step in (7, 8):
        save(tmp_path, step, {"step": step})
    damage(8)
    assert latest(tmp_path) == (7, {"step": 7})
    save(tmp_path, 9, {"step": 9})
    damage(9)
    assert latest(tmp_path) == (7, {"step": 7})


def test_one_that_the_disk_does_not_give_is_passed_over(tmp_path, caplog):
    save(tmp_path, 1, {"step": 1})
    manifest = save(tmp_path, 2, {"step": 2}) / "manifest.json"
    manifest.unlink()
    manifest.mkdir()  # reading it is an OSError, as of a disk that fails
    assert latest(tmp_path) == (1, {"step": 1})
    assert "step-000000002 cannot be read" in caplog.text


def test_one_that_lacks_what_it_presupposes_is_passed_over(tmp_path, caplog):
    def usable(tree):
        if tree["step"] == 2:
            raise CheckpointError("it is odd")

    for step in (1, 2):
        save(tmp_path, step, {"step": step})
    assert latest(tmp_path, usable) == (1, {"step": 1}) and "it is odd" in caplog.text


def test_nothing_to_resume_from_is_none(tmp_path):
    assert latest(tmp_path) is None and latest(tmp_path / "nowhere") is None


def test_older_ones_are_pruned_and_the_one_before_is_kept(tmp_path):
    for step in (1, 2, 3, 4):
        save(tmp_path, step, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000003", "step-000000004"]


def test_the_one_just_written_is_never_pruned_in_favour_of_damaged_newer_ones(tmp_path):
    for step in (7, 8, 9):
        (save(tmp_path, step, {"step": step}, keep=9) / "state.json").unlink()
    save(tmp_path, 5, {"step": 5})
    found = latest(tmp_path)
    assert found is not None and found[0] == 5


def test_older_ones_stay_until_the_new_one_verifies(tmp_path, monkeypatch):
    for step in (1, 2):
        save(tmp_path, step, {"step": step})
    put = checkpoint._put_in_place

    def damage(temporary, folder):
        put(temporary, folder)
        (folder / "state.json").write_bytes(b"{")

    monkeypatch.setattr(checkpoint, "_put_in_place", damage)
    with pytest.raises(CheckpointError, match="damaged"):
        save(tmp_path, 3, {"step": 3})
    assert latest(tmp_path) == (2, {"step": 2}) and (tmp_path / "step-000000001").is_dir()


def test_leftovers_of_a_kill_are_removed(tmp_path):
    save(tmp_path, 1, {"step": 1})
    for name in (".tmp-step-000000002-abc", ".old-step-000000000-abc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tensors.safetensors").write_bytes(b"half")
    latest(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


def test_saving_removes_what_a_kill_left_where_nobody_reads(tmp_path):
    """As in `best`, which no resume looks into."""
    save(tmp_path, 1, {"step": 1})
    (tmp_path / ".old-step-000000000-abc").mkdir()
    save(tmp_path, 2, {"step": 2})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000001", "step-000000002"]


def test_hostile_files_are_refused_and_nothing_of_them_runs(tmp_path):
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (canary,))

    payload = pickle.dumps(Bomb())
    (tmp_path / "weights.pt").write_bytes(payload)
    folder = write(tmp_path / "one", {"a": torch.ones(2)}, "model")
    (folder / "loader.py").write_text(f"open({str(canary)!r}, 'w')")
    for name in FILES:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(payload)
        with pytest.raises(CheckpointError):
            read(folder, "model")
        (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="is a file"):
        read(tmp_path / "weights.pt", "model")
    read(folder, "model")
    assert not canary.exists()


def test_a_manifest_that_vouches_for_a_pickle_does_not_get_it_loaded(tmp_path):
    folder = write(tmp_path / "one", {"a": torch.ones(2)}, "model")
    (folder / "tensors.safetensors").write_bytes(pickle.dumps({"a": 1}))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["tensors.safetensors"] = checkpoint._described(folder / "tensors.safetensors")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="cannot be read"):
        read(folder, "model")


LIMITED = """
import resource, sys, torch
from pathlib import Path
from iqa import checkpoint, disk
folder = Path(sys.argv[1])
checkpoint.save(folder, 1, {"w": torch.zeros(1000)})
for limit in 100, 5_000, 399_000, 400_000:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        checkpoint.save(folder, 2, {"w": torch.zeros(100_000)})
    except checkpoint.CheckpointError as error:
        print(error, disk.refuses(error))
    print(*[path.name for path in folder.iterdir()], checkpoint.latest(folder)[0])
"""


def test_a_full_disk_leaves_the_last_one_and_no_rubbish(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[1::2] == ["step-000000001 1"] * 4
    assert all("bytes are free" in sentence and "step-000000002" in sentence for sentence in lines[0::2])
    assert all(sentence.endswith("True") for sentence in lines[0::2])  # known to be the disk's fault


def test_a_read_only_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match="cannot be written"):
        write(tmp_path / "file" / "one", {"a": 1}, "model")
