"""Rules: the decorator that declares one, its documentation, and the catalogue found by walking the rules' folder."""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from coordlint.design import Design
    from coordlint.finding import Finding

    Check: TypeAlias = Callable[[Design], Iterable[Finding]]

EVIDENCE = {
    "S": "structural, follows from references alone",
    "D": "declared, speaks only about facts the author wrote",
    "Q": "quantitative, arithmetic over declared facts",
    "A": "absence, something recommended is not declared",
    "O": "opinion, a threshold or a heuristic",
    "V": "verified, a run of the design's model shows it: with one fault at most in `check`, with more in `verify`",
}
"""What a rule's claim rests on, by the letters of its `evidence`."""


@dataclass(frozen=True)
class Rule:
    """A check with a name.

    Attributes:
        code: stable code such as `EVT201`; the three letters name the group.
        name: readable name such as `event-never-consumed`.
        group: the folder of the rule.
        levels: severity triple for the profiles default, strict and production, such as `W/W/E`; `–` is off.
        evidence: what the claim rests on, letters of `EVIDENCE`.
        check: yields the findings of a design; the engine adds code and severity.
        options: names of the rule's options and their defaults.
        text: the documentation as written, Markdown.
    """

    code: str
    name: str
    group: str
    levels: str
    evidence: str
    check: Check
    options: Mapping[str, object] = field(default_factory=dict)
    text: str = field(default="", repr=False)

    @cached_property
    def doc(self) -> Doc:
        """The documentation, taken apart."""
        return Doc.parse(self.text)

    @property
    def summary(self) -> str:
        """The first line of the documentation."""
        return self.doc.summary

    def option(self, design: Design, name: str) -> Any:
        """The value of an option in a design's configuration, or its default; in a check: `check.option(design, "limit")`.

        Raises:
            KeyError: the rule has no such option.
        """
        return design.options.get(self.code, {}).get(name, self.options[name])


class Entry(NamedTuple):
    """What the catalogue knows of a rule without importing it."""

    code: str
    name: str
    group: str
    levels: str
    evidence: str
    summary: str
    path: Path


class Example(NamedTuple):
    """A design in a rule's documentation, and the profile under which it is meant."""

    text: str
    profile: str = "default"


class Doc(NamedTuple):
    """The documentation of a rule: its first line and its sections, which are Markdown."""

    summary: str
    why: str = ""
    bad: tuple[Example, ...] = ()
    good: tuple[Example, ...] = ()
    exempt: str = ""
    options: str = ""
    references: str = ""
    sections: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Doc:
        """Take the docstring of a rule's module apart; missing sections are empty."""
        summary, _, rest = text.strip().partition("\n")
        sections = tuple(_sections(rest))
        found = dict(sections)
        return cls(
            summary.strip(),
            found.get("Why", ""),
            _examples(found.get("Bad", "")),
            _examples(found.get("Good", "")),
            found.get("Exempt", ""),
            found.get("Options", ""),
            found.get("References", ""),
            sections,
        )

    @property
    def markdown(self) -> str:
        """The sections as one Markdown text."""
        return "\n\n".join(f"## {title}\n\n{body}" if title else body for title, body in self.sections)


class UnknownRuleError(Exception):
    """No rule has this code or name; the text is one sentence for the user, with the nearest names."""

    def __init__(self, selector: str, known: Iterable[str]) -> None:
        from difflib import get_close_matches

        names = list(known)
        near = get_close_matches(selector.upper(), names, 3) or get_close_matches(selector.lower(), names, 3, 0.5)
        hint = f"did you mean {_either(near)}?" if near else "`coordlint rules` lists them"
        super().__init__(f"there is no rule `{selector}`: {hint}")


