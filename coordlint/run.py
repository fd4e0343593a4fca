"""One run of `check`: which designs, under which configuration, against which baseline, with which fixes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from coordlint.check import Hidden, Result, Selection, check, merge, select_rules
from coordlint.config import Config, PerPath
from coordlint.config import candidates as find_candidates
from coordlint.config import find as find_config
from coordlint.config import load as load_config
from coordlint.design import Design, load
from coordlint.discover import find_designs
from coordlint.finding import Finding, Severity
from coordlint.ignores import CODE as IGNORE_COMMENTS
from coordlint.source import Source

if TYPE_CHECKING:
    from coordlint.baseline import Baseline, Entry
    from coordlint.explore.verify import Settings

VERIFIED = "VER"
"""The rules that run the model of a design."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks for on the command line; what is left open is for the configuration to say.

    Attributes:
        paths: designs and folders; empty for the configured designs, else the current folder.
        stdin: a design to check instead of files.
        config: the configuration file to use for every design; None for the nearest of each.
        isolated: heed no configuration.
        ignores: heed ignore comments.
        baseline: the baseline file; None for the configured one, empty for none.
        base: the folder that fingerprints name files from; None for that of the baseline, else that of the configuration.
        today: the day that dates are held against: ends of ignores, of deprecated versions.
        verify: run the designs' models that far.
        beside: with `verify`: also the other rules.
        remember: use the user's cache for what parts of a design were found to be.
    """

    paths: tuple[str, ...] = ()
    stdin: Source | None = None
    select: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severities: Mapping[str, Severity | None] = field(default_factory=dict)
    profile: str | None = None
    fail_on: str | None = None
    config: str | None = None
    isolated: bool = False
    ignores: bool = True
    baseline: str | None = None
    base: str | None = None
    today: date | None = None
    verify: Settings | None = None
    remember: bool = False
    beside: bool = False


class Checked(NamedTuple):
    """One design as it was checked."""

    path: str
    config: Config
    result: Result
    threshold: Severity
    inputs: tuple[str, ...]
    design: Design
    baseline: str | None = None


class Compared(NamedTuple):
    """A baseline and how the findings stand against it.

    Attributes:
        path: its file.
        baseline: its entries.
        known: how many findings it hides.
        new: how many findings of its designs it does not hold.
        stale: its entries that nothing matches any more.
    """

    path: str
    baseline: Baseline
    known: int
    new: int
    stale: Mapping[str, Entry]


class Outcome(NamedTuple):
    """All designs of a run.

    Attributes:
        result: the findings of all designs.
        designs: each design with its configuration.
        baselines: the baselines that were used: one for each configuration that names one, or the one that was given.
        inputs: every file and folder that the outcome depends on, missing ones included.
    """

    result: Result
    designs: tuple[Checked, ...]
    baselines: tuple[Compared, ...]
    inputs: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a finding is at or above the threshold of its design."""
        return any(one.result.fails(one.threshold) for one in self.designs)


def run(request: Request, overlay: Mapping[str, Source] | None = None) -> Outcome:
    """Check what the request names.

    Args:
        request: what to do.
        overlay: texts that stand in for files, by real path.

    Raises:
        SourceError: a design cannot be read, or there is none.
        UnknownRuleError: a selector on the command line matches no rule.
        ConfigError: a configuration is no good.
        BaselineError: the baseline is no good.
    """
    here = _config_of(os.getcwd(), request)
    checked = []
    configs: dict[str, Config] = {}
    selections: dict[Path | None, Selection] = {}
    for path in _roots(request, here):
        folder = _folder(path)
        if folder not in configs:
            configs[folder] = _config_of(folder, request)
        config = configs[folder]
        if config.path not in selections:
            selections[config.path] = _selection(request, config)
        selection = selections[config.path]
        checked.append(_check(path, request, config, selection, overlay))
    checked = _agreed(checked)
    compared = []
    for file in dict.fromkeys(one.baseline for one in checked):
        if file is not None:
            from coordlint import baseline as baselines  # its own module only when there is one

            known = baselines.load(file)
            mine = [one for one in checked if one.baseline == file]
            compared.append(_compare(file, known, mine))
            checked = [
                one._replace(result=_without_known(one.result, known)) if one.baseline == file else one
                for one in checked
            ]
    paths = request.paths or _default_paths(here)
    for folder in map(_searched, paths):
        configs.setdefault(folder, _config_of(folder, request))
    inputs = [*paths, *here.files]
    for folder in (os.getcwd(), *configs):
        inputs += find_candidates(folder)
    for config in configs.values():
        inputs += config.files
    for one in checked:
        inputs += one.inputs
    inputs += [one.path for one in compared]
    return Outcome(
        merge([one.result for one in checked]), tuple(checked), tuple(compared), tuple(dict.fromkeys(inputs))
    )


