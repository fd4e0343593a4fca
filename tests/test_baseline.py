"""The baseline: accepted findings, what is new against it, what is gone, and files that are no baselines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from project import CLEAN, MISSPELT, UNHEARD, UNRESOLVED, Program, read, write

FILE = "coordlint-baseline.json"


@pytest.fixture
def accepted(coordlint: Program) -> str:
    """A project with one finding in its baseline."""
    write("shop/a.coord", UNHEARD)
    said = coordlint("baseline")
    assert (said.code, said.out) == (0, "")
    assert said.err.startswith(f"coordlint: wrote 1 finding to {FILE}\n")
    return FILE


def entries() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(read(FILE))["findings"]
    return found


def test_what_is_accepted_neither_shows_nor_fails(coordlint: Program, accepted: str):
    assert coordlint.check("--fail-on", "warning").code == 1
    said = coordlint.check("--baseline", accepted, "--fail-on", "warning")
    assert (said.code, said.codes, said.hidden) == (0, [], [("EVT201", "in the baseline", "")])
    assert said.err == f"coordlint: baseline {FILE}: 1 known, 0 new, 0 of 1 gone\n"
    assert "1 in the baseline" in coordlint("check", "--baseline", accepted).out


def test_the_configuration_may_name_it(coordlint: Program, accepted: str):
    assert f'put `baseline = "{FILE}"` into coordlint.toml' in coordlint("baseline", "--update").err
    write("coordlint.toml", f"baseline = '{FILE}'")
    assert coordlint.check().codes == []
    assert "use it with" not in coordlint("baseline", "--update").err


def test_every_run_says_what_is_new(coordlint: Program, accepted: str):
    write("shop/b.coord", MISSPELT)
    said = coordlint.check("--baseline", accepted)
    assert (said.code, said.codes) == (1, ["EVT202"])
    assert said.err == f"coordlint: baseline {FILE}: 1 known, 1 new, 0 of 1 gone\n"
    assert coordlint("check", "--baseline", accepted, "--quiet").err == ""


@pytest.mark.parametrize(
    "text",
    [
        "\n\n# moved down\n" + UNHEARD,
        UNHEARD.replace("service Orders { handles", 'service Orders "takes them" {\n\n  handles'),
        "\n".join(reversed(UNHEARD.splitlines())) + "\n",
        UNHEARD.replace("\n", "\r\n"),
    ],
)
def test_the_place_in_the_file_does_not_matter(coordlint: Program, accepted: str, text: str):
    write("shop/a.coord", text)
    said = coordlint.check("--baseline", accepted)
    assert (said.codes, said.hidden) == ([], [("EVT201", "in the baseline", "")])


def test_a_finding_of_the_same_kind_elsewhere_is_new(coordlint: Program, accepted: str):
    write("shop/b.coord", UNHEARD)
    write("shop/a.coord", UNHEARD.replace("event OrderPlaced", "event OrderPlaced, Other").replace("emits OrderPlaced", "emits OrderPlaced emits Other"))  # fmt: skip
    said = coordlint.check("--baseline", accepted)
    assert said.codes == ["EVT201", "EVT201"]
    assert {finding["primary"]["path"] for finding in said.data["findings"]} == {"shop/a.coord", "shop/b.coord"}


@pytest.mark.parametrize("configured", [False, True])
def test_the_current_folder_does_not_matter(coordlint: Program, here: Path, monkeypatch, configured: bool):
    if configured:
        write("coordlint.toml", f"baseline = 'known/{FILE}'")
        options, target = [], f"known/{FILE}"
        Path("known").mkdir()
    else:
        options, target = ["--file", FILE], FILE
    write("shop/deep/a.coord", UNHEARD)
    coordlint("baseline", *options)
    written = read(target)
    for place, design in ((".", "."), ("shop", "deep/a.coord"), ("shop/deep", "a.coord"), ("shop", str(here))):
        monkeypatch.chdir(here / place)
        given = [] if configured else ["--baseline", str(here / FILE)]
        said = coordlint.check(design, *given, "--no-cache")
        assert said.hidden == [("EVT201", "in the baseline", "")], place
        options = [] if configured else ["--file", str(here / FILE)]
        assert coordlint("baseline", design, "--update", *options).code == 0
        assert read(here / target) == written


def test_each_configuration_has_its_own(coordlint: Program):
    for name in ("one", "two"):
        write(f"{name}/coordlint.toml", "baseline = 'known.json'")
        write(f"{name}/a.coord", UNHEARD)
        assert coordlint("baseline", name).code == 0
    assert next(iter(json.loads(read("one/known.json"))["findings"].values()))["path"] == "a.coord"
    said = coordlint.check()
    assert said.codes == []
    assert said.err.count("1 known, 0 new") == 2


# ------------------------------------------------------------------------------------------------ gone


def test_what_is_repaired_is_gone_and_can_be_pruned(coordlint: Program, accepted: str):
    write("shop/b.coord", MISSPELT)
    coordlint("baseline", "--update")
    assert sorted(one["code"] for one in entries().values()) == ["EVT201", "EVT202"]
    write("shop/a.coord", CLEAN)
    said = coordlint.check("--baseline", accepted)
    assert said.code == 0
    assert said.err == (
        f"coordlint: baseline {FILE}: 1 known, 0 new, 1 of 2 gone; "
        f"`coordlint baseline --prune --file {FILE}` removes them\n"
    )
    assert coordlint.check("--baseline", accepted, "--error-stale-baseline").code == 1
    assert coordlint.check("--baseline", accepted, "--error-stale-baseline", "--exit-zero").code == 0
    assert coordlint("baseline", "--prune").err == f"coordlint: removed 1 of 2 entries from {FILE}\n"
    assert [one["code"] for one in entries().values()] == ["EVT202"]
    assert coordlint.check("--baseline", accepted, "--error-stale-baseline").code == 0


def test_pruning_accepts_nothing_new(coordlint: Program, accepted: str):
    before = read(FILE)
    write("shop/b.coord", MISSPELT)
    assert coordlint("baseline", "--prune").code == 0
    assert read(FILE) == before


def test_a_file_that_is_gone_takes_its_entries_along(coordlint: Program, accepted: str):
    Path("shop/a.coord").rename("shop/c.coord")
    said = coordlint.check("--baseline", accepted, "--error-stale-baseline")
    assert (said.code, said.codes) == (1, ["EVT201"])


def test_only_what_was_looked_at_can_be_gone(coordlint: Program, accepted: str):
    write("other/b.coord", CLEAN)
    assert coordlint.check("other", "--baseline", accepted, "--error-stale-baseline").code == 0
    assert coordlint.check("--ignore", "EVT201", "--baseline", accepted, "--error-stale-baseline").code == 0


def test_an_entry_of_a_rule_that_does_not_exist_any_more_is_gone(coordlint: Program, accepted: str):
    data = json.loads(read(FILE))
    data["findings"]["0" * 32] = {"code": "EVT299", "path": "shop/a.coord", "message": "x"}
    write(FILE, json.dumps(data))
    assert "1 of 2 gone" in coordlint.check("--baseline", accepted).err


# ------------------------------------------------------------------------------------------------ in the reports


def test_sarif_tells_old_from_new(coordlint: Program, accepted: str):
    write("shop/b.coord", MISSPELT)
    write("shop/c.coord", UNHEARD.replace("emits OrderPlaced }", "emits OrderPlaced } # coordlint: ignore[EVT201] why"))
    results = coordlint("check", "--format", "sarif", "--baseline", accepted).data["runs"][0]["results"]
    assert sorted((one["ruleId"], one["baselineState"], *(s["kind"] for s in one.get("suppressions", ()))) for one in results) == [
        ("EVT201", "new", "inSource"),
        ("EVT201", "unchanged", "external"),
        ("EVT202", "new"),
    ]  # fmt: skip
    alone = coordlint("check", "--format", "sarif").data["runs"][0]["results"]
    assert all("baselineState" not in one for one in alone)


def test_markdown_lists_what_is_known(coordlint: Program, accepted: str):
    out = coordlint("check", "--format", "markdown", "--baseline", accepted).out
    assert "<details><summary>1 in the baseline</summary>" in out
    assert "- EVT201 nobody reacts to `OrderPlaced`" in out


# ------------------------------------------------------------------------------------------------ the file


def test_it_reads_well_in_a_diff(coordlint: Program, accepted: str):
    write("shop/b.coord", UNRESOLVED)
    coordlint("baseline", "--update")
    assert [(one["path"], one["code"]) for one in entries().values()] == [
        ("shop/a.coord", "EVT201"),
        ("shop/b.coord", "REF001"),
    ]
    assert all(len(key) == 32 for key in entries())
    assert ":5" not in read(FILE)
    once = read(FILE)
    coordlint("baseline", "--update")
    assert read(FILE) == once


def test_an_existing_one_is_not_overwritten_by_accident(coordlint: Program, accepted: str):
    assert coordlint.complaint("baseline") == (
        f"there is a baseline `{FILE}` already: use --update to make it anew, or --prune"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not valid JSON: restore it, or make it anew"),
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("\xff", "is not valid JSON"),
        ("[]", "is not a baseline of version 1: make it anew with `coordlint baseline`"),
        ("{}", "is not a baseline of version 1"),
        ('{"version": 2, "findings": {}}', "is not a baseline of version 1"),
        ('{"version": 1, "findings": []}', "is not a baseline of version 1"),
        ('{"version": 1, "findings": {"a": 1}}', "the entry `a` of the baseline `known.json` is broken"),
        ('{"version": 1, "findings": {"a": {"code": "EVT201"}}}', "the entry `a` of the baseline"),
        ('{"version": 1, "findings": {"a\\nb\\u001b": 1}}', "the entry `a b\\x1b` of the baseline"),
    ],
)
def test_a_broken_one_is_never_taken_for_an_empty_one(coordlint: Program, content: str, message: str):
    write("a.coord", UNHEARD)
    Path("known.json").write_bytes(content.encode("latin-1"))
    assert message in coordlint.complaint("check", "--baseline", "known.json")
    assert message in coordlint.complaint("baseline", "--prune", "--file", "known.json")
    write("coordlint.toml", "baseline = 'known.json'")
    assert message in coordlint.complaint("check")


def test_a_missing_one_says_how_to_make_it(coordlint: Program):
    write("a.coord", UNHEARD)
    message = "there is no baseline `known.json`: create it with `coordlint baseline`"
    assert coordlint.complaint("check", "--baseline", "known.json") == message
    assert coordlint.complaint("baseline", "--prune", "--file", "known.json") == message


def test_one_that_cannot_be_read_or_written(coordlint: Program):
    write("a.coord", UNHEARD)
    Path("folder").mkdir()
    assert coordlint.complaint("check", "--baseline", "folder") == "cannot read the baseline `folder`: is a directory"
    assert "cannot write the baseline `no/such.json`: no such file" in coordlint.complaint("baseline", "--file", "no/such.json")  # fmt: skip
