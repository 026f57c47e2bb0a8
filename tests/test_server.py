"""The team's server around its containers: the compose file as processes read it, backup, digests, secrets."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from server import __main__ as commands
from server import backup, compose, images, objects

TOY = """
services:
  late:
    command: [serve, "--names=${NAMES:-a,b}"]
    environment: {PASSWORD: "${PASSWORD:?set it}", NUMBER: 1}
    healthcheck: {test: [CMD, ask]}
    depends_on: {early: {condition: service_healthy}}
  early:
    command: [first]
    healthcheck: {test: [CMD, ask]}
"""


def test_services_are_read_with_their_values_each_after_those_that_it_needs():
    read = compose.services({"PASSWORD": "p"}, TOY)
    assert list(read) == ["early", "late"]
    assert read["late"] == compose.Service("late", ("serve", "--names=a,b"), {"PASSWORD": "p", "NUMBER": "1"}, ("ask",))


def test_a_value_that_is_given_stands_above_the_default():
    assert compose.services({"PASSWORD": "p", "NAMES": "c"}, TOY)["late"].command == ("serve", "--names=c")


@pytest.mark.parametrize("values", [{}, {"PASSWORD": ""}])
def test_without_a_secret_nothing_is_read(values):
    with pytest.raises(ValueError, match="PASSWORD is not set: set it."):
        compose.services(values, TOY)


def test_the_secrets_of_the_file_are_those_without_a_default():
    assert compose.secrets(TOY) == ["PASSWORD"]


def echo(service, words, source, out):
    """Inside a toy of a service: what was asked is what comes out, of the objects as the name of one in a tar file."""
    if out is None:
        return
    asked = " ".join((service, *words))
    if service == "db":
        out.write(asked.encode())
    else:
        with tarfile.open(fileobj=out, mode="w|") as archive:
            archive.addfile(tarfile.TarInfo(asked))


def test_a_backup_is_two_dumps_and_then_the_objects_in_a_folder_of_its_own(tmp_path):
    files = backup.backup(tmp_path / "b", echo)
    assert [file.name for file in files] == ["mlflow.dump", "optuna.dump", "objects.tar"]
    with tarfile.open(files[2]) as archive:
        assert files[0].read_text().startswith("db pg_dump ") and archive.getnames()[0].startswith("mlflow python ")
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700
    with pytest.raises(ValueError, match="is there already"):
        backup.backup(tmp_path / "b", echo)


def test_a_backup_that_breaks_leaves_no_folder_of_its_name(tmp_path):
    def broken(service, words, source, out):
        if service == "mlflow":
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        backup.backup(tmp_path / "b", broken)
    assert not (tmp_path / "b").exists()
    backup.backup(tmp_path / "b", echo)  # and the next attempt does not trip over what is left


def test_only_a_whole_backup_is_put_back_each_file_into_its_service(tmp_path):
    backup.backup(tmp_path / "b", echo)
    asked = []
    backup.restore(
        tmp_path / "b",
        lambda service, words, source, out: asked.append((service, words, source.read() if source else b"")),
    )
    put = [(service, words[-1], content) for service, words, content in asked if content]
    assert put == [
        ("db", "--dbname=mlflow_new", (tmp_path / "b/mlflow.dump").read_bytes()),
        ("db", "--dbname=optuna_new", (tmp_path / "b/optuna.dump").read_bytes()),
        ("mlflow", "mlflow", (tmp_path / "b/objects.tar").read_bytes()),
    ]
    assert [words[-1] for _, words, _ in asked[-2:]] == [compose.address("mlflow"), compose.address("dashboard")]
    (tmp_path / "b/objects.tar").unlink()
    with pytest.raises(ValueError, match="has no objects.tar: give a folder that `make backup` has written"):
        backup.restore(tmp_path / "b", echo)


def test_a_dump_that_is_damaged_takes_nothing_s_place(tmp_path):
    backup.backup(tmp_path / "b", echo)
    asked = []

    def broken(service, words, source, out):
        asked.append(" ".join(words))
        if "--dbname=optuna_new" in words:
            raise subprocess.CalledProcessError(1, words)

    with pytest.raises(subprocess.CalledProcessError):
        backup.restore(tmp_path / "b", broken)
    assert not [words for words in asked if "DROP DATABASE mlflow " in words or "RENAME" in words]


@pytest.mark.parametrize("left", [0, 600, 1500])
def test_objects_that_are_cut_are_refused_before_anything_is_changed(left, tmp_path):
    backup.backup(tmp_path / "b", echo)
    with tarfile.open(tmp_path / "b/objects.tar", "w") as archive:
        about = tarfile.TarInfo("model")
        about.size = 2000
        archive.addfile(about, io.BytesIO(bytes(2000)))
    with (tmp_path / "b/objects.tar").open("r+b") as file:
        file.truncate(left)
    with pytest.raises(ValueError, match="objects.tar is cut or no tar file .*: give another backup"):
        backup.restore(tmp_path / "b", lambda *asked: pytest.fail(f"{asked} changes something"))


def test_the_database_of_a_service_is_the_one_that_its_command_line_names():
    assert compose.address("mlflow") == "postgresql+psycopg://mlflow@db:5432/mlflow"
    assert compose.address("dashboard") == "postgresql+psycopg://optuna@db:5432/optuna"


class Bucket:
    """As much of an S3 client as one bucket needs."""

    class exceptions:  # noqa: N801
        NoSuchKey = KeyError

    def __init__(self, **content: bytes):
        self.content = content

    def get_paginator(self, _):
        return self

    def paginate(self, Bucket):  # noqa: N803
        return [{"Contents": [{"Key": key} for key in [*self.content, "gone"]]}, {}]

    def get_object(self, Bucket, Key):  # noqa: N803
        from datetime import UTC, datetime

        about = {"ContentLength": len(self.content[Key]), "LastModified": datetime.now(UTC)}
        return about | {"Body": io.BytesIO(self.content[Key])}

    def create_bucket(self, Bucket):  # noqa: N803
        """It is there."""

    def upload_fileobj(self, content, bucket, key):
        self.content[key] = content.read()


def test_objects_go_into_one_tar_file_and_back_and_what_vanished_meanwhile_is_left_out():
    full, out, empty = Bucket(a=b"x" * 100_000, b=b""), io.BytesIO(), Bucket(other=b"stays")
    assert objects.save(full, "mlflow", out) == 2
    out.seek(0)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        assert archive.getnames() == ["a", "b"]
    assert objects.load(empty, "mlflow", out) == 2
    assert empty.content == full.content | {"other": b"stays"}


FILES = {
    "docker-compose.yml": "  a:\n    image: db:1.2\n  b:\n    image: iqa-server:0.1.0\n",
    "Dockerfile": "FROM x/y:3\n",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_digests_are_written_behind_the_tags_but_not_of_what_is_built_here(tree):
    for letter in "01":  # a second time replaces the first
        images.pin(lambda image, letter=letter: f"sha256:{letter * 64}", tree)
        assert f"image: db:1.2@sha256:{letter * 64}\n" in (tree / "docker-compose.yml").read_text()
        assert (tree / "Dockerfile").read_text() == f"FROM x/y:3@sha256:{letter * 64}\n"
    assert "image: iqa-server:0.1.0\n" in (tree / "docker-compose.yml").read_text()


def test_nothing_is_written_unless_every_digest_was_found(tree):
    def resolve(image):
        if image == "x/y:3":
            raise ValueError("no such image")
        return f"sha256:{'0' * 64}"

    with pytest.raises(ValueError, match="no such image"):
        images.pin(resolve, tree)
    assert {name: (tree / name).read_text() for name in FILES} == FILES


def test_secrets_are_random_long_and_never_written_over(tmp_path):
    (tmp_path / "example").write_text("# A=\nA=\nB=\nC=given\n")
    text = commands.written(tmp_path / "example", tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in text.splitlines()[1:])
    assert text.startswith("# A=\n") and values["C"] == "given"
    assert len(values["A"]) == len(values["B"]) == 64 and values["A"] != values["B"]
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        commands.written(tmp_path / "example", tmp_path / ".env")


def test_where_no_engine_is_that_is_one_sentence_and_exit_two(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for words in (["backup", str(tmp_path / "b")], ["pin-images"]):
        assert commands.main(words) == 2
        assert capsys.readouterr().err == (
            "error: There is no docker with compose here: install it (docs/team-server.md).\n"
        )


def test_the_image_s_files_import_nothing_of_ours():
    for name in ("objects.py", "dashboard.py"):
        text = Path(compose.ROOT, "server", name).read_text("utf-8")
        assert "from server" not in text and "import server" not in text
