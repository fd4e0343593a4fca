"""One run of `check`: which designs, under which configuration, against which baseline, with which fixes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from coordlint import baseline as baselines
from coordlint.baseline import Baseline
from coordlint.check import Hidden, Result, Selection, check, merge, select_rules
from coordlint.config import Config, PerPath
from coordlint.config import candidates as find_candidates
from coordlint.config import find as find_config
from coordlint.config import load as load_config
from coordlint.design import load
from coordlint.discover import find_designs
from coordlint.finding import Finding, Severity
from coordlint.source import Source

if TYPE_CHECKING:
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
        base: the folder that fingerprints name files from; None for that of the configuration, or of the baseline.
        today: the day that dates are held against: ends of ignores, of deprecated versions.
        verify: run the designs' models that far, and only the rules about them.
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


class Checked(NamedTuple):
    """One design as it was checked."""

    path: str
    config: Config
    result: Result
    threshold: Severity
    inputs: tuple[str, ...]


class Outcome(NamedTuple):
    """All designs of a run.

    Attributes:
        result: the findings of all designs.
        designs: each design with its configuration.
        baseline: the baseline that was used, and its file.
        stale: entries of the baseline that nothing matches any more.
        inputs: every file and folder that the outcome depends on, missing ones included.
    """

    result: Result
    designs: tuple[Checked, ...]
    baseline: tuple[str, Baseline] | None
    stale: Mapping[str, baselines.Entry]
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
    known = _baseline_of(request, here)
    checked = []
    configs: dict[str, Config] = {}
    selections: dict[int, Selection] = {}
    for path in _roots(request, here):
        folder = os.path.dirname(os.path.realpath(path)) if request.stdin is None else os.getcwd()
        if folder not in configs:
            configs[folder] = _config_of(folder, request)
        config = configs[folder]
        selection = selections.setdefault(id(config), _selection(request, config))
        checked.append(_check(path, request, config, selection, overlay))
    result = merge([one.result for one in checked])
    stale: dict[str, baselines.Entry] = {}
    if known is not None:
        path, base = known
        stale = base.stale(
            [*result.findings, *(one.finding for one in result.hidden)],
            [rule.code for rule in result.rules],
            [source.path for source in result.sources],
            os.path.dirname(os.path.abspath(path)),
        )
        checked = [one._replace(result=_without_known(one.result, base)) for one in checked]
        result = merge([one.result for one in checked])
    inputs = [*request.paths, *([] if request.paths else here.files or ["."])]
    for folder in [os.getcwd(), *configs]:
        inputs += find_candidates(folder)
    for one in checked:
        inputs += [*one.config.files, *one.inputs]
    if known is not None:
        inputs.append(known[0])
    return Outcome(result, tuple(checked), known, stale, tuple(dict.fromkeys(inputs)))


def designs(request: Request) -> Sequence[str]:
    """The root designs that a run would check.

    Raises:
        SourceError, ConfigError: as in `run`.
    """
    return _roots(request, _config_of(os.getcwd(), request))


def settings(request: Request) -> Config:
    """The configuration that holds in the current folder or, with a path, for that design."""
    folder = os.path.dirname(os.path.realpath(request.paths[0])) if request.paths else os.getcwd()
    return _config_of(folder, request)


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
    if request.paths:
        return find_designs(request.paths, exclude=here.exclude)
    if here.designs and here.root is not None:
        return tuple(os.path.relpath(here.root / design) for design in here.designs)
    return find_designs((".",), exclude=here.exclude)


def _selection(request: Request, config: Config) -> Selection:
    chosen = request.select
    profile = request.profile or config.profile or "default"
    severities: dict[str, Severity | None] = {
        selector: None if level == "off" else Severity[level.upper()] for selector, level in config.severity.items()
    }
    for selector, severity in request.severities.items():
        severities.pop(selector, None)
        severities[selector] = severity
    return select_rules(
        select=(
            *(chosen or ((VERIFIED,) if request.verify is not None else config.select) or ("ALL",)),
            *(() if chosen or request.verify is not None else config.extend_select),
            *request.extend_select,
        ),
        ignore=(*(() if chosen else config.ignore), *request.ignore),
        severities=severities,
        profile="default" if profile == "minimal" else profile,
        errors_only=profile == "minimal",
        verified=request.verify is not None,
    )


def _check(
    path: str, request: Request, config: Config, selection: Selection, overlay: Mapping[str, Source] | None
) -> Checked:
    root = _project_root(path, config)
    design = load(
        path,
        profile=selection.profile,
        stdin=request.stdin,
        options=config.rules,
        root=root,
        overlay=overlay,
        today=request.today,
    )
    design.verify = request.verify
    result = check(
        design,
        selection,
        today=request.today,
        ignores=request.ignores,
        require_reason=config.require_reason is not False,
        base=_base(request, config),
    )
    if config.per_path:
        result = _per_path(result, config)
    fail_on = request.fail_on or config.fail_on or ("error" if selection.profile == "default" else "warning")
    return Checked(path, config, result, Severity[fail_on.upper()], design.inputs)


def _base(request: Request, config: Config) -> str:
    """The folder that fingerprints name files from: they shall be the same wherever the program is started."""
    if request.base is not None:
        return request.base
    if config.root is not None:
        return str(config.root)
    return os.path.dirname(os.path.abspath(request.baseline)) if request.baseline else ""


def _project_root(path: str, config: Config) -> str | None:
    """The folder that includes may not leave: that of the configuration if the design lies in it, else the design's own."""
    if config.root is None:
        return None
    root = os.path.realpath(config.root)
    inside = Path(os.path.realpath(path)).is_relative_to(root)
    return root if inside else None


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
            hidden.append(Hidden(finding, "ignored", "per-path configuration"))
        else:
            kept.append(finding)
    return replace(result, findings=tuple(kept), hidden=tuple(hidden))


def _adjusted(finding: Finding, one: PerPath, words: set[str]) -> Finding:
    def names(selector: str) -> bool:
        return selector in words or selector.upper() == "ALL" or finding.code.startswith(selector.upper())

    if any(names(selector) for selector in one.ignore):
        return replace(finding, severity=None)
    for selector, level in one.severity.items():
        if names(selector):
            finding = replace(finding, severity=None if level == "off" else Severity[level.upper()])
    return finding


def _baseline_of(request: Request, config: Config) -> tuple[str, Baseline] | None:
    if request.baseline is not None:
        return (request.baseline, baselines.load(request.baseline)) if request.baseline else None
    if config.baseline is not None and config.root is not None:
        path = os.path.relpath(config.root / config.baseline)
        return path, baselines.load(path)
    return None


def _without_known(result: Result, known: Baseline) -> Result:
    """The result without the findings of the baseline."""
    kept = tuple(finding for finding in result.findings if finding.fingerprint not in known.entries)
    hidden = [Hidden(finding, "in the baseline") for finding in result.findings if finding.fingerprint in known.entries]
    return replace(result, findings=kept, hidden=(*result.hidden, *hidden))