def designs(request: Request) -> Sequence[str]:
    """The root designs that a run would check.

    Raises:
        SourceError, ConfigError: as in `run`.
    """
    return _roots(request, _config_of(os.getcwd(), request))


def settings(request: Request) -> Config:
    """The configuration that holds in the current folder or, with a path, for that design or folder.

    Raises:
        ConfigError: it is no good.
    """
    return _config_of(_searched(request.paths[0]) if request.paths else os.getcwd(), request)


def excluded(request: Request) -> Callable[[str, str], bool]:
    """Whether a file below a folder is excluded by the configuration that holds in the folder; see `find_designs`."""
    configs: dict[str, Config] = {}

    def is_excluded(folder: str, file: str) -> bool:
        if folder not in configs:
            configs[folder] = _config_of(_searched(folder), request)
        return configs[folder].excludes(file)

    return is_excluded


def project_root(path: str, config: Config) -> str | None:
    """The folder that includes may not leave: that of the configuration if the design lies in it, else the design's own."""
    if config.root is None:
        return None
    root = os.path.realpath(config.root)
    inside = Path(os.path.realpath(path)).is_relative_to(root)
    return root if inside else None


# ------------------------------------------------------------------------------------------------ parts


def _config_of(folder: str, request: Request) -> Config:
    if request.isolated:
        return Config()
    if request.config is not None:
        return load_config(request.config)
    found = find_config(folder)
    return load_config(found) if found is not None else Config()


def _roots(request: Request, here: Config) -> Sequence[str]:
    if request.stdin is not None:
        return (request.stdin.path,)
    return find_designs(request.paths or _default_paths(here), excluded(request))


def _default_paths(here: Config) -> tuple[str, ...]:
    """What is checked when no path is given."""
    if here.designs and here.root is not None:
        return tuple(os.path.relpath(here.root / design) for design in here.designs)
    return (".",)


def _folder(path: str) -> str:
    """The folder whose configuration holds for a design, be it a file or the name of what comes from standard input."""
    return os.path.dirname(os.path.realpath(path))


def _searched(path: str) -> str:
    """The folder whose configuration holds for a path of the user."""
    return os.path.realpath(path) if os.path.isdir(path) else _folder(path)


def _selection(request: Request, config: Config) -> Selection:
    chosen = request.select
    alone = request.verify is not None and not request.beside
    profile = request.profile or config.profile or "default"
    severities: dict[str, Severity | None] = {
        selector: None if level == "off" else Severity[level.upper()] for selector, level in config.severity.items()
    }
    for selector, severity in request.severities.items():
        severities.pop(selector, None)
        severities[selector] = severity
    return select_rules(
        select=(
            *(chosen or ((VERIFIED,) if alone else config.select) or ("ALL",)),
            *(() if chosen or alone else config.extend_select),
            *request.extend_select,
        ),
        ignore=(*(() if chosen else config.ignore), *request.ignore),
        severities=severities,
        profile="default" if profile == "minimal" else profile,
        minimal=profile == "minimal",
    )


