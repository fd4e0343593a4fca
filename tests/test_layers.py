"""The architecture of coordlint itself: who may import whom, who may touch the world, what loads when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = (
    ("coordlint", "grammar", "starter"),
    ("source", "names", "versions"),
    ("discover",),
    ("cache",),
    ("finding",),
    ("syntax", "lalr"),
    ("errors", "tables", "tokens"),
    ("tree",),
    ("parse", "recovery", "frontends"),
    ("system",),
    ("facts", "references", "lowering", "process", "resolve"),
    ("graph",),
    ("analysis",),
    ("explore",),
    ("design",),
    ("rule", "rules"),
    ("ignores", "confirm"),
    ("check", "config", "baseline"),
    ("run",),
    ("report", "fix", "advise", "format"),
    ("cli", "lsp"),
    ("__main__",),
)
"""From the ground up: a module imports from its own layer and those below."""

WORLD = {
    "coordlint": "finds the rules in a checkout",
    "cli": "the command line",
    "lsp": "the language server",
    "source": "reads files",
    "discover": "walks folders",
    "design": "follows includes",
    "cache": "keeps what a check said in the user's cache",
    "tables": "keeps the parse tables in the user's cache",
    "rule": "walks the rules",
    "config": "finds and reads the configuration",
    "baseline": "reads the baseline",
    "run": "finds the folders that settings hold in",
    "fix": "knows files by their real paths",
    "finding": "names files from the project's folder",
}
"""The modules that may look at files, the environment or the terminal, and why."""

LATE = {"lark", "networkx", "jinja2", "pygraphviz", "pygls", "hypothesis"}
"""Libraries that take long to import; only functions that need them do."""


def modules() -> dict[str, Path]:
    found = {}
    for folder, prefix in (("coordlint", ()), ("rules", ("rules",)), ("grammar", ("grammar",))):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = (*prefix, *path.relative_to(ROOT / folder).with_suffix("").parts)
            found[".".join(part for part in parts if part != "__init__") or "coordlint"] = path
    return found


MODULES = modules()
each_module = pytest.mark.parametrize("module", MODULES)


def unit(module: str) -> str:
    """The module or sub-package directly below `coordlint` that a module belongs to."""
    return module.split(".")[0]


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def imported(module: str) -> Iterator[str]:
    """The modules of coordlint that a module imports anywhere, also for types only, without the package's name."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (
                name.name.removeprefix("coordlint.") for name in node.names if name.name.startswith("coordlint")
            )
        elif isinstance(node, ast.ImportFrom) and node.level:
            package = module.split(".")[: len(module.split(".")) - node.level]
            yield ".".join((*package, *([node.module] if node.module else [])))
        elif isinstance(node, ast.ImportFrom) and node.module == "coordlint":
            yield from (name.name if name.name in MODULES else "coordlint" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("coordlint."):
            yield node.module.removeprefix("coordlint.")


@each_module
def test_every_module_has_its_layer(module: str):
    assert any(unit(module) in names for names in LAYERS), f"say in LAYERS where {unit(module)} belongs"


@each_module
def test_imports_go_downwards(module: str):
    upward = [name for name in imported(module) if layer(unit(name)) > layer(unit(module))]
    assert upward == []


def test_the_reader_of_imports_sees_them():
    assert "finding" in set(imported("check"))
    assert "rule" in set(imported("rules.model.ref001_unresolved_reference"))
    assert "rules.model._problems" in set(imported("rules.model.ref001_unresolved_reference"))


@each_module
def test_rules_of_one_group_know_nothing_of_another(module: str):
    if module.startswith("rules."):
        group = ".".join(module.split(".")[:2])
        others = [name for name in imported(module) if name.startswith("rules.") and not name.startswith(group)]
        assert [name for name in others if name.count(".") > 1] == []


@each_module
def test_only_few_modules_touch_the_world(module: str):
    if unit(module) in WORLD:
        return
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    roots = {node.names[0].name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import)}
    assert names & {"open", "print", "input"} == set()
    assert roots & {"os", "subprocess", "socket", "time", "random", "logging", "tempfile", "shutil"} == set()


@each_module
def test_slow_libraries_are_imported_where_they_are_needed(module: str):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    eager = {
        (name.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert eager & LATE == set()


@each_module
def test_a_module_says_what_it_is_for(module: str):
    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))


def test_help_loads_nothing_but_click():
    program = (
        "import sys; from coordlint.cli import run; code = run(['--help']);"
        "print(code, *sorted(name for name in sys.modules if name.split('.')[0] == 'coordlint'), file=sys.stderr);"
        f"print(*sorted({LATE!r} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    code, *loaded = done.stderr.splitlines()[0].split()
    assert code == "0"
    assert [
        name for name in loaded if name not in {"coordlint", "coordlint.report"} and "coordlint.cli" not in name
    ] == []
    assert done.stderr.splitlines()[1] == ""


@pytest.mark.parametrize("command", [["rules"], ["explain", "REF001"]])
def test_the_catalogue_loads_no_model(command: list[str]):
    program = (
        f"import sys; from coordlint.cli import run; run({command!r});"
        f"print(*sorted(({LATE!r} | {{'coordlint.design', 'coordlint.parse'}}) & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
