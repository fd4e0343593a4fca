"""The configuration: where it is found, what it may say, what follows, and its schema."""

from __future__ import annotations

import json
import math
import os
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from project import CLEAN, MISSPELT, UNHEARD, UNRESOLVED, Program, write

from coordlint import rule
from coordlint.check import select_rules
from coordlint.config import KEYS, ConfigError, candidates, find, load, schema
from coordlint.finding import PROFILES, severity_in

# ------------------------------------------------------------------------------------------------ which one holds


def test_the_nearest_file_holds(here: Path):
    write("coordlint.toml", "")
    write("sub/pyproject.toml", "[tool.coordlint]\n")
    write("sub/deep/pyproject.toml", "[tool.other]\n")
    assert find("sub/deep") == here.resolve() / "sub/pyproject.toml"
    assert find(".") == here.resolve() / "coordlint.toml"


def test_a_file_of_its_own_goes_before_the_project(here: Path):
    write("pyproject.toml", "[tool.coordlint]\nprofile = 'strict'\n")
    write("coordlint.toml", "profile = 'production'\n")
    found = find(".")
    assert found is not None
    assert load(found).profile == "production"


def test_a_project_that_says_nothing_is_passed_over_even_if_it_is_broken(here: Path):
    write("coordlint.toml", "")
    write("sub/pyproject.toml", "[[[")
    assert find("sub") == here.resolve() / "coordlint.toml"


def test_the_candidates_are_all_files_that_decide(here: Path):
    write("a/b/x.coord", "")
    places = candidates("a/b")
    for folder in ("a/b", "a", "."):
        for name in ("coordlint.toml", "pyproject.toml"):
            assert os.path.realpath(os.path.join(folder, name)) in places


def test_each_design_has_its_nearest_configuration_and_nothing_is_merged(coordlint: Program):
    write("coordlint.toml", "ignore = ['EVT201']\nprofile = 'production'\n")
    write("a.coord", UNHEARD)
    write("sub/coordlint.toml", "fail-on = 'warning'\n")
    write("sub/b.coord", UNHEARD)
    said = coordlint.check()
    [found] = said.data["findings"]
    assert (found["primary"]["path"], found["severity"]) == ("sub/b.coord", "warning")
    assert said.code == 1


def test_one_configuration_for_all_or_none(coordlint: Program):
    write("coordlint.toml", "ignore = ['EVT201']")
    write("other.toml", "severity = { EVT201 = 'error' }")
    write("a.coord", UNHEARD)
    assert coordlint.check().codes == []
    assert coordlint.check("--isolated").codes == ["EVT201"]
    assert coordlint.check("--config", "other.toml").code == 1


def test_standard_input_has_the_configuration_of_its_name(coordlint: Program):
    write("sub/coordlint.toml", "ignore = ['EVT201']")
    assert coordlint.check("-", stdin=UNHEARD).codes == ["EVT201"]
    assert coordlint.check("-", "--stdin-filename", "sub/new.coord", stdin=UNHEARD).codes == []


# ------------------------------------------------------------------------------------------------ extend


def test_extend_fills_in_what_is_not_said(here: Path):
    write(
        "team/base.toml",
        """
        profile = "strict"
        fail-on = "info"
        ignore = ["EVT201"]
        baseline = "known.json"
        designs = ["all.coord"]
        severity = { EVT201 = "error", SPF101 = "info" }
        rules = { SPF106 = { flows = 7, teams = 8 }, RES810 = { depth = 9 } }
        [[per-path]]
        paths = ["old/**"]
        ignore = ["ALL"]
        """,
    )
    write(
        "coordlint.toml",
        """
        extend = "team/base.toml"
        fail-on = "error"
        severity = { EVT201 = "hint" }
        rules = { SPF106 = { flows = 3 } }
        [[per-path]]
        paths = ["new/**"]
        severity = { EVT = "off" }
        """,
    )
    config = load("coordlint.toml")
    assert (config.profile, config.fail_on, config.ignore) == ("strict", "error", ("EVT201",))
    assert config.severity == {"EVT201": "hint", "SPF101": "info"}
    assert config.rules == {"SPF106": {"flows": 3, "teams": 8}, "RES810": {"depth": 9}}
    assert [one.paths for one in config.per_path] == [("old/**",), ("new/**",)]
    assert (config.baseline, config.designs) == ("team/known.json", ("team/all.coord",))
    assert [Path(file).name for file in config.files] == ["coordlint.toml", "base.toml"]


