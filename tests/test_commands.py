"""The other commands, what is checked, and every mistake one can make on the command line or in the configuration."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import click
import networkx as nx
import pytest
from project import CLEAN, MISSPELT, UNHEARD, UNRESOLVED, Program, process, read, write

from coordlint.cli import COMMANDS, cli
from coordlint.cli.watch import watch
from coordlint.config import PROFILE_NAMES
from coordlint.run import Request, run

# ------------------------------------------------------------------------------------------------ what is checked


def shown(coordlint: Program, *args: str) -> list[str]:
    said = coordlint("check", "--show-files", *args)
    assert (said.code, said.err) == (0, "")
    return said.out.splitlines()


@pytest.fixture
def tree(here: Path) -> None:
    write("a.coord", 'include "parts/p.coord"\n')
    write("parts/p.coord", CLEAN)
    write("sub/b.coord", CLEAN)
    write("sub/legacy/c.coord", CLEAN)
    write("node_modules/d.coord", CLEAN)
    write(".hidden/e.coord", CLEAN)
    write("notes.txt", "")


def test_a_folder_is_every_root_below_it(coordlint: Program, tree: None):
    assert shown(coordlint) == ["a.coord", "sub/b.coord", "sub/legacy/c.coord"]
    assert shown(coordlint, "sub", "parts") == ["parts/p.coord", "sub/b.coord", "sub/legacy/c.coord"]


def test_a_file_is_a_root_whoever_includes_it(coordlint: Program, tree: None):
    assert shown(coordlint, "a.coord", "parts/p.coord") == ["a.coord", "parts/p.coord"]
    assert shown(coordlint, ".", "parts/p.coord") == ["a.coord", "parts/p.coord", "sub/b.coord", "sub/legacy/c.coord"]
    assert shown(coordlint, "node_modules/d.coord", "notes.txt") == ["node_modules/d.coord", "notes.txt"]


def test_without_paths_the_configured_designs_are_checked(coordlint: Program, tree: None, monkeypatch):
    write("coordlint.toml", "designs = ['sub/b.coord', 'parts']")
    assert shown(coordlint) == ["parts/p.coord", "sub/b.coord"]
    assert shown(coordlint, "sub") == ["sub/b.coord", "sub/legacy/c.coord"]
    monkeypatch.chdir("parts")
    assert shown(coordlint) == ["../sub/b.coord", "p.coord"]


def test_what_is_excluded_is_relative_to_the_configuration(coordlint: Program, tree: None, monkeypatch, here: Path):
    write("coordlint.toml", "exclude = ['**/legacy/**', 'parts/']")
    assert shown(coordlint) == ["a.coord", "sub/b.coord"]
    assert shown(coordlint, "sub/legacy/c.coord") == ["sub/legacy/c.coord"]
    monkeypatch.chdir("sub")
    assert shown(coordlint) == ["b.coord"]
    assert "no `.coord` file below `legacy`" in coordlint.complaint("check", "legacy")
    monkeypatch.chdir("/")
    assert shown(coordlint, str(here / "sub")) == [str(here / "sub/b.coord")]


def test_the_formatter_excludes_the_same(coordlint: Program, tree: None):
    write("coordlint.toml", "exclude = ['sub/legacy/**']")
    write("sub/legacy/c.coord", "service   A{}")
    assert coordlint("fmt", "--check").err.endswith("0 files would be formatted, 3 unchanged\n")
    assert coordlint("fmt", "--check", "sub/legacy/c.coord").code == 1


def test_standard_input_finds_its_includes_beside_its_name(coordlint: Program, tree: None):
    text = 'include "p.coord"\n'
    assert coordlint.check("-", "--stdin-filename", "parts/new.coord", stdin=text).codes == []
    assert coordlint.check("-", stdin=text).codes == ["SYN002"]
    assert (
        coordlint.check("-", "--stdin-filename", "parts/new.coord", stdin=text).data["sources"][0] == "parts/new.coord"
    )


# ------------------------------------------------------------------------------------------------ init


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_the_starter_is_clean_in_every_profile(coordlint: Program, profile: str):
    assert coordlint("init").code == 0
    said = coordlint.check("--profile", profile, "--fail-on", "hint")
    assert [f"{one['code']} {one['message']}" for one in said.data["findings"]] == []
    assert said.code == 0
    assert said.data["sources"] == ["design.coord"]


def test_the_starter_is_formatted_and_its_configuration_holds(coordlint: Program):
    said = coordlint("init", "shop")
    assert (said.code, said.out) == (0, "")
    assert (
        said.err
        == "coordlint: wrote shop/design.coord and shop/coordlint.toml: run `coordlint check shop/design.coord`\n"
    )
    assert coordlint("fmt", "--check", "shop").code == 0
    assert coordlint("config", "--show", "shop").data["designs"] == ["design.coord"]
    commented = re.sub(r"(?m)^# (?=\[|[a-z-]+ = )", "", read("shop/coordlint.toml"))
    assert commented != read("shop/coordlint.toml")
    write("shop/coordlint.toml", commented)
    assert coordlint("config", "--show", "shop").data["ignore"]


def test_init_overwrites_only_by_force(coordlint: Program):
    write("design.coord", "mine")
    message = "`./design.coord` is there already: use --force to overwrite"
    assert coordlint.complaint("init") == message
    assert os.listdir() == ["design.coord"]
    assert coordlint("init", "--force").code == 0
    assert read("design.coord") != "mine"


# ------------------------------------------------------------------------------------------------ graph

RICH = """\
system Shop "a \\"quoted\\" <name> & more"
external service Shopper "x | y" { sends Orders.PlaceOrder }
command PlaceOrder, Charge
query GetCharge
event OrderPlaced "<b>[bold]</b>"
context Sales { service Orders { handles PlaceOrder emits OrderPlaced  uses Db } store Db }
service Mail { on OrderPlaced { notifies } }
"""


@pytest.fixture
def rich(here: Path) -> str:
    return write("rich.coord", RICH)


def test_the_graph_as_json(coordlint: Program, rich: str):
    data = coordlint("graph", rich, "--format", "json").data
    assert data["version"] == 1
    names = {node["id"] for node in data["nodes"]}
    assert {"service", "external", "event", "command", "store"} <= {node["kind"] for node in data["nodes"]}
    assert data["edges"]
    assert all({edge["source"], edge["target"]} <= names for edge in data["edges"])


def test_the_graph_as_graphml(coordlint: Program, rich: str):
    text = coordlint("graph", rich, "--format", "graphml").out
    ElementTree.fromstring(text.encode())
    data = coordlint("graph", rich, "--format", "json").data
    graph = nx.parse_graphml(text)
    assert set(graph.nodes) == {node["id"] for node in data["nodes"]}
    assert graph.number_of_edges() == len(data["edges"])


STRING = r'"(?:\\.|[^"\\])*"'
DOT = re.compile(
    rf"""\s*(?:digraph\ {STRING}\ \{{ | subgraph\ cluster_\d+\ \{{ | \}} | rankdir=LR | node\ \[[^\]]*\]
    | label={STRING} | color=gray | {STRING}\ \[label={STRING},[^\]]*\] | {STRING}\ ->\ {STRING}(?:\ \[[^\]]*\])?)""",
    re.VERBOSE,
)


def test_the_graph_as_dot(coordlint: Program, rich: str):
    text = coordlint("graph", rich).out
    assert [line for line in text.splitlines() if not DOT.fullmatch(line)] == []
    bare = re.sub(STRING, "", text)
    assert bare.count("{") == bare.count("}") > 1
    assert text.count(" -> ") == len(coordlint("graph", rich, "--format", "json").data["edges"])
    if shutil.which("dot"):
        assert subprocess.run(["dot", "-Tsvg"], input=text, text=True, capture_output=True, check=False).returncode == 0


MERMAID = re.compile(
    r"""\s*(?:flowchart\ LR | subgraph\ c\d+\["[^"]*"\] | end
    | n\d+(?:\[|\(\[|\[\[|>|\[/|\[\()"[^"<>\[\]{}|\\`]*"(?:\]|\]\)|\]\]|/\]|\\\]|\)\])
    | n\d+\ (?:-\.->|-\.-o|-->|<-->|---|==>)\ n\d+)""",
    re.VERBOSE,
)


def test_the_graph_as_mermaid(coordlint: Program, rich: str):
    text = coordlint("graph", rich, "--format", "mermaid").out
    assert [line for line in text.splitlines() if not MERMAID.fullmatch(line)] == []
    declared = set(re.findall(r"(?m)^\s*(n\d+)[\[(>]", text))
    assert set(re.findall(r"\bn\d+\b", re.sub(r'"[^"]*"', "", text))) == declared
    assert text.count("subgraph") == len(re.findall(r"(?m)^\s*end$", text)) == 1


@pytest.mark.parametrize("format", ["dot", "mermaid", "graphml", "json"])
def test_the_starter_as_a_graph(coordlint: Program, format: str):
    coordlint("init")
    said = coordlint("graph", "design.coord", "--format", format, "--output", "graph.out")
    assert (said.code, said.out) == (0, "")
    assert "OrderConfirmed" in read("graph.out")
    assert read("graph.out") == coordlint("graph", "design.coord", "--format", format).out


def test_the_graph_of_a_project_includes_what_the_project_may(coordlint: Program):
    write("coordlint.toml", "")
    write("shared/b.coord", CLEAN)
    write("shop/a.coord", 'include "../shared/b.coord"\n')
    assert "OrderPlaced" in coordlint("graph", "shop/a.coord").out


# ------------------------------------------------------------------------------------------------ completion, watch


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(coordlint: Program, shell: str):
    said = coordlint("completion", shell)
    assert said.code == 0
    assert "_COORDLINT_COMPLETE" in said.out
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=said.out, text=True, check=False).returncode == 0


def test_completion_knows_the_commands(here: Path):
    env = {"_COORDLINT_COMPLETE": "bash_complete", "COMP_WORDS": "coordlint ch", "COMP_CWORD": "1"}
    assert process(env=env).stdout.splitlines() == ["plain,check"]


def test_watching_checks_again_when_something_changes(coordlint: Program):
    write("a.coord", CLEAN)
    texts = iter([UNHEARD, MISSPELT])
    codes: list[int] = []

    def check() -> int:
        codes.append(coordlint("check", "--fail-on", "warning", "--quiet").code)
        if (text := next(texts, None)) is not None:
            write("a.coord", text)
        return codes[-1]

    assert watch((), check, rounds=3) == 1
    assert codes == [0, 1, 1]


@pytest.mark.parametrize("change", ["edited", "new", "configured", "gone"])
def test_watching_sees_designs_and_configurations(coordlint: Program, change: str):
    write("a.coord", UNHEARD)
    write("b.coord", CLEAN)
    calls = 0

    def check() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            if change == "edited":
                write("a.coord", CLEAN)
            elif change == "new":
                write("c.coord", CLEAN)
            elif change == "gone":
                Path("b.coord").unlink()
            else:
                write("coordlint.toml", "")
        return 0

    watch(("a.coord",), check, rounds=2)
    assert calls == 2


@pytest.mark.parametrize("change", ["included", "baseline", "configured above", "extended"])
def test_watching_sees_what_lies_elsewhere(coordlint: Program, monkeypatch: pytest.MonkeyPatch, change: str):
    write("coordlint.toml", "extend = 'team.toml'\nbaseline = 'known.json'")
    write("team.toml", "")
    write("known.json", '{"version": 1, "findings": {}}')
    write("shared/b.coord", CLEAN)
    write("shop/a.coord", 'include "../shared/b.coord"\n')
    monkeypatch.chdir("shop")
    inputs: tuple[str, ...] = ()
    calls = 0

    def check() -> int:
        nonlocal calls, inputs
        calls += 1
        inputs = run(Request()).inputs
        return 0

    def look() -> tuple[str, ...]:
        if calls == 1 and look_times.pop():
            return inputs  # what the run has just seen
        if change == "included":
            write("../shared/b.coord", UNHEARD)
        elif change == "baseline":
            write("../known.json", '{"version": 1,  "findings": {}}')
        elif change == "extended":
            write("../team.toml", "profile = 'strict'")
        else:
            write("../coordlint.toml", "")
        return inputs

    look_times = [False, True]
    watch((), check, inputs=look, rounds=2)
    assert calls == 2


def test_watching_goes_on_when_a_run_cannot_be_done(coordlint: Program):
    write("a.coord", CLEAN)
    write("coordlint.toml", "profil = 'strict'")
    said: list[int] = []

    def check() -> int:
        from coordlint.cli.check import check as command

        try:
            return int(command.main(["a.coord"], standalone_mode=False))
        finally:
            said.append(len(said))
            write("coordlint.toml", "")

    assert watch(("a.coord",), check, rounds=2) == 0
    assert said == [0, 1]


@pytest.mark.skipif(os.name == "nt", reason="signals work in another way on Windows")
def test_watching_ends_with_the_interrupt(here: Path):
    import signal

    write("a.coord", UNHEARD)
    call = subprocess.Popen(
        [sys.executable, "-m", "coordlint", "check", "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert call.stderr is not None
        assert "watching, press Ctrl+C to stop" in call.stderr.readline()
        time.sleep(0.05)
        call.send_signal(signal.SIGINT)
        out, err = call.communicate(timeout=20)
    finally:
        call.kill()
    assert "EVT201" in out
    assert "Traceback" not in err
    assert call.returncode == 0


# ------------------------------------------------------------------------------------------------ help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_for_every_option(coordlint: Program, command: str):
    said = coordlint(command, "--help")
    assert (said.code, said.err) == (0, "")
    assert f"Usage: coordlint {command}" in said.out
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    for option in found.params:
        assert option.param_type_name == "argument" or option.help or option.name == "format", option.name


# ------------------------------------------------------------------------------------------------ mistakes

MISTAKES = [
    # commands and options
    (["chekc"], "no such command 'chekc'. Did you mean 'check'? (see `coordlint --help`)"),
    (["check", "--fromat", "json"], "Did you mean '--format'?"),
    (["check", "--format"], "option '--format' requires an argument"),
    (["check", "--format", "yaml"], "is not one of 'full', 'concise', 'json', 'sarif'"),
    (["check", "--profile", "strickt"], "is not one of 'minimal', 'default', 'strict', 'production'"),
    (["check", "--fail-on", "warn"], "is not one of 'error', 'warning', 'info', 'hint'"),
    (["check", "--color", "blue"], "is not one of 'auto', 'always', 'never'"),
    (["check", "--fix=yes"], "option '--fix' does not take a value"),
    (["check", "--format", "json", "--format", "sarif"], "give the others an --output each"),
    (["check", "--output", "-", "--output", "-"], "give the others an --output each"),
    (["check", "--statistics", "--format", "sarif"], "--statistics goes with --format full or concise or markdown"),
    (["check", "--unsafe-fixes"], "--unsafe-fixes goes with --fix or --diff"),
    (["check", "--isolated", "--config", "my.toml"], "give one of them"),
    (["check", "-", "good.coord"], "must be the only path"),
    (["check", "-", "--watch"], "--watch needs files"),
    (["check", "--stdin-filename", "x.coord"], "give `-` as the path"),
    (["check", "--watch", "--fix", "good.coord"], "--watch only looks: leave --fix and --diff out"),
    (["fmt", "-", "good.coord"], "must be the only path"),
    (["fmt", "--stdin-filename", "x.coord"], "give `-` as the path"),
    (["fmt", "--line-length", "3"], "3 is not in the range x>=40"),
    (["completion", "tcsh"], "is not one of 'bash', 'zsh', 'fish'"),
    (["graph", "good.coord", "--format", "png"], "is not one of 'dot', 'mermaid', 'svg', 'graphml', 'json'"),
    (["graph"], "missing argument 'DESIGN'"),
    (["explain"], "missing argument 'RULE' (see `coordlint explain --help`)"),
    (["baseline", "--update", "--prune"], "give one of them"),
    # rules
    (["check", "--select", "EVT2001"], "there is no rule `EVT2001`: did you mean `EVT201`"),
    (["check", "--ignore", "event-never-consumd"], "did you mean `event-never-consumed`"),
    (["check", "--extend-select", "QQQ"], "there is no rule `QQQ`: `coordlint rules` lists them"),
    (["check", "--severity", "EVT201"], "--severity wants RULE=LEVEL with one of error, warning, info, hint and off"),
    (["check", "--severity", "EVT201=worse"], "not `EVT201=worse`"),
    (["check", "--severity", "EVT2001=error"], "there is no rule `EVT2001`"),
    (["explain", "EVT2001"], "did you mean `EVT201`"),
    (["rules", "QQQ"], "there is no rule `QQQ`"),
    # files
    (["check", "missing.coord"], "cannot read `missing.coord`: no such file or folder"),
    (["check", "a\nb\x1b.coord"], "cannot read `a\\x0ab\\x1b.coord`"),
    (["check", "empty"], "no `.coord` file below `empty`: name a design, or a folder that holds one"),
    (["check", "good.coord", "--output", "no/such/file"], "cannot write `no/such/file`: no such file or directory"),
    (["check", "good.coord", "--output", "empty"], "cannot write `empty`: is a directory"),
    (["check", "--config", "missing.toml"], "cannot read the configuration `missing.toml`: no such file or directory"),
    (["check", "--config", "empty"], "cannot read the configuration `empty`: is a directory"),
    (["check", "--config", "pyproject.toml"], "cannot read the configuration `pyproject.toml`"),
    (["check", "--baseline", "missing.json"], "create it with `coordlint baseline`"),
    (["fmt", "missing.coord"], "cannot read `missing.coord`: no such file or folder"),
    (["graph", "missing.coord"], "cannot read `missing.coord`: no such file"),
    (["graph", "empty"], "cannot read `empty`: it is a folder"),
    (["graph", "bad.coord"], "correct the design first, see `coordlint check`"),
    (["graph", "good.coord", "--output", "no/such/file"], "cannot write `no/such/file`"),
    (["baseline", "missing.coord"], "cannot read `missing.coord`"),
    (["baseline", "--prune", "good.coord"], "there is no baseline `coordlint-baseline.json`"),
    (["report", "missing.coord"], "cannot read `missing.coord`: no such file or folder"),
    (["report", "."], "a report is about one design, and there are 2"),
    (["report", "good.coord", "--output", "no/such/file"], "cannot write `no/such/file`"),
    (["sequence", "missing.coord"], "cannot read `missing.coord`: no such file"),
    (["sequence", "good.coord", "--path", "x"], "'x' is not a valid integer range"),
    (["init", "good.coord"], "cannot make the folder `good.coord`"),
    (["config", "--show", "--config", "missing.toml"], "cannot read the configuration `missing.toml`"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "remedy"), MISTAKES, ids=[" ".join(args).replace("\n", "_") for args, _ in MISTAKES])
def test_a_mistake_on_the_command_line_is_one_sentence_that_names_the_remedy(coordlint: Program, args, remedy):
    write("good.coord", CLEAN)
    write("bad.coord", "service {")
    Path("empty").mkdir()
    assert remedy in coordlint.complaint(*args)


CONFIGURATIONS = [
    ("profil = 'strict'", "coordlint.toml: there is no key `profil`, did you mean `profile`?"),
    ("profile = 'strickt'", "did you mean `strict`?"),
    ("profile = ", "is not valid TOML"),
    ("a = 1\n[a]\nb = 1", "is not valid TOML"),
    ("\xff", "is not valid TOML"),
    ("extend = 'missing.toml'", "cannot read the configuration `missing.toml`: no such file or directory"),
    ("extend = 'coordlint.toml'", "a circle: remove one `extend`"),
    ("extend = 'pyproject.toml'", "has no table `[tool.coordlint]`: add it, or name another configuration"),
    ("extend = ''", "cannot read the configuration"),
    ("designs = ['missing.coord']", "cannot read `missing.coord`: no such file or folder"),
    ("baseline = 'missing.json'", "there is no baseline `missing.json`: create it with `coordlint baseline`"),
    ("exclude = ['*']", "no `.coord` file below `.`"),
    ('"a\\nb\\u001b" = 1', "there is no key `a b\\x1b`"),
]


@pytest.mark.parametrize(("text", "remedy"), CONFIGURATIONS)
def test_a_mistake_in_the_configuration_is_one_sentence_that_names_the_remedy(coordlint: Program, text, remedy):
    write("good.coord", CLEAN)
    write("pyproject.toml", "[tool.other]\n")
    Path("coordlint.toml").write_bytes(text.encode("latin-1"))
    assert remedy in coordlint.complaint("check")


@pytest.mark.parametrize(
    "command", [["check"], ["fmt"], ["graph", "good.coord"], ["report", "good.coord"], ["baseline"], ["config"]]
)
def test_every_command_that_reads_the_configuration_says_what_is_wrong_with_it(coordlint: Program, command: list[str]):
    write("good.coord", CLEAN)
    write("coordlint.toml", "profil = 'strict'")
    assert "did you mean `profile`?" in coordlint.complaint(*command)


def test_a_broken_project_file_is_named(coordlint: Program):
    write("good.coord", CLEAN)
    write("pyproject.toml", "[tool.coordlint]\nprofile = 'strict\n")
    assert "pyproject.toml` is not valid TOML" in coordlint.complaint("check")


@pytest.mark.parametrize("extent", [b"", b"\x00", b"\xff\xfe", b"service", b'"' * 1000, b"{" * 5000, b"a" * 200_000])
def test_whatever_stands_in_a_design_is_a_finding_and_no_mistake(coordlint: Program, extent: bytes):
    said = coordlint.check("-", stdin=extent)
    assert said.code in (0, 1)
    assert set(said.codes) <= {"SYN001", "SYN003", "SYN002"}


def test_the_version_of_python_and_a_missing_home_do_not_matter(here: Path):
    write("a.coord", CLEAN)
    env = {
        key: value for key, value in os.environ.items() if key not in ("HOME", "COORDLINT_CACHE_DIR", "XDG_CACHE_HOME")
    }
    done = subprocess.run([sys.executable, "-m", "coordlint", "check"], capture_output=True, text=True, check=False, env={**env, "HOME": str(here)})  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(process("rules", "--format", "json").stdout)["rules"]


def test_an_unresolved_name_can_be_seen_in_watch_statistics_and_all(coordlint: Program):
    write("a.coord", UNRESOLVED)
    assert coordlint("check", "--statistics").out.startswith("1  error    REF001")
    assert "\x1b[" in coordlint("check", "--statistics", "--color", "always").out
