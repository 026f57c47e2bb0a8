"""docker-compose.yml keeps to safe defaults: no port beyond loopback, no secret by default, nothing as root."""

import re
import warnings
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")
SECRET = re.compile(r"PASSWORD|SECRET|KEY|TOKEN")
REQUIRED = re.compile(r"\$\{(\w+):\?[^}]+\}")

each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def option(service: str, name: str) -> str:
    """The value of a --name=value word in a service's command line."""
    (found,) = [word.partition("=")[2] for word in SERVICES[service]["command"] if word.startswith(f"--{name}=")]
    return found


def test_there_are_a_server_and_a_database():
    assert {"mlflow", "db"} <= set(SERVICES)


@each_service
def test_ports_are_published_on_loopback_only(name):
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_the_database_is_not_published_and_its_network_has_no_way_out():
    assert "ports" not in SERVICES["db"]
    assert SERVICES["db"]["networks"] == ["back"]
    assert COMPOSE["networks"]["back"]["internal"] is True


@each_service
def test_every_secret_is_required_and_none_has_a_default(name):
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRET.search(variable):
            assert REQUIRED.fullmatch(value), f"{variable} can be started without a secret"
    assert not re.search(r"\$\{\w*(PASSWORD|SECRET|KEY|TOKEN)\w*(:?-[^}]*)?\}", yaml.safe_dump(SERVICES[name]))


@each_service
def test_no_secret_stands_on_a_command_line(name):
    assert not [word for word in SERVICES[name]["command"] if "$" in word]


def test_the_example_names_every_required_secret_and_fills_in_none():
    lines = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if line and not line.startswith("#"))
    assert lines == dict.fromkeys(REQUIRED.findall(TEXT), "")


@each_service
def test_images_have_a_full_version_tag(name):
    image, _, tag = SERVICES[name]["image"].rpartition(":")
    assert image and re.fullmatch(r"\d+\.\d+(\.\d+)?(-\w+)?", tag), SERVICES[name]["image"]


def test_the_image_that_is_built_here_starts_from_a_full_version_and_installs_from_the_lock():
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    assert re.fullmatch(r"FROM python:3\.\d+\.\d+-slim-\w+", next(line for line in lines if line.startswith("FROM")))
    installed = [line for line in lines if "pip install" in line]
    assert installed and all("--constraint /tmp/requirements.lock" in line for line in installed)
    assert [line for line in lines if line.startswith("USER")][-1] == "USER 10001:10001"


@each_service
def test_nothing_runs_as_root_or_can_become_it(name):
    user, _, group = SERVICES[name]["user"].partition(":")
    assert int(user) > 0 and int(group) > 0
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in SERVICES[name]["security_opt"]
    assert not SERVICES[name].get("privileged")


@each_service
def test_every_service_has_a_health_check_and_its_command_line_in_this_file(name):
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert isinstance(SERVICES[name]["command"], list)


@each_service
def test_state_lives_in_named_volumes(name):
    sources = [volume.partition(":")[0] for volume in SERVICES[name]["volumes"]]
    assert set(sources) <= set(COMPOSE["volumes"])


def test_the_server_spells_out_its_hosts_with_and_without_port():
    hosts = option("mlflow", "allowed-hosts").split(",")
    assert not [host for host in hosts if "*" in host]
    names = {host.partition(":")[0] for host in hosts}
    assert set(hosts) == names | {f"{name}:{option('mlflow', 'port')}" for name in names}
    assert {"mlflow", "localhost", "127.0.0.1"} <= names


def test_the_server_asks_for_a_login_and_runs_nobody_s_code():
    assert option("mlflow", "app-name") == "basic-auth"
    assert SERVICES["mlflow"]["environment"]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert SERVICES["mlflow"]["environment"]["MLFLOW_ALLOW_MODEL_CODE_EXECUTION"] == "false"


def test_the_server_waits_for_a_healthy_database():
    assert SERVICES["mlflow"]["depends_on"]["db"]["condition"] == "service_healthy"


def test_mlflow_knows_every_option_of_the_command_line():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its command line imports all of MLflow, with whatever that warns of
        from mlflow.cli import server
    known = {spelling for parameter in server.params for spelling in parameter.opts}
    words = SERVICES["mlflow"]["command"]
    assert words[:2] == ["mlflow", "server"]
    assert {word.partition("=")[0] for word in words[2:]} <= known