def test_a_project_may_be_extended(here: Path):
    write("pyproject.toml", "[tool.coordlint]\nprofile = 'strict'\n")
    write("sub/coordlint.toml", "extend = '../pyproject.toml'\n")
    assert load("sub/coordlint.toml").profile == "strict"


# ------------------------------------------------------------------------------------------------ profiles


def test_each_profile_asks_for_what_the_one_before_asks_for_and_more():
    runs = [{one.code for one, _ in select_rules(profile=profile).rules} for profile in PROFILES]
    assert runs[0] < runs[1] <= runs[2]
    for entry in rule.index():
        severities = [severity_in(entry.levels, profile) or 0 for profile in PROFILES]
        assert severities == sorted(severities), f"{entry.code} {entry.levels} is milder in a stricter profile"


def test_minimal_shows_only_what_cannot_work(coordlint: Program):
    write("a.coord", UNHEARD)
    write("b.coord", MISSPELT)
    minimal, default = coordlint.check("--profile", "minimal"), coordlint.check("--profile", "default")
    assert (minimal.codes, default.codes) == (["EVT202"], ["EVT201", "EVT202"])
    assert minimal.hidden == [("EVT201", "off", "")]
    assert minimal.data["profile"] == "minimal"
    assert "off in the minimal profile" in coordlint("check", "--profile", "minimal").out


@pytest.mark.parametrize(
    ("profile", "severity", "code"),
    [("minimal", None, 0), ("default", "warning", 0), ("strict", "warning", 1), ("production", "error", 1)],
)
def test_the_profile_decides_severity_and_threshold(coordlint: Program, profile, severity, code):
    write("a.coord", UNHEARD)
    write("coordlint.toml", f"profile = '{profile}'")
    said = coordlint.check()
    assert [finding["severity"] for finding in said.data["findings"]] == ([severity] if severity else [])
    assert said.code == code


# ------------------------------------------------------------------------------------------------ rules and paths


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        ("", ["EVT201", "EVT202", "REF001"]),
        ("ignore = ['EVT201']", ["EVT202", "REF001"]),
        ("ignore = ['event-never-consumed', 'EVT2']", ["REF001"]),
        ("select = ['EVT201']", ["EVT201", "REF001"]),
        ("select = ['EVT']\nignore = ['EVT201']", ["EVT202", "REF001"]),
        ("severity = { EVT201 = 'off' }", ["EVT202", "REF001"]),
        ("severity = { ALL = 'off', EVT202 = 'info' }", ["EVT202"]),
    ],
)
def test_rules_are_chosen(coordlint: Program, settings, codes):
    for name, text in (("a", UNHEARD), ("b", MISSPELT), ("c", UNRESOLVED)):
        write(f"{name}.coord", text)
    write("coordlint.toml", settings)
    assert sorted(coordlint.check().codes) == codes


def test_the_command_line_goes_before_the_configuration(coordlint: Program):
    write("a.coord", UNHEARD)
    write("coordlint.toml", "ignore = ['EVT201']\nfail-on = 'error'\nprofile = 'minimal'\n")
    assert coordlint.check("--select", "ALL", "--profile", "default").codes == ["EVT201"]
    write("coordlint.toml", "severity = { EVT201 = 'off' }\n")
    assert coordlint.check("--severity", "EVT201=info", "--fail-on", "info").code == 1


def test_paths_may_have_their_own_severities(coordlint: Program):
    write("coordlint.toml", "[[per-path]]\npaths = ['legacy/**']\nseverity = { EVT201 = 'info', EVT202 = 'off' }\n")
    write("legacy/old/a.coord", UNHEARD)
    write("legacy/b.coord", MISSPELT)
    write("c.coord", UNHEARD)
    said = coordlint.check()
    found = {finding["primary"]["path"]: finding["severity"] for finding in said.data["findings"]}
    assert found == {"c.coord": "warning", "legacy/old/a.coord": "info"}
    assert said.hidden == [("EVT202", "left out by path", "")]
    assert "1 left out by path" in coordlint("check").out


