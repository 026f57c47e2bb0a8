"""The team's server as plain processes: what it refuses, who may do what, what it keeps. The command lines are those of
docker-compose.yml."""

import base64
import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks import toys
from benchmarks.team import stack as stacks
from iqa import tracking
from server import backup, compose

ROOT = Path(__file__).parent.parent
API, FILES = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
SOME = f"{API}/experiments/get?experiment_id=0"
OUT = "%2e%2e%2f%2e%2e%2fetc%2fpasswd"  # ../../etc/passwd
TRAVERSALS = {
    "encoded dots": ("GET", f"{FILES}/{OUT}"),
    "dots encoded twice": ("GET", f"{FILES}/{OUT.replace('%', '%25')}"),
    "an absolute path": ("GET", f"{FILES}/%2fetc%2fpasswd"),
    "writing through dots": ("PUT", f"{FILES}/%2e%2e%2fescaped"),
    "listing through dots": ("GET", f"{FILES}?path=../../etc"),
    "dots in a run's artifact": ("GET", "/get-artifact?run_uuid={run}&path=../../../etc/passwd"),
}
SMALL = ["--compute.threads=1", "--device=cpu", "--batch_size=6", "--epochs=1"]
PRETRAIN = ["--preset=smoke", *SMALL, "--degrade.crop=32"]
SIZES = ["--degrade.crop=32", "--finetune.crops.size=32", "--evaluate.crops.size=32"]
ALICE = "alice's long password"

processes = pytest.mark.processes
slow = pytest.mark.timeout(900)  # seconds: starts several Python programs one after the other


@pytest.fixture(scope="module")
def team():
    """Everything that docker-compose.yml describes, running."""
    if stacks.lacking():
        pytest.skip(f"not here: {', '.join(stacks.lacking())}")
    with stacks.Stack() as running:
        yield running


@pytest.fixture
def shell(team, home, monkeypatch):
    """This process's environment becomes that of a user: `shell()` is the administrator."""

    def become(user: str = stacks.ADMIN, password: str = "") -> None:
        for name, value in team.environment(user, password).items():
            monkeypatch.setenv(name, value)

    become()
    return become


