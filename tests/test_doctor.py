"""iqa doctor: what it looks at, what it says, and that it neither writes nor waits."""

import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from entrypoints import doctor as command
from iqa import doctor, machine
from iqa.tracking import answering, condition

ITEMS = ["iqa", "torch", "device", "cores", "pretrain", "finetune", "store", "studies", "data", "runs", "cache"]


@pytest.fixture(autouse=True)
def place(home, monkeypatch):
    """An empty folder without a store, nothing of the shell's own settings."""
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name in ("OPTUNA_STORAGE", "IQA_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/none.db")
    monkeypatch.setattr(answering, "PATIENCE", 0.5)
    return home


@pytest.fixture
def server(monkeypatch):
    """A toy of MLflow's server that knows one user; what it was asked with."""
    asked = []

    class Toy(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization", "")))
            known = self.path == "/health" or self.headers.get("Authorization") == "Basic YWxpY2U6c2VjcmV0"
            self.send_response(200 if known else 401)
            self.end_headers()
            self.wfile.write(b"9.9.9" if self.path == "/version" else b"{}")

        def log_message(self, *_):
            """Nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Toy)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{running.server_port}")
    yield asked
    running.shutdown()
    running.server_close()


def looked(capsys, *words):
    """The exit code, and the lines by what they are about."""
    code = command.main(list(words))
    lines = capsys.readouterr().out.splitlines()
    items: dict[str, list[str]] = {}
    for line in lines[:-1]:
        items.setdefault(line[4:].split()[0], []).append(line)
    return code, items, lines[-1]


def test_a_ready_computer_gets_a_line_for_each_item_and_nothing_is_written(place, capsys):
    code, items, last = looked(capsys)
    assert (code, last) == (0, "everything is ready") and list(items) == ITEMS
    assert all(line.startswith("ok  ") for lines in items.values() for line in lines)
    assert "none.db is made on first use" in items["store"][0]
    assert [line.split()[2] for line in items["data"]] == ["sample", "sample_optics", "sample_sensor"]
    assert {path.name for path in place.iterdir()} <= {"cache"}  # neither a store nor a run's folder


def test_a_batch_that_does_not_fit_is_told_what_does(place, capsys):
    code, items, _ = looked(capsys, "--batch_size=1000000", "--device=cpu")
    assert code == 2 and items["finetune"][0].startswith("!!  finetune  about ")
    assert "give compute.micro_batch=" in items["finetune"][0]


def test_what_is_wrong_has_its_remedy_in_its_line_and_the_exit_code_is_two(place, capsys):
    (place / "koniq").mkdir()
    (place / "koniq/koniq10k_distributions_sets.csv").write_text("image_name\n")
    code, items, last = looked(capsys, "--preset=paper", f"--data_root={place}", "--batch_size=1000000", "--device=cpu")
    assert code == 2 and last.endswith("things need to be mended")
    assert items["finetune"][0].startswith("ok  finetune  about ") and "(micro_batch=auto)" in items["finetune"][0]
    found = {line.split()[2]: line for line in items["data"]}
    assert found["koniq"].startswith("ok") and str(place / "koniq") in found["koniq"]
    assert found["spaq"].startswith("!!") and "get it from http" in found["spaq"] and "data_root" in found["spaq"]


def test_a_device_that_is_not_there_is_said(capsys, monkeypatch):
    monkeypatch.setattr(machine.torch.cuda, "is_available", lambda: False)
    code, items, _ = looked(capsys, "--device=cuda")
    assert code == 2 and "no cuda device" in items["device"][0] and "use auto or cpu" in items["device"][0]


def test_an_unknown_parameter_is_refused_with_the_nearest(capsys):
    assert command.main(["--data_rot=/data"]) == 2
    assert "data_root" in capsys.readouterr().err


def test_a_store_that_does_not_answer_is_not_waited_for(capsys, monkeypatch):
    with socket.socket() as silent:  # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OPTUNA_STORAGE", "postgresql://optuna:hidden@127.0.0.1:9/optuna")
        code, items, _ = looked(capsys)
    assert code == 2 and "does not answer (timed out): start it" in items["store"][0]
    assert items["studies"][0].startswith("!!") and "hidden" not in items["studies"][0]


def test_a_file_that_is_no_database_is_said(place, capsys):
    (place / "none.db").write_text("garbage" * 100)
    code, items, _ = looked(capsys)
    assert code == 2 and "file is not a database" in items["store"][0] and "move a damaged file" in items["store"][0]


def test_offline_no_store_is_asked(server, capsys):
    code, items, _ = looked(capsys, "--offline=true")
    os.environ.pop("IQA_OFFLINE")
    assert code == 0 and "is not asked" in items["store"][0] and not server


def test_a_server_is_asked_as_the_user_and_says_its_version(server, monkeypatch):
    said, remedy = condition.condition()
    assert "asks for a login" in remedy and condition.login().startswith("no user")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "alice")
    assert "without a password" in condition.login()
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    assert "refuses the user 'alice'" in condition.condition()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    said, remedy = condition.condition()
    assert "answers, MLflow 9.9.9 (here: 3." in said and remedy == "" and "secret" not in said + condition.login()


@pytest.mark.parametrize("status", [404, 499, 500, 520])
def test_a_server_that_answers_with_any_number_is_an_item_of_the_list(server, status, capsys, monkeypatch):
    monkeypatch.setattr(condition, "_ask", lambda *_: (status, ""))
    code, items, _ = looked(capsys)
    assert code == 2 and f"cannot be used (it says {status})" in items["store"][0] and "cache" in items


def test_credentials_may_come_from_mlflow_s_own_file(server, place):
    (place / ".mlflow").mkdir()
    (place / ".mlflow/credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = alice\nmlflow_tracking_password = secret\n"
    )
    assert condition.condition()[1] == "" and condition.login() == "user 'alice'"


def test_a_set_that_was_prepared_is_said_to_be(place):
    (place / "cache/manifests").mkdir(parents=True)
    (place / "cache/manifests/sample-by-content.csv").touch()
    assert doctor.one_set("sample", "")[0].endswith(", prepared")
    assert not doctor.one_set("sample_optics", "")[0].endswith(", prepared")
    assert doctor.one_set("nowhere", "")[1].startswith("give a folder, or one of")


def test_little_room_on_a_disk_is_said(monkeypatch):
    monkeypatch.setattr(doctor, "LITTLE", 1e30)
    assert all("make room" in item.remedy for item in doctor.disks())
