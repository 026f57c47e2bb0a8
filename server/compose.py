"""docker-compose.yml read: what each service runs, with which environment, and how one asks whether it is well."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """A service's command line, its environment, the command that says by its exit code whether it is well."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    health: tuple[str, ...]


def services(values: Mapping[str, str], text: str = "") -> dict[str, Service]:
    """name → service, in an order in which they can be started. Raises ValueError where a secret is missing."""
    read = yaml.safe_load(text or FILE.read_text(encoding="utf-8"))["services"]
    return {name: _service(name, read[name], values) for name in ordered(read)}


def address(name: str) -> str:
    """The database that a service's command line names."""
    words = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"][name]["command"]
    (found,) = (word[word.index("postgresql") :] for word in words if "postgresql" in word)
    return found


def ordered(read: Mapping[str, Any]) -> list[str]:
    """Names of services, each after those that it depends on."""
    names: list[str] = []

    def add(name: str) -> None:
        for other in read[name].get("depends_on", ()):
            add(other)
        if name not in names:
            names.append(name)

    for name in read:
        add(name)
    return names


def _service(name: str, about: Mapping[str, Any], values: Mapping[str, str]) -> Service:
    said, *health = about["healthcheck"]["test"]
    assert said == "CMD"  # no shell
    environment = {key: filled(str(value), values) for key, value in about.get("environment", {}).items()}
    command = tuple(filled(word, values) for word in about["command"])
    return Service(name, command, environment, tuple(filled(word, values) for word in health))


def filled(text: str, values: Mapping[str, str]) -> str:
    """${NAME:?message} and ${NAME:-default} as docker compose fills them in. Raises ValueError with the message."""

    def value(found: re.Match[str]) -> str:
        name, kind, word = found.groups()
        if values.get(name):
            return values[name]
        if kind == "?":
            raise ValueError(f"{name} is not set: {word}.")
        return word or ""

    return VARIABLE.sub(value, text)


def secrets(text: str) -> list[str]:
    """The names of the values without which nothing starts."""
    return list(dict.fromkeys(name for name, kind, _ in VARIABLE.findall(text) if kind == "?"))