def rule(
    code: str, name: str, levels: str, *, evidence: str, options: Mapping[str, object] | None = None
) -> Callable[[Check], Rule]:
    """Declare a rule; the docstring of the module that uses the decorator is its documentation.

    Args:
        code: stable code such as `EVT201`.
        name: readable name in lower case with hyphens.
        levels: severity triple for default/strict/production, such as `W/W/E`.
        evidence: letters of `EVIDENCE`.
        options: option names with their defaults; see `Rule.option()`.

    Raises:
        ValueError: an argument is not of this form.
    """
    from coordlint.finding import PROFILES, severity_in

    if not (_CODE.fullmatch(code) and _NAME.fullmatch(name)):
        raise ValueError(f"a rule needs a code like EVT201 and a name like event-never-consumed, not {code} {name}")
    for profile in PROFILES:
        severity_in(levels, profile)
    if not evidence or set(evidence) - set(EVIDENCE):
        raise ValueError(f"the evidence of {code} is made of the letters {', '.join(EVIDENCE)}, not `{evidence}`")

    def declare(check: Check) -> Rule:
        module = check.__module__.split(".")
        return Rule(
            code,
            name,
            module[-2] if len(module) > 1 else "",
            levels,
            evidence,
            check,
            MappingProxyType(dict(options or {})),
            check.__globals__.get("__doc__") or "",
        )

    return declare


@cache
def index() -> tuple[Entry, ...]:
    """Every rule in the order of the codes, read from the files' text: importing them all would take too long for help."""
    entries = []
    for path in _rule_files():
        text = path.read_text(encoding="utf-8")
        found = _DECORATOR.search(text)
        if not found:
            raise ValueError(f"{path.name} declares no rule; helpers start with an underscore")
        summary = _SUMMARY.match(text)
        code, name, levels, evidence = found.groups()
        entries.append(
            Entry(code, name, path.parent.name, levels, evidence, summary[1].strip() if summary else "", path)
        )
    return tuple(sorted(entries))


def find(selector: str) -> Entry:
    """The rule with this code or name, in any case.

    Raises:
        UnknownRuleError: there is none.
    """
    for entry in index():
        if selector.upper() == entry.code or selector.lower() == entry.name:
            return entry
    raise UnknownRuleError(selector, [word for entry in index() for word in (entry.code, entry.name)])


def document(entry: Entry) -> Doc:
    """The documentation of a rule, read without importing it."""
    return Doc.parse(ast.get_docstring(ast.parse(entry.path.read_text(encoding="utf-8"))) or "")


@cache
def load(entry: Entry) -> Rule:
    """Import a rule.

    Raises:
        ImportError: the module does not hold the rule that its text declares.
    """
    module = importlib.import_module(f"coordlint.rules.{entry.group}.{entry.path.stem}")
    for value in vars(module).values():
        if isinstance(value, Rule) and value.code == entry.code:
            return value
    raise ImportError(f"{entry.path.name} does not declare {entry.code}")


def rules() -> tuple[Rule, ...]:
    """Every rule, imported, in the order of the codes."""
    return tuple(load(entry) for entry in index())


_CODE = re.compile(r"[A-Z]{3}\d{3}")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_DECORATOR = re.compile(
    r'^@rule\(\s*"([A-Z]{3}\d{3})",\s*"([a-z0-9-]+)",\s*"([^"]+)",\s*evidence="([A-Z]+)"', re.MULTILINE
)
_SUMMARY = re.compile(r'r?"""\s*(.*?)\s*(?:"""|$)', re.MULTILINE)
_FENCE = re.compile(r"^```coord(?:[ \t]+(\w+))?[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


def _rule_files() -> Iterator[Path]:
    for folder in importlib.import_module("coordlint.rules").__path__:
        for path in sorted(Path(folder).glob("*/*.py")):
            if not path.name.startswith("_"):
                yield path


def _sections(text: str) -> Iterator[tuple[str, str]]:
    title, lines, fenced = "", list[str](), False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        if line.startswith("## ") and not fenced:
            if title or any(lines):
                yield title, "\n".join(lines).strip()
            title, lines = line[3:].strip(), []
        else:
            lines.append(line)
    if title or any(lines):
        yield title, "\n".join(lines).strip()


def _examples(section: str) -> tuple[Example, ...]:
    return tuple(Example(found[2], found[1] or "default") for found in _FENCE.finditer(section))


def _either(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
