"""Files whole or not at all, the sentence about one that was refused, and the folder of caches."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from iqa import disk

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("mode", "old", "new"), [("w", "kept", "größer\n"), ("wb", b"kept", b"\x00\r\n")])
def test_a_file_has_its_old_content_until_the_new_one_is_whole(shared, mode, old, new, tmp_path):
    file = tmp_path / "a.csv"
    with disk.whole(file, mode, shared) as out:
        out.write(old)
        assert not file.exists()
    with pytest.raises(KeyboardInterrupt), disk.whole(file, mode, shared) as out:
        out.write(new)
        raise KeyboardInterrupt
    expected = old if mode == "wb" else old.encode()
    assert file.read_bytes() == expected and list(tmp_path.iterdir()) == [file]
    with disk.whole(file, mode, shared) as out:
        out.write(new)
    assert file.read_bytes() == (new if mode == "wb" else new.encode())


def test_what_a_kill_left_is_replaced_by_the_next_one_and_of_a_shared_file_nobody_takes_another_s(tmp_path):
    def begun(shared):
        with disk.whole(tmp_path / "a", shared=shared):
            return {path.name for path in tmp_path.glob(".*")}

    assert begun(False) == begun(False) and begun(True).isdisjoint(begun(True))


def test_a_name_as_long_as_a_disk_takes_it_is_written(tmp_path):
    with disk.whole(tmp_path / ("a" * 255)) as out:
        out.write("x")
    assert (tmp_path / ("a" * 255)).read_text() == "x"


def test_an_error_names_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as refused, disk.whole(tmp_path / "nowhere" / "a.csv"):
        raise AssertionError("it was begun")
    assert refused.value.filename == str(tmp_path / "nowhere" / "a.csv")


def test_what_could_not_be_written_is_told_with_the_reason_and_what_is_free(tmp_path):
    said = disk.unwritten(tmp_path / "not" / "there", OSError(28, "No space left on device"))
    assert said.startswith(f"{tmp_path}/not/there cannot be written (No space left on device; ")
    assert said.endswith(" bytes are free there)")


def test_the_cache_is_where_it_is_set_to_and_at_home_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "there"))
    assert disk.cache_folder() == tmp_path / "there" and disk.cache_folder().is_dir()
    monkeypatch.delenv("IQA_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert disk.cache_folder() == tmp_path / ".cache" / "iqa"


def test_a_cache_that_cannot_be_made_says_where_it_is_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(disk.CacheError, match="/file/cache cannot be written .Not a dir.*set IQA_CACHE to another"):
        disk.cache_folder()


@pytest.mark.parametrize(
    "work",
    [
        "from iqa.tracking import lock; lock.hold(file / 'run')",
        "import resource, signal; from iqa.tracking.journal import Journal; file.unlink(); journal = Journal(file)\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, -1))\n"
        "    journal.append('begin')",
        "from entrypoints import command; raise ValueError(command.sentence(OSError(28, 'No space', str(file))))",
    ],
    ids=["lock", "journal", "command"],
)
def test_the_sentence_about_a_disk_that_takes_nothing_does_not_wait_for_torch(work, tmp_path):
    (tmp_path / "file").write_text("")
    code = (
        f"import sys\nfrom pathlib import Path\nfile = Path({str(tmp_path / 'file')!r})\ntry:\n    {work}\n"
        "except ValueError as error:\n    print('cannot be written' in str(error), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_a_file_s_digest_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert (
        disk.file_digest(tmp_path / "a").startswith("ba7816bf8f01cfea") and len(disk.file_digest(tmp_path / "a")) == 64
    )


def raised(error, cause=None):
    try:
        raise error from cause
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        (OSError(errno.ENOSPC, "no space"), True),
        (PermissionError(errno.EACCES, "not allowed"), True),
        (raised(ValueError("a cache"), raised(ValueError("a file"), OSError(errno.EROFS, "read-only"))), True),
        (FileNotFoundError(errno.ENOENT, "not there"), False),
        (raised(ValueError("damaged"), KeyError("manifest")), False),
        (ValueError("epochs = -1"), False),
    ],
)
def test_what_a_disk_refuses_is_told_from_what_work_does_wrong(error, whose):
    assert disk.refuses(error) == whose
