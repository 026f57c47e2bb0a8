"""Imports run one way, from the entry points down: read with ast, so that nothing has to be imported to be judged."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEVELS = {
    -1: {"", "randomness", "instants", "disk"},  # "": iqa/__init__.py
    0: {"config", "images", "degradations", "losses", "metrics", "statistics", "checkpoint", "machine", "distributed"},
    1: {"datasets", "encoders", "hyperiqa", "qualiclip", "optim", "launching"},
    2: {"loop", "batches", "tracking"},
    3: {"scorer"},
    4: {"stages", "report", "served", "album"},
    5: {"experiment", "doctor"},
    6: {"studies"},
    7: {"entrypoints", "server"},
    8: {"__main__", "benchmarks"},
}
LEVEL = {unit: level for level, units in LEVELS.items() for unit in units}
ONLY = {  # who may import a package from outside
    "mlflow": {"tracking", "served"},
    "optuna": {"studies", "server"},
    "timm": {"encoders"},
    "open_clip": {"encoders"},
    # degradations: codecs in memory; benchmarks: what a user would take instead; files are opened by images alone
    "PIL": {"images", "degradations", "benchmarks"},
    "cv2": set(),
    "imageio": set(),
    "pickle": set(),
    "dill": set(),
    "joblib": set(),
}
PARSERS = {"argparse", "click", "optparse", "getopt", "typer", "fire"}
FORBIDDEN = {"utils", "util", "helpers", "helper", "base", "common", "manager", "registry"}
LONGEST = 300


def sources() -> list[Path]:
    """Every Python file of the product, tests aside."""
    folders = ("iqa", "entrypoints", "studies", "server", "benchmarks")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    """iqa/datasets/folder.py → iqa.datasets.folder; a package's __init__ → the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit_of(module: str) -> str:
    """What has a level: the first name below iqa, or the top-level package. iqa.entrypoints is entrypoints."""
    top, _, rest = module.partition(".")
    return rest.partition(".")[0] if top == "iqa" else top


def imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Absolute dotted names of everything imported, wherever the import stands; relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> list[str]:
    """The imports of one file."""
    module = module_of(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return list(imports(ast.parse(path.read_text(encoding="utf-8")), package))


def ours(module: str) -> bool:
    """Whether a dotted name is this project's own."""
    return module.partition(".")[0] in ("iqa", "entrypoints", "studies", "server", "benchmarks")


def upward(unit: str, targets: list[str]) -> list[str]:
    """The imports that do not lead strictly downward from `unit`; its own package's files are its own."""
    own = [unit_of(target) if unit_of(target) in LEVEL else "" for target in targets if ours(target)]
    return [other for other in own if other != unit and LEVEL[other] >= LEVEL[unit]]


def named(path: Path) -> str:
    """The file below the root."""
    return path.relative_to(ROOT).as_posix()


def handlers(path: Path) -> Iterator[ast.ExceptHandler]:
    """Every except clause of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))


def swallows(handler: ast.ExceptHandler) -> bool:
    """Whether it catches everything and does not raise it again (cleaning up and raising is allowed)."""
    everything = handler.type is None or ast.unparse(handler.type) in ("Exception", "BaseException")
    return everything and not isinstance(handler.body[-1], ast.Raise)


def test_the_reader_of_imports_resolves_relative_and_nested_ones():
    tree = ast.parse("from . import command\nfrom ..loop import fit\ndef f():\n    import mlflow.projects\n")
    assert list(imports(tree, "iqa.stages")) == ["iqa.stages.command", "iqa.loop.fit", "mlflow.projects"]


@pytest.mark.parametrize(
    ("unit", "target", "verdict"),
    [
        ("stages", "iqa.loop.fit", []),
        ("datasets", "iqa.datasets.folder", []),
        ("loop", "iqa.stages.pretrain", ["stages"]),
        ("datasets", "iqa.encoders", ["encoders"]),
        ("report", "iqa.__version__", []),
    ],
)
def test_the_judge_of_imports_allows_down_and_siblings_but_neither_up_nor_sideways(unit, target, verdict):
    assert upward(unit, [target]) == verdict


def test_every_file_belongs_to_a_level():
    assert not [named(path) for path in sources() if unit_of(module_of(path)) not in LEVEL]


def test_every_level_is_of_something_that_is_there():
    assert LEVEL.keys() == {unit_of(module_of(path)) for path in sources()}


def test_imports_run_strictly_downward():
    wrong = {named(path): upward(unit_of(module_of(path)), imports_of(path)) for path in sources()}
    assert not {path: units for path, units in wrong.items() if units}


def test_an_outside_package_is_imported_only_where_it_has_its_place():
    wrong = []
    for path in sources():
        packages = {name.partition(".")[0] for name in imports_of(path) if not ours(name)} & ONLY.keys()
        wrong += [(named(path), name) for name in packages if unit_of(module_of(path)) not in ONLY[name]]
    assert not wrong


def test_configs_stop_at_the_stages():
    below = [path for path in sources() if LEVEL[unit_of(module_of(path))] < LEVEL["stages"]]
    units = {named(path): {unit_of(name) for name in imports_of(path) if ours(name)} for path in below}
    assert not [path for path, imported in units.items() if "config" in imported and not path.startswith("iqa/config/")]


def test_the_loop_knows_neither_config_nor_tracking():
    assert not {"tracking", "config"} & {unit_of(name) for name in imports_of(ROOT / "iqa/loop.py")}


def test_arguments_are_parsed_by_entry_points_only():
    wrong = []
    for path in sources():
        if LEVEL[unit_of(module_of(path))] >= LEVEL["entrypoints"]:
            continue
        text = ast.unparse(ast.parse(path.read_text(encoding="utf-8")))
        reads = text.count("sys.argv") > text.count("sys.argv[0]")  # the program's own name is no argument
        if reads or PARSERS & {name.partition(".")[0] for name in imports_of(path)}:
            wrong.append(named(path))
    assert not wrong


def test_no_file_has_a_name_that_says_nothing():
    assert not [named(path) for path in sources() if FORBIDDEN & set(path.relative_to(ROOT).with_suffix("").parts)]


def test_no_file_is_two_nouns_long():
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert not {path: lines for path, lines in lengths.items() if lines > LONGEST}


def test_nobody_swallows_every_error():
    assert not [(named(path), handler.lineno) for path in sources() for handler in handlers(path) if swallows(handler)]


def test_every_module_has_a_test_file_of_its_name():
    units = {unit_of(module_of(path)) for path in sources()} - {"", "__main__", "benchmarks"}
    missing = sorted(unit for unit in units if not list((ROOT / "tests").glob(f"test_{unit}*.py")))
    assert not missing, f"no tests/test_<module>.py for {missing}"


@pytest.mark.parametrize(
    "statement",
    ["import iqa.config", "import sys; sys.argv = ['iqa', '--help']; import iqa.__main__ as m; assert m.main() == 0"],
    ids=["config", "help"],
)
def test_the_config_and_the_help_are_fast_since_nothing_heavy_is_imported(statement):
    heavy = "{'torch', 'mlflow', 'pandas', 'numpy', 'scipy', 'matplotlib', 'timm', 'optuna'}"
    code = f"{statement}\nimport sys; print('heavy:', sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"
