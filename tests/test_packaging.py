"""MLproject, conda.yaml, pyproject.toml and requirements.lock agree; the wheel holds what a clone holds."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from iqa import config

ROOT = Path(__file__).parent.parent
ENTRY_POINTS = {"main", "pretrain", "finetune", "evaluate", "report", "study", "plan", "compare", "ablate", "data"}
ENTRY_POINTS |= {"sync", "clean", "doctor", "score"}
EXPERIMENTS = {"main", "report", "plan", "ablate"}  # take the preset of their experiment
HOSTILE = ["--lr=9", "a b", "$(touch pwned)", "it's", '"; exit 7 #', "`id`", "ü\nx", "{data}", "*", "-", "~"]


def project() -> dict:
    """pyproject.toml's [project]."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def mlproject() -> dict:
    """MLproject's entry points by name."""
    return yaml.safe_load((ROOT / "MLproject").read_text("utf-8"))["entry_points"]


def conda() -> tuple[list[str], list[str]]:
    """conda.yaml's own dependencies, and those under pip."""
    listed = yaml.safe_load((ROOT / "conda.yaml").read_text("utf-8"))["dependencies"]
    return [one for one in listed if isinstance(one, str)], listed[-1]["pip"]


def lock() -> list[str]:
    """The pins of requirements.lock."""
    return (ROOT / "requirements.lock").read_text("utf-8").splitlines()


def canonical(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines: list[str]) -> dict[str, set[str]]:
    """{package: its pinned versions}; more than one where Python versions differ."""
    versions: dict[str, set[str]] = {}
    for requirement in map(Requirement, lines):
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{requirement} is not pinned"
        versions.setdefault(canonical(requirement.name), set()).add(pin.version)
    return versions


def disagreeing(ranges: list[str], locked: dict[str, set[str]]) -> list[str]:
    """The ranges that a pin misses, or that have none."""
    wanted = [Requirement(line) for line in ranges]
    found = {str(one): locked.get(canonical(one.name), set()) for one in wanted}
    return [str(one) for one in wanted if not found[str(one)] or not all(map(one.specifier.contains, found[str(one)]))]


def test_every_line_of_the_lock_is_a_pin_and_no_address():
    assert len(pins(lock())) > 100
    for file in ("requirements.lock", "conda.yaml", "pyproject.toml"):
        assert not re.search(r"https?://|--(extra-)?index|--find-links|@ file", (ROOT / file).read_text("utf-8")), file


def test_the_lock_lies_inside_every_range_of_pyproject():
    ranges = project()["dependencies"] + sum(project()["optional-dependencies"].values(), [])
    assert not disagreeing(ranges, pins(lock()))


def test_a_range_that_the_lock_misses_is_noticed():
    assert disagreeing(["torch>=3", "nosuch", "numpy>=2"], {"torch": {"2.14.1"}, "numpy": {"2.4.6"}}) == [
        "torch>=3",
        "nosuch",
    ]


def imported() -> set[str]:
    """The top-level modules that the installed package imports."""
    files = [file for part in ("iqa", "entrypoints", "studies") for file in (ROOT / part).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names}


def test_what_the_package_imports_it_depends_on_by_name():
    owners = packages_distributions()
    declared = {canonical(Requirement(line).name) for line in project()["dependencies"]}
    ours = {*sys.stdlib_module_names, "iqa", "entrypoints", "studies"}
    lacking = {name for name in imported() - ours if not declared & set(map(canonical, owners.get(name, [])))}
    assert lacking == set()


def test_the_versions_that_have_to_match_are_pinned():
    locked = pins(lock())
    wanted = {"torch": "2.14.1", "torchvision": "0.29.1", "mlflow": "3.17.2", "optuna": "5.0.0", "piq": "0.8.0"}
    assert {name: locked[name] for name in wanted} == {name: {version} for name, version in wanted.items()}


def test_conda_yaml_is_python_and_pip_and_the_lock_s_own_lines():
    own, under_pip = conda()
    assert own == ["python=3.11", "pip"]  # the environment managers of `mlflow run` understand no other
    assert set(under_pip) <= set(lock())
    assert not disagreeing(project()["dependencies"], pins(under_pip))


def test_conda_yaml_holds_third_party_packages_only():
    assert not [line for line in conda()[1] if line.startswith("-") or canonical(Requirement(line).name) == "iqa"]
    assert not (ROOT / "uv.lock").exists()  # would make `--env-manager uv` install something else


def test_supported_pythons_are_the_same_everywhere():
    assert project()["requires-python"] == ">=3.11,<3.15"
    assert "(3, 11) <= sys.version_info[:2] <= (3, 14)" in (ROOT / "Makefile").read_text("utf-8")


def test_mlproject_names_the_entry_points_and_one_environment():
    whole = yaml.safe_load((ROOT / "MLproject").read_text("utf-8"))
    assert set(whole["entry_points"]) == ENTRY_POINTS
    assert set(whole) == {"name", "conda_env", "entry_points"}
    assert whole["conda_env"] == "conda.yaml"