def test_paths_may_leave_rules_out_wherever_the_program_starts(coordlint: Program, monkeypatch: pytest.MonkeyPatch):
    write("coordlint.toml", "[[per-path]]\npaths = ['legacy/*.coord']\nignore = ['event-never-consumed']\n")
    write("legacy/a.coord", UNHEARD)
    assert coordlint.check("legacy/a.coord").codes == []
    monkeypatch.chdir("legacy")
    assert coordlint.check("a.coord").codes == []


def test_options_reach_their_rules(coordlint: Program):
    write("a.coord", CLEAN)
    name = "[rules.HYG951]\nevent = '[A-Z][a-z]+'\n"
    assert coordlint.check("--extend-select", "HYG951").codes == []
    write("coordlint.toml", name)
    assert coordlint.check("--extend-select", "HYG951").codes == ["HYG951"]
    write("coordlint.toml", name.replace("HYG951", "message-naming"))
    assert coordlint.check("--extend-select", "HYG951").codes == ["HYG951"]


# ------------------------------------------------------------------------------------------------ show and schema


def test_the_settings_can_be_shown(coordlint: Program):
    write("sub/coordlint.toml", "profile = 'strict'\n[rules.spof-x]\n".replace("spof-x", "SPF106") + "flows = 2\n")
    write("sub/a.coord", CLEAN)
    for design in ("sub", "sub/a.coord"):
        shown = coordlint("config", "--show", design).data
        assert shown["profile"] == "strict"
        assert shown["rules"] == {"SPF106": {"flows": 2}}
        assert Path(shown["path"]).name == "coordlint.toml"
    assert coordlint("config").data["path"] is None
    assert [key for key in coordlint("config").data if key != "path"] == [
        key.name for key in KEYS if key.name != "extend"
    ]


def test_the_schema_is_a_schema(coordlint: Program):
    said = coordlint("config", "--schema")
    jsonschema.Draft202012Validator.check_schema(said.data)
    assert said.data == json.loads(json.dumps(schema()))
    assert list(said.data["properties"]) == [key.name for key in KEYS]
    assert all(key["description"] for key in said.data["properties"].values())