def ask(team, method, path, body=None, login=None, **headers):
    """The status and the body that the server answers with; login: user and password, "" for none."""
    place = urlsplit(team.address)
    user = login if login is not None else f"{stacks.ADMIN}:{team.secrets['MLFLOW_AUTH_ADMIN_PASSWORD']}"
    if user:
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    try:
        connection.request(method, path, body if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def told(team, path, **body):
    """What the server answers to the administrator."""
    path = path if path.startswith("/") else f"{API}/{path}"
    status, said = ask(team, "POST", path, body, **{"Content-Type": "application/json"})
    assert status == 200, said
    return json.loads(said)


def run(name, *words):
    """A command in this process; its exit code."""
    from importlib import import_module

    return import_module(f"entrypoints.{name}").main(list(words))


# The twelve probes of the deployment: each is refused.


@processes
@slow
def test_probe_1_a_host_that_is_not_named_is_refused(team):
    for host in ("evil.example", "10.evil.com", "192.168.1.1"):
        status, said = ask(team, "GET", SOME, Host=host)
        assert status == 403 and "Invalid Host header" in said


@processes
def test_probe_2_a_page_of_another_origin_changes_nothing(team):
    headers = {"Origin": "https://evil.example", "Content-Type": "application/json"}
    status, said = ask(team, "POST", f"{API}/experiments/create", {"name": "theirs"}, **headers)
    assert status == 403 and "Cross-origin" in said
    assert "theirs" not in [one["name"] for one in told(team, "experiments/search", max_results=100)["experiments"]]


@processes
@pytest.mark.parametrize("name", TRAVERSALS)
def test_probes_3_to_8_no_path_leads_out_of_the_artifacts(team, name):
    method, path = TRAVERSALS[name]
    made = told(team, "runs/create", experiment_id="0")["run"]["info"]["run_id"] if "{run}" in path else ""
    status, said = ask(team, method, path.replace("{run}", made), "text" if method == "PUT" else None)
    assert status == 400 and "Invalid path" in said and "root:" not in said


@processes
def test_probe_9_no_password_is_a_default_one(team):
    for word in ("password1234", "password", "admin", ""):  # the first was MLflow's own
        assert ask(team, "GET", SOME, login=f"admin:{word}")[0] == 401


@processes
def test_probe_10_the_server_runs_no_jobs(team):
    body, kind = {"job_name": "invoke_scorer", "params": {}}, {"Content-Type": "application/json"}
    status, said = ask(team, "POST", "/ajax-api/3.0/jobs/", body, **kind)
    assert status >= 400 and "not enabled" in said


@processes
@pytest.mark.parametrize("path", [SOME, f"{FILES}?path=", "/get-artifact?run_uuid=x&path=y", f"{API}/users/list", "/"])
def test_probe_11_nothing_is_read_without_a_login(team, path):
    assert ask(team, "GET", path, login="")[0] == 401


@processes
@slow
@pytest.mark.parametrize("secret", ["MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"])
def test_probe_12_without_its_secrets_the_server_does_not_start(team, secret, tmp_path):
    service = team.services["mlflow"]
    store = f"--backend-store-uri=sqlite:///{tmp_path}/mlflow.db"
    words = [store if word.startswith("--backend-store-uri") else word for word in service.command]
    auth = (ROOT / "server/auth.ini").read_text("utf-8")
    (tmp_path / "auth.ini").write_text(
        auth.replace("postgresql+psycopg://mlflow@db:5432/mlflow", store.partition("=")[2])
    )
    environment = {name: value for name, value in service.environment.items() if name != secret}
    environment["MLFLOW_AUTH_CONFIG_PATH"] = str(tmp_path / "auth.ini")
    done = subprocess.run(
        words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode != 0 and secret in done.stdout + done.stderr


def test_probe_12_docker_compose_would_not_start_either():
    text = compose.FILE.read_text("utf-8")
    secrets = dict.fromkeys(compose.secrets(text), "x")
    for name in secrets:
        with pytest.raises(ValueError, match=f"{name} is not set: run `make secrets`"):
            compose.services({key: value for key, value in secrets.items() if key != name})


# Users.


@pytest.fixture(scope="module")
def alice(team):
    """A user with an account and nothing else: name and password."""
    told(team, "users/create", username="alice", password=ALICE)
    return "alice", ALICE


@processes
@slow
def test_who_may_not_write_is_refused_in_a_sentence_before_anything_is_computed(shell, alice, photos, capsys):
    assert run("pretrain", *PRETRAIN, f"--data={photos}") == 0
    capsys.readouterr()
    shell(*alice)
    assert len(tracking.rows()) == 1  # who has an account reads
    assert run("pretrain", *PRETRAIN, f"--data={photos}", "--seed=1") == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "does not let 'alice' do this (runs/create): let its administrator give you EDIT" in said[-1]
    assert not [line for line in said if "Traceback" in line]
    shell("alice", "wrong")
    assert run("pretrain", *PRETRAIN, f"--data={photos}") == 2
    assert "refuses the user 'alice' with this password" in capsys.readouterr().err
    shell()
    assert len(tracking.rows()) == 1


@processes
@slow
def test_with_permission_to_edit_she_computes_in_the_same_experiment(shell, alice, team, photos, home):
    with tracking.open_run("pretrain", home / "first", name="first", params={}, tags={}):
        pass
    (row,) = tracking.rows()
    grant = {"resource_type": "experiment", "resource_id": row.experiment_id, "permission": "EDIT"}
    told(team, "/api/3.0/mlflow/users/permissions/grant", username="alice", **grant)
    shell(*alice)
    assert run("pretrain", *PRETRAIN, f"--data={photos}") == 0
    assert sorted(row.status for row in tracking.rows()) == ["FINISHED", "FINISHED"]


@processes
def test_the_studies_role_opens_its_own_database_and_no_other(team):
    import psycopg

    password = team.secrets["OPTUNA_DATABASE_PASSWORD"]
    about = {"host": "127.0.0.1", "port": team.db.port, "user": "optuna", "password": password}
    psycopg.connect(dbname="optuna", **about).close()
    for other in ("mlflow", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(dbname=other, **about)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dbname="optuna", **(about | {"password": "guess"}))


# Work.


def command(home, *words):
    """A command in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with (home / f"{len(list(home.glob('*.out')))}.out").open("w") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "iqa", *words], env=environment, cwd=home, stdout=out, stderr=out
        )


def said(home):
    return "\n".join(file.read_text() for file in home.glob("*.out"))[-3000:]


@processes
@slow
def test_two_experiments_at_once_from_two_processes_share_the_server_and_lose_nothing(shell, home, photos, monkeypatch):
    monkeypatch.setenv("IQA_RUNS", str(home / "runs"))
    (home / "toy.yaml").write_text(toys.EXPERIMENT)
    words = ["--experiment=toy.yaml", "--at_once=1", f"--data={photos}", f"--targets={photos}", *SMALL, *SIZES]
    both = [command(home, "main", *words, f"--seeds={seed}") for seed in (0, 1)]
    assert [one.wait() for one in both] == [0, 0], said(home)
    rows = tracking.rows()
    parents = [row for row in rows if row.tags["stage"] == "experiment"]
    assert len(parents) == 2 and {row.status for row in rows} == {"FINISHED"}
    steps = ["evaluate", "evaluate", "finetune", "finetune", "pretrain"]
    for parent in parents:
        below = [row for row in rows if row.parent == parent.run_id]
        assert sorted(row.tags["stage"] for row in below) == steps
        assert "Toys decide nothing" in tracking.fetch(parent.run_id, "report/report.html").read_text()
    for row in rows:
        for key in row.metrics:
            at = [step for step, _ in tracking.history(row.run_id, key)]
            assert len(at) == len(set(at)), f"{row.name} has {key} twice"


@processes
@slow
def test_a_study_lives_in_the_other_database_and_the_dashboard_shows_it(shell, team, home, photos):
    words = ["--preset=smoke", f"--data={photos}", *SMALL, "--crops.size=32", "--crops.grid=1"]
    assert run("study", "--name=encoder_lr_ratio", "--trials=2", f"--storage={team.studies}", *words) == 0
    assert sorted(row.tags["stage"] for row in tracking.rows()).count("trial") == 2
    place = urlsplit(team.dashboard)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    connection.request("GET", "/api/studies")
    names = [study["study_name"] for study in json.load(connection.getresponse())["study_summaries"]]
    connection.close()
    assert "encoder_lr_ratio-smoke" in names


def study_names(team, new=""):
    """The studies of a server's database, after making a new one if it is named."""
    import optuna

    storage = optuna.storages.RDBStorage(team.studies.replace("://", "+psycopg://"))
    try:
        if new:
            optuna.create_study(storage=storage, study_name=new)
        return optuna.get_all_study_names(storage)
    finally:
        storage.remove_session()
        storage.engine.dispose()


@processes
@pytest.mark.timeout(1800)  # starts two servers
def test_a_backup_put_back_into_a_new_server_has_runs_artifacts_users_and_studies(shell, team, home, monkeypatch):
    told(team, "users/create", username="bob", password="bob's long password")
    assert "kept" in study_names(team, "kept")
    with tracking.open_run("pretrain", home / "one", name="one", params={"a": 1}, tags={}) as opened:
        opened.metrics({"loss": 0.5}, 1)
        (opened.folder / "encoder").mkdir()
        (opened.folder / "encoder/weights.bin").write_bytes(bytes(range(256)) * 40_000)  # more than one part
        opened.artifact(opened.folder / "encoder")
    backup.backup(home / "backup", team.inside)
    with stacks.Stack() as new:
        for name in ("mlflow", "dashboard"):
            new.kill(name)
        sql = backup.sql("CREATE TABLE later (run VARCHAR(32) REFERENCES runs (run_uuid))")
        new.inside("db", [word.replace("--dbname=postgres", "--dbname=mlflow") for word in sql])
        new.inside("db", backup.sql("DROP DATABASE optuna WITH (FORCE)"))  # an earlier restore broke off after this
        backup.restore(home / "backup", new.inside)
        for name in ("mlflow", "dashboard"):
            new.start(name)
        password = team.secrets["MLFLOW_AUTH_ADMIN_PASSWORD"]
        for name, value in new.environment(password=password).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("IQA_CACHE", str(home / "another"))
        assert tracking.history(opened.run_id, "loss") == [(1, 0.5)]
        assert tracking.fetch(opened.run_id, "encoder/weights.bin").read_bytes() == bytes(range(256)) * 40_000
        assert ask(new, "GET", SOME, login="bob:bob's long password")[0] == 200
        assert "kept" in study_names(new)
        later = backup.sql("DROP TABLE later")
        with pytest.raises(subprocess.CalledProcessError):  # a table that the server had and the backup has not
            new.inside("db", [word.replace("--dbname=postgres", "--dbname=mlflow") for word in later])