@pytest.mark.parametrize("stage", sorted(config.FLAT))
def test_mlproject_s_parameters_are_the_config_s_flat_names(stage):
    assert set(mlproject()[stage]["parameters"]) - {"preset", "offline"} == set(config.FLAT[stage])


@pytest.mark.parametrize("name", sorted(ENTRY_POINTS - set(config.FLAT)))
def test_the_other_entry_points_share_the_stages_names(name):
    own = {"preset", "experiment", "seeds", "name", "trials", "workers", "study", "folds", "arm", "sampler", "pruner"}
    own |= {"storage", "grace", "action", "cache", "count", "pictures"}
    own |= {"treatment", "baseline", "commands", "only", "force", "accept_code", "at_once", "check", "bundle"}
    own |= {"offline", "folder", "yes", "paths", "model", "output", "sheet", "input_size"}
    assert set(mlproject()[name]["parameters"]) - own <= set().union(*config.FLAT.values())


@pytest.mark.parametrize("name", sorted(ENTRY_POINTS))
def test_every_parameter_is_typed_and_stays_unset_unless_given(name):
    for parameter, told in mlproject()[name]["parameters"].items():
        assert told["type"] in ("string", "int", "float"), "MLflow checks path and uri before our code can"
        assert told["default"] == ("demo" if parameter == "preset" and name not in EXPERIMENTS else config.UNSET)


@pytest.mark.parametrize("name", sorted(ENTRY_POINTS))
def test_commands_hold_bare_placeholders_once_each_and_nothing_else(name):
    entry = mlproject()[name]
    words = entry["command"].split()
    assert words[:3] == ["python", "-m", f"entrypoints.{name}"]
    assert words[3:] == [f"--{parameter}={{{parameter}}}" for parameter in entry["parameters"]]
    assert (ROOT / "entrypoints" / f"{name}.py").is_file()


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_stays_one_value_however_it_is_spelled(value):
    from mlflow.projects._project_spec import load_project

    entry = load_project(str(ROOT)).get_entry_point("finetune")
    words = shlex.split(entry.compute_command({"data": value, "optim.floor": value}, None))
    assert f"--data={value}" in words
    assert words[-2:] == ["--optim.floor", value]


def test_a_shell_executes_nothing_that_a_value_holds(tmp_path):
    from mlflow.projects._project_spec import load_project

    command = load_project(str(ROOT)).get_entry_point("pretrain").compute_command({"data": "$(touch pwned)`id`"}, None)
    arguments = command.removeprefix("python -m entrypoints.pretrain")
    done = subprocess.run(["bash", "-c", f"printf '%s\\n' {arguments}"], cwd=tmp_path, capture_output=True, text=True)
    assert "--data=$(touch pwned)`id`" in done.stdout.splitlines()
    assert not list(tmp_path.iterdir())


def test_pyproject_lists_every_package_of_the_tree():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    below = {path.parent.relative_to(ROOT) for path in (ROOT / "iqa").rglob("__init__.py")}
    mapped = set(setuptools["package-dir"]) - {"iqa"}
    assert set(setuptools["packages"]) == {".".join(folder.parts) for folder in below} | mapped


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of a copy of the tree, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("iqa", "entrypoints", "studies", "experiments"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    build = "import sys, setuptools.build_meta as backend; print(backend.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=folder, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_claims_no_top_level_name_but_its_own(wheel):
    assert {path.name for path in wheel.iterdir() if path.suffix != ".dist-info"} == {"iqa"}


def test_the_wheel_holds_presets_experiments_entry_points_and_studies(wheel):
    held = {path.relative_to(wheel / "iqa").as_posix() for path in (wheel / "iqa").rglob("*") if path.is_file()}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "iqa").rglob("*.py")}
    assert {path.removeprefix("iqa/") for path in sources} <= held
    for folder in ("iqa/presets", "experiments", "entrypoints", "studies"):
        files = [path for path in (ROOT / folder).iterdir() if path.suffix in (".yaml", ".py")]
        assert files
        assert {f"{folder.removeprefix('iqa/')}/{path.name}" for path in files} <= held


def test_the_iqa_command_works_from_the_wheel_alone(wheel, tmp_path):
    (script,) = wheel.glob("*.dist-info/entry_points.txt")
    assert "iqa = iqa.__main__:main" in script.read_text("utf-8")
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    command = [sys.executable, "-P", "-m", "iqa", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in ENTRY_POINTS)


def test_every_target_of_the_makefile_that_people_are_told_of_exists():
    text = (ROOT / "Makefile").read_text("utf-8")
    for target in ("demo", "test", "processes", "lint", "lock", "venv"):
        assert re.search(rf"^{target}:", text, re.MULTILINE), target
    called = [f"make {target}" for target in ("lint", "test", "processes", "faults-sample")]
    lines = (ROOT / ".ci/run").read_text("utf-8").splitlines()[-4:]
    assert [" ".join(line.split()[:2]) for line in lines] == called  # more words are variables
    assert os.access(ROOT / ".ci/run", os.X_OK)