ACCEPTED = [
    "",
    "profile = 'minimal'",
    "designs = ['a.coord', 'b']\nexclude = ['x/**']",
    "select = ['ALL', 'EVT', 'EVT2', 'EVT201', 'event-never-consumed']",
    "extend-select = ['HYG951']\nignore = []",
    "fail-on = 'hint'\nbaseline = 'b.json'\nrequire-reason = false",
    "severity = { EVT201 = 'off', ALL = 'info', SPF = 'error', event-never-consumed = 'hint' }",
    "[rules.SPF106]\nflows = 3\nshare = 0.5\n[rules.god-orchestrator]\nteams = 3.0",
    "[rules.SPF106]\nshare = 1",
    "[rules.EVT201]",
    "[rules.RES801]\nextra_nine = true\n[rules.HYG951]\nevent = 'x'",
    "[[per-path]]\npaths = ['a/**']\nignore = ['EVT']\nseverity = { SPF101 = 'off' }\n[[per-path]]\npaths = ['b']",
    "per-path = []",
]
REJECTED = {
    "profil = 'strict'": "no key `profil`, did you mean `profile`?",
    "something = 1": "no key `something`, the keys are extend, profile",
    "profile = 'strickt'": "`profile` cannot be `strickt`, did you mean `strict`?",
    "profile = 'x'": "it is one of minimal, default, strict, production",
    "profile = 3": "`profile` has to be a string",
    "extend = ['a']": "`extend` has to be a string",
    "designs = 'a.coord'": "`designs` has to be a list of strings",
    "exclude = [1]": "`exclude` has to be a list of strings",
    "select = ['EVT2001']": "no rule `EVT2001`, did you mean `EVT201`?",
    "select = 'EVT'": "`select` has to be a list of rules",
    "ignore = ['event-never-consumd']": "did you mean `event-never-consumed`?",
    "ignore = ['evt201']": "did you mean `EVT201`?",
    "ignore = ['']": "`coordlint rules` lists them",
    "extend-select = ['QQQ']": "no rule `QQQ`, `coordlint rules` lists them",
    "fail-on = 'off'": "`fail-on` cannot be `off`, it is one of error, warning, info, hint",
    "fail-on = 'warn'": "it is one of",
    "baseline = true": "`baseline` has to be a string",
    "require-reason = 'yes'": "`require-reason` has to be true or false",
    "severity = 'error'": "`severity` has to be a table such as",
    "severity = { EVT201 = 'bad' }": "`severity`: `EVT201` cannot be `bad`, it is one of",
    "severity = { EVT201 = 1 }": "`severity`: `EVT201` has to be a severity",
    "severity = { EVT209X = 'error' }": "no rule `EVT209X`",
    "severity = { evnt-never-consumed = 'error' }": "did you mean `event-never-consumed`?",
    "rules = 1": "`rules` has to be a table by rule code",
    "rules = { EVT = {} }": "no rule `EVT`",
    "rules = { SPF106 = 3 }": "`SPF106` has to be a table of options",
    "[rules.SPF106]\nflow = 3": "no option `flow`, did you mean `flows`?",
    "[rules.SPF106]\nxyz = 3": "its options are flows, share, contexts, teams",
    "[rules.EVT201]\nx = 1": "its options are none",
    "[rules.SPF106]\nflows = '3'": "`flows` has to be of type integer, as its default `4`",
    "[rules.SPF106]\nflows = 2.5": "has to be of type integer",
    "[rules.SPF106]\nshare = true": "has to be of type number",
    "[rules.HYG951]\nevent = 3": "has to be of type string",
    "[rules.RES801]\nextra_nine = 1": "has to be of type boolean",
    "per-path = 'a'": "`per-path` has to be a list of tables",
    "[per-path]\npaths = ['a']": "`per-path` has to be a list of tables",
    "[[per-path]]\nignore = ['EVT']": "add `paths`, such as",
    "[[per-path]]\npaths = []": "add `paths`, such as",
    "[[per-path]]\npaths = ['a']\nselect = ['EVT']": "`per-path` 1: there is no key `select`",
    "[[per-path]]\npaths = ['a']\n[[per-path]]\npath = ['a']": "`per-path` 2: there is no key `path`, did you mean `paths`?",
    "[[per-path]]\npaths = ['a']\nseverity = { EVT = 'worse' }": "cannot be `worse`",
}
BEYOND_JSON = {
    "[rules.SPF106]\nshare = nan": "has to be of type number",
    "[rules.SPF106]\nshare = inf": "has to be of type number",
    "[rules.HYG951]\nevent = 1979-05-27": "has to be of type string",
    "profile = 1979-05-27": "has to be a string",
}
"""What TOML can say and JSON cannot, so that a JSON Schema has nothing to say about it."""


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_the_loader_accepts_the_schema_accepts(here: Path, validator: Any, text: str):
    assert [error.message for error in validator.iter_errors(tomllib.loads(text))] == []
    load(write("coordlint.toml", text))
    load(write("pyproject.toml", "[tool.coordlint]\n" + text.replace("[rules", "[tool.coordlint.rules").replace("[[per", "[[tool.coordlint.per"))
         )  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REJECTED.items())
def test_what_the_loader_rejects_the_schema_rejects(here: Path, validator: Any, text: str, message: str):
    assert not validator.is_valid(tomllib.loads(text))
    with pytest.raises(ConfigError) as caught:
        load(write("coordlint.toml", text))
    assert message in str(caught.value)
    assert str(caught.value).startswith("coordlint.toml: ")


@pytest.mark.parametrize(("text", "message"), BEYOND_JSON.items())
def test_what_only_toml_can_say_is_rejected_too(here: Path, text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load(write("coordlint.toml", text))


def test_the_lists_above_try_every_key():
    for key in KEYS:
        assert any(key.name in text for text in (*ACCEPTED, "extend")), key.name
        assert any(text.startswith((key.name, f"[{key.name}", f"[[{key.name}")) for text in REJECTED), key.name
    assert math.isnan(tomllib.loads(next(iter(BEYOND_JSON)))["rules"]["SPF106"]["share"])
