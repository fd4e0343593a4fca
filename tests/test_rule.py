"""The declaration of rules, their documentation, and the catalogue."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coordlint import design
from coordlint.rule import Doc, Example, UnknownRuleError, document, find, index, load, rule, rules
from coordlint.source import Source

TEXT = """A summary of the rule.

## Why

Because.

## Bad

A word first.

```coord
event A # EVT201
## Why: this is a comment
```

```coord strict
event B # EVT201
```

## Good

```coord
event A
```

## Options

- `limit`: a number.

## References

- A book.
"""


def test_documentation_is_taken_apart():
    doc = Doc.parse(TEXT)
    assert doc.summary == "A summary of the rule."
    assert doc.why == "Because."
    assert doc.bad == (
        Example("event A # EVT201\n## Why: this is a comment\n", "default"),
        Example("event B # EVT201\n", "strict"),
    )
    assert doc.good == (Example("event A\n"),)
    assert doc.exempt == ""
    assert doc.options == "- `limit`: a number."
    assert [title for title, _ in doc.sections] == ["Why", "Bad", "Good", "Options", "References"]


def test_documentation_as_markdown_is_what_was_written():
    assert Doc.parse(TEXT).markdown == TEXT.partition("\n\n")[2].strip()


def test_the_decorator_makes_a_rule_of_a_check():
    @rule("EVT999", "an-example", "–/I/W", evidence="SD", options={"limit": 3})
    def check(design):
        yield from ()

    assert (check.code, check.name, check.levels, check.evidence) == ("EVT999", "an-example", "–/I/W", "SD")
    assert check.options == {"limit": 3}
    assert list(check.check(None)) == []
    assert check.summary == __doc__.splitlines()[0]


def test_options_come_from_the_design_or_their_default():
    @rule("EVT999", "an-example", "W/W/E", evidence="O", options={"limit": 3})
    def check(design):
        yield check.option(design, "limit")

    assert list(check.check(load_design({}))) == [3]
    assert list(check.check(load_design({"EVT999": {"limit": 5}, "EVT998": {"limit": 7}}))) == [5]
    with pytest.raises(KeyError):
        check.option(load_design({}), "limits")


def load_design(options):
    return design.load("options.coord", options=options, stdin=Source("options.coord", ""))


@pytest.mark.parametrize(
    ("code", "name", "levels", "evidence"),
    [
        ("EVT1", "a-name", "W/W/E", "S"),
        ("EVT201", "A Name", "W/W/E", "S"),
        ("EVT201", "a-name", "W/E", "S"),
        ("EVT201", "a-name", "W/W/X", "S"),
        ("EVT201", "a-name", "W/W/E", "Z"),
        ("EVT201", "a-name", "W/W/E", ""),
    ],
)
def test_a_wrong_declaration_is_refused(code, name, levels, evidence):
    with pytest.raises(ValueError, match=r"EVT|`"):
        rule(code, name, levels, evidence=evidence)


def test_the_catalogue_says_what_the_rules_say():
    for entry, loaded in zip(index(), rules(), strict=True):
        assert (entry.code, entry.name, entry.group) == (loaded.code, loaded.name, loaded.group)
        assert (entry.levels, entry.evidence) == (loaded.levels, loaded.evidence)
        assert entry.summary == loaded.summary
        assert document(entry) == loaded.doc


def test_the_catalogue_imports_no_rule():
    program = (
        "import sys; from coordlint.rule import document, index; [document(entry) for entry in index()];"
        "print(sorted(name for name in sys.modules if name.startswith('coordlint.rules.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rules_are_found_by_code_in_any_case_and_by_name():
    assert find("ref001") == find("unresolved-reference") == find("REF001")
    assert load(find("REF001")) is load(find("REF001"))


@pytest.mark.parametrize(
    ("selector", "near"), [("REF0011", "`REF001`"), ("unresolved-refrence", "`unresolved-reference`")]
)
def test_an_unknown_rule_names_the_nearest(selector, near):
    with pytest.raises(UnknownRuleError, match=f"did you mean .*{near}"):
        find(selector)


def test_a_name_like_no_other_points_to_the_list():
    with pytest.raises(UnknownRuleError, match="`coordlint rules` lists them"):
        find("@@@@")


def test_helpers_beside_rules_start_with_an_underscore():
    folder = Path(__file__).parent.parent / "rules"
    declared = {entry.path.resolve() for entry in index()}
    for path in folder.rglob("*.py"):
        assert path.name.startswith("_") or path.resolve() in declared
