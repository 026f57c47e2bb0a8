"""Services of docker-compose.yml as plain processes: what they are given there, and nothing else."""

from pathlib import Path

from benchmarks import plain
from server import compose

ROOT = Path(__file__).parent.parent
DESCRIBED = compose.services(dict.fromkeys(compose.secrets(compose.FILE.read_text("utf-8")), "x"))


def test_every_port_of_the_command_lines_is_known_and_no_other_number():
    known = plain.ports(DESCRIBED.values())
    assert {5000, 8080, 8333, 9333} <= set(known) and 1024 not in known


def test_a_command_line_differs_from_the_file_s_in_places_and_ports_alone(tmp_path):
    places = plain.Places(tmp_path, {5000: 50001, 8333: 50002, 5432: 50003})
    moved = {
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--port=5000": "--port=50001",
        "--allowed-hosts=mlflow,mlflow:5000": "--allowed-hosts=mlflow,mlflow:50001",
        "postgresql+psycopg://mlflow@db:5432/mlflow": "postgresql+psycopg://mlflow@127.0.0.1:50003/mlflow",
        "http://objects:8333": "http://127.0.0.1:50002",
        "-dir=/objects": f"-dir={tmp_path}/objects",
        "/etc/iqa/auth.ini": f"{tmp_path}/auth.ini",
        "/etc/iqa/objects.py": f"{ROOT}/server/objects.py",
        "-master.volumeSizeLimitMB=1024": "-master.volumeSizeLimitMB=1024",
        "max_connections=200": "max_connections=200",
    }
    assert {text: places.moved(text) for text in moved} == moved


def test_the_s3_server_has_no_place_and_no_port_of_the_container(tmp_path):
    described = DESCRIBED["objects"]
    places = plain.Places(tmp_path)
    places.listen([described])
    words = places.service(described).command
    assert f"-dir={tmp_path}/objects" in words and "-s3.ip.bind=127.0.0.1" in words and "-s3.port.lance=0" in words
    others = [word for word, before in zip(words, described.command, strict=True) if word != before]
    assert len({word.partition("=")[2] for word in others}) == len(others) == 10