def _check(
    path: str, request: Request, config: Config, selection: Selection, overlay: Mapping[str, Source] | None
) -> Checked:
    root = project_root(path, config)
    baseline = _baseline_of(request, config)
    design = load(
        path,
        profile=selection.profile,
        stdin=request.stdin,
        options=config.rules,
        root=root,
        overlay=overlay,
        today=request.today,
    )
    design.verify, design.remember = request.verify, request.remember
    result = check(
        design,
        selection,
        today=request.today,
        ignores=request.ignores,
        require_reason=config.require_reason is not False,
        base=_base(request, config, baseline),
    )
    if config.per_path:
        result = _per_path(result, config)
    fail_on = request.fail_on or config.fail_on or ("error" if selection.profile == "default" else "warning")
    return Checked(path, config, result, Severity[fail_on.upper()], design.inputs, design, baseline)


def _base(request: Request, config: Config, baseline: str | None) -> str:
    """The folder that fingerprints name files from: they shall be the same wherever the program is started."""
    if request.base is not None:
        return request.base
    if baseline is not None:
        return os.path.dirname(os.path.abspath(baseline))
    return str(config.root) if config.root is not None else ""


def _per_path(result: Result, config: Config) -> Result:
    kept: list[Finding] = []
    hidden = list(result.hidden)
    for finding in result.findings:
        name = config.relative(finding.primary.span.source.path)
        rule = result.rule(finding.code)
        words = {finding.code, rule.name if rule else ""}
        for one in config.per_path:
            if one.matches(name):
                finding = _adjusted(finding, one, words)
        if finding.severity is None:
            hidden.append(Hidden(finding, "left out by path"))
        else:
            kept.append(finding)
    return replace(result, findings=tuple(kept), hidden=tuple(hidden))


def _adjusted(finding: Finding, one: PerPath, words: set[str]) -> Finding:
    def names(selector: str) -> bool:
        return selector in words or selector == "ALL" or finding.code.startswith(selector)

    if any(names(selector) for selector in one.ignore):
        return replace(finding, severity=None)
    for selector, level in one.severity.items():
        if names(selector):
            finding = replace(finding, severity=None if level == "off" else Severity[level.upper()])
    return finding


def _baseline_of(request: Request, config: Config) -> str | None:
    if request.baseline is not None:
        return request.baseline or None
    if config.baseline is not None and config.root is not None:
        return os.path.relpath(config.root / config.baseline)
    return None


def _agreed(checked: list[Checked]) -> list[Checked]:
    """The designs without complaints about ignore comments that are of use in another design that includes the same file."""
    readers = Counter(source.path for one in checked for source in {s.path: s for s in one.result.sources}.values())
    said = Counter(
        _said(finding) for one in checked for finding in one.result.findings if finding.code == IGNORE_COMMENTS
    )

    def stands(finding: Finding) -> bool:
        return finding.code != IGNORE_COMMENTS or said[_said(finding)] == readers[finding.primary.span.source.path]

    if all(number == 1 for number in readers.values()):
        return checked
    return [
        one._replace(result=replace(one.result, findings=tuple(filter(stands, one.result.findings)))) for one in checked
    ]


def _said(finding: Finding) -> tuple[str, int, str]:
    span = finding.primary.span
    return span.source.path, span.start, finding.message


def _compare(path: str, known: Baseline, designs: Sequence[Checked]) -> Compared:
    result = merge([one.result for one in designs])
    folder = os.path.dirname(os.path.abspath(path))
    number = sum(finding.fingerprint in known.entries for finding in result.findings)
    stale = known.stale(
        [*result.findings, *(one.finding for one in result.hidden)],
        [rule.code for rule in result.rules],
        [source.path for source in result.sources],
        folder,
    )
    return Compared(path, known, number, len(result.findings) - number, stale)


def _without_known(result: Result, known: Baseline) -> Result:
    """The result without the findings of the baseline."""
    kept = tuple(finding for finding in result.findings if finding.fingerprint not in known.entries)
    hidden = [Hidden(finding, "in the baseline") for finding in result.findings if finding.fingerprint in known.entries]
    return replace(result, findings=kept, hidden=(*result.hidden, *hidden), compared=True)
