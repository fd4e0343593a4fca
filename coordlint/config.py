"""The configuration: one table of keys says what may stand in `coordlint.toml`, and the loader and the JSON Schema read it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from coordlint.discover import matches
from coordlint.finding import LEVEL_WORDS, PROFILES
from coordlint.names import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FILE = "coordlint.toml"
PYPROJECT = "pyproject.toml"
LEVELS = (*LEVEL_WORDS, "off")
PROFILE_NAMES = ("minimal", *PROFILES)
"""Each asks for more than the one before: only what cannot work, what is proven, what is left open, what production needs."""


class ConfigError(Exception):
    """The configuration cannot be used; the text is one sentence that names the place and the remedy."""


class Key(NamedTuple):
    """One key of the configuration: its type in words, what it means, and the values it takes if they are few."""

    name: str
    type: str
    doc: str
    choices: tuple[str, ...] = ()


KEYS = (
    Key(
        "extend",
        "string",
        "another configuration whose settings hold where this one says nothing; its patterns hold here",
    ),
    Key("profile", "string", "how much a design must say", PROFILE_NAMES),
    Key("designs", "strings", "root designs that `coordlint check` checks when no path is given"),
    Key("exclude", "strings", "path patterns relative to the configuration: not searched for designs"),
    Key("select", "selectors", "rules to run: codes, beginnings of codes, names, ALL"),
    Key("extend-select", "selectors", "rules to run as well, even if the profile has them off"),
    Key("ignore", "selectors", "rules to leave out"),
    Key("fail-on", "string", "exit with 1 from this severity on", LEVEL_WORDS),
    Key("baseline", "string", "the baseline file, relative to the configuration"),
    Key("require-reason", "boolean", "whether an ignore without a reason is a finding"),
    Key("severity", "severities", "severities by rule: error, warning, info, hint or off", LEVELS),
    Key("rules", "options", "options by rule, as in `[rules.SPF106]`"),
    Key("per-path", "paths", "what is different for files that match a pattern"),
)
PATH_KEYS = (
    Key("paths", "strings", "path patterns relative to the configuration, such as `legacy/**`"),
    Key("ignore", "selectors", "rules to leave out for these files"),
    Key("severity", "severities", "severities by rule for these files", LEVELS),
)


class PerPath(NamedTuple):
    """What is different for the files that match one of the patterns."""

    paths: tuple[str, ...]
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, str] = {}

    def matches(self, path: str) -> bool:
        """Whether a path relative to the configuration, with forward slashes, matches; `**` crosses folders."""
        return any(matches(path, pattern) for pattern in self.paths)


@dataclass(frozen=True)
class Config:
    """The settings of one configuration file, `extend` already followed; what it does not say is None or empty.

    Attributes:
        path: the file, None when there is none.
        root: the folder that paths in it are relative to, and that includes may not leave.
        files: all files it was read from, itself and what it extends.
    """

    path: Path | None = None
    root: Path | None = None
    files: tuple[str, ...] = ()
    profile: str | None = None
    designs: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str | None = None
    baseline: str | None = None
    require_reason: bool | None = None
    severity: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    per_path: tuple[PerPath, ...] = ()

    def relative(self, path: str) -> str:
        """A path as `per-path` patterns see it."""
        base = self.root or Path.cwd()
        return os.path.relpath(os.path.realpath(path), os.path.realpath(base)).replace(os.sep, "/")

    def excludes(self, path: str) -> bool:
        """Whether a file is one that a search for designs leaves out."""
        return bool(self.exclude) and any(matches(self.relative(path), pattern) for pattern in self.exclude)

    def shown(self) -> dict[str, object]:
        """The settings as `config --show` prints them, keys as in the file."""
        return {
            "path": str(self.path) if self.path else None,
            **{key.name: _plain(getattr(self, _attribute(key.name))) for key in KEYS if key.name != "extend"},
        }


def find(start: str | os.PathLike[str]) -> Path | None:
    """The nearest configuration: `coordlint.toml`, or `pyproject.toml` with `[tool.coordlint]`, in the folder or above it.

    Raises:
        ConfigError: a `pyproject.toml` on the way is no TOML.
    """
    folder = Path(os.path.realpath(start))
    for place in (folder, *folder.parents):
        if (place / FILE).is_file():
            return place / FILE
        project = place / PYPROJECT
        if project.is_file() and "coordlint" in _tool(project):
            return project
    return None


def candidates(start: str | os.PathLike[str]) -> list[str]:
    """Every file that `find` might look at for a folder; whether they exist decides which configuration holds."""
    folder = Path(os.path.realpath(start))
    return [str(place / name) for place in (folder, *folder.parents) for name in (FILE, PYPROJECT)]


def load(path: str | os.PathLike[str]) -> Config:
    """Read one configuration file and what it extends.

    Raises:
        ConfigError: it cannot be read, or says something it may not.
    """
    return _load(Path(path), ())


def schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of `coordlint.toml`, from the table the loader uses and the options of all rules."""
    from coordlint import rule

    options = {
        word: {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: {"type": _json_type(value), "default": value} for name, value in found.items()},
        }
        for entry in rule.index()
        for found in (rule.load(entry).options,)
        for word in (entry.code, entry.name)
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "coordlint configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: _key_schema(key, options) for key in KEYS},
        "$defs": {"selector": {"enum": list(_selectors())}},
    }


# ------------------------------------------------------------------------------------------------ loading


def _load(path: Path, chain: tuple[Path, ...]) -> Config:
    real = Path(os.path.realpath(path))
    if real in chain:
        names = " extends ".join(f"`{one.name}`" for one in (*chain, real))
        raise ConfigError(f"{_shown(path)}: {names}, a circle: remove one `extend`")
    table = _toml(path)
    if path.name == PYPROJECT:
        table = _table(_table(table, "tool", path), "coordlint", path)
    config = _read(table, _shown(path), path)
    if "extend" in table:
        base = _load(path.parent / table["extend"], (*chain, real))
        config = _over(config, base)
    return config


def _toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration `{_shown(path)}`: {(error.strerror or str(error)).lower()}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{_shown(path)}` is not valid TOML: {error}") from None


def _tool(path: Path) -> dict[str, Any]:
    try:
        if b"coordlint" not in path.read_bytes():
            return {}
    except OSError:
        return {}
    tool = _toml(path).get("tool", {})
    return tool if isinstance(tool, dict) else {}


def _shown(path: Path) -> str:
    """The path as messages name it: from the current folder if it lies there."""
    real, here = os.path.realpath(path), os.path.realpath(os.getcwd()) + os.sep
    return real.removeprefix(here) if real.startswith(here) else str(path)


def _table(table: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """The table `tool`, then `tool.coordlint` of a `pyproject.toml`."""
    inner = table.get(name)
    if not isinstance(inner, dict):
        raise ConfigError(f"`{_shown(path)}` has no table `[tool.coordlint]`: add it, or name another configuration")
    return inner


def _read(table: Mapping[str, Any], where: str, path: Path) -> Config:
    values: dict[str, Any] = {}
    for name, value in table.items():
        key = _known(name, KEYS, where)
        values[_attribute(name)] = _checked(value, key, f"{where}: `{name}`")
    values.pop("extend", None)
    return Config(path=path, root=path.parent, files=(str(path),), **values)


def _known(name: str, keys: Sequence[Key], where: str) -> Key:
    for key in keys:
        if key.name == name:
            return key
    meant = closest(name, [key.name for key in keys])
    hint = f"did you mean `{meant}`?" if meant else f"the keys are {', '.join(key.name for key in keys)}"
    raise ConfigError(f"{where}: there is no key `{name}`, {hint}")


def _checked(value: Any, key: Key, where: str) -> Any:
    """The value as the program uses it; raises ConfigError with the place if its type or choice is wrong."""
    if key.type == "string":
        _expect(isinstance(value, str), where, "a string")
        _choice(value, key.choices, where)
        return value
    if key.type == "boolean":
        _expect(isinstance(value, bool), where, "true or false")
        return value
    if key.type == "strings":
        _expect(isinstance(value, list) and all(isinstance(one, str) for one in value), where, "a list of strings")
        return tuple(value)
    if key.type == "selectors":
        _expect(isinstance(value, list) and all(isinstance(one, str) for one in value), where, "a list of rules")
        _check_selectors(value, where)
        return tuple(value)
    if key.type == "severities":
        _expect(isinstance(value, dict), where, 'a table such as `EVT201 = "warning"`')
        for selector, level in value.items():
            _expect(isinstance(level, str), f"{where}: `{selector}`", "a severity")
            _choice(level, key.choices, f"{where}: `{selector}`")
        _check_selectors(value, where)
        return dict(value)
    if key.type == "options":
        _expect(isinstance(value, dict), where, "a table by rule code")
        merged: dict[str, Mapping[str, object]] = {}
        for name, table in value.items():
            code, options = _options(name, table, where)
            merged[code] = {**merged.get(code, {}), **options}
        return merged
    _expect(isinstance(value, list) and all(isinstance(one, dict) for one in value), where, "a list of tables")
    return tuple(_per_path(one, f"{where} {i}") for i, one in enumerate(value, 1))


def _per_path(table: Mapping[str, Any], where: str) -> PerPath:
    values = {}
    for name, value in table.items():
        values[name] = _checked(value, _known(name, PATH_KEYS, where), f"{where}: `{name}`")
    if not values.get("paths"):
        raise ConfigError(f'{where}: add `paths`, such as `paths = ["legacy/**"]`')
    return PerPath(**values)


def _options(name: str, table: object, where: str) -> tuple[str, Mapping[str, object]]:
    """The rule's code and its checked options."""
    from coordlint import rule

    _check_selectors([name], where, exact=True)
    entry = next(entry for entry in rule.index() if name in {entry.code, entry.name})
    known = rule.load(entry).options
    place = f"{where}: `{name}`"
    if not isinstance(table, dict):
        raise ConfigError(f"{place} has to be a table of options")
    for option, value in table.items():
        if option not in known:
            meant = closest(option, known)
            hint = f"did you mean `{meant}`?" if meant else f"its options are {', '.join(known) or 'none'}"
            raise ConfigError(f"{place}: there is no option `{option}`, {hint}")
        expected = _json_type(known[option])
        found = _json_type(value)
        if found != expected and not (expected == "number" and found == "integer"):
            raise ConfigError(f"{place}: `{option}` has to be of type {expected}, as its default `{known[option]}`")
    return entry.code, dict(table)


def _check_selectors(selectors: Iterable[str], where: str, *, exact: bool = False) -> None:
    known = _selectors(exact=exact)
    for selector in selectors:
        if selector not in known:
            meant = closest(selector, [word for word in known if len(word) > 4 or word == "ALL"])
            hint = f"did you mean `{meant}`?" if meant else "`coordlint rules` lists them"
            raise ConfigError(f"{where}: there is no rule `{selector}`, {hint}")


def _selectors(*, exact: bool = False) -> dict[str, None]:
    """Every way to name rules: codes and names and, unless one rule is wanted, beginnings of codes and `ALL`."""
    from coordlint import rule

    words = [word for entry in rule.index() for word in (entry.code, entry.name)]
    if not exact:
        words += ["ALL", *(entry.code[:length] for entry in rule.index() for length in range(1, len(entry.code)))]
    return dict.fromkeys(words)


def _expect(holds: bool, where: str, what: str) -> None:
    if not holds:
        raise ConfigError(f"{where} has to be {what}")


def _choice(value: str, choices: tuple[str, ...], where: str) -> None:
    if choices and value not in choices:
        meant = closest(value, choices)
        hint = f"did you mean `{meant}`?" if meant else f"it is one of {', '.join(choices)}"
        raise ConfigError(f"{where} cannot be `{value}`, {hint}")


def _over(config: Config, base: Config) -> Config:
    """What `config` says, and what `base` says where it says nothing; tables go key by key."""
    merged: dict[str, Any] = {}
    for key in KEYS:
        if key.name == "extend":
            continue
        name = _attribute(key.name)
        mine, theirs = getattr(config, name), getattr(base, name)
        if key.name == "severity":
            merged[name] = {**theirs, **mine}
        elif key.name == "rules":
            merged[name] = {code: {**theirs.get(code, {}), **mine.get(code, {})} for code in {**theirs, **mine}}
        elif key.name == "per-path":
            merged[name] = (*theirs, *mine)
        elif key.name == "baseline" and mine is None and theirs is not None and base.root and config.root:
            merged[name] = os.path.relpath(base.root / theirs, config.root)
        elif key.name == "designs" and not mine and base.root and config.root:
            merged[name] = tuple(os.path.relpath(base.root / one, config.root) for one in theirs)
        else:
            merged[name] = theirs if mine is None or mine == () else mine
    return replace(config, files=(*config.files, *base.files), **merged)


def _attribute(name: str) -> str:
    return name.replace("-", "_")


def _plain(value: Any) -> Any:
    if isinstance(value, PerPath):
        return {"paths": list(value.paths), "ignore": list(value.ignore), "severity": dict(value.severity)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value


# ------------------------------------------------------------------------------------------------ the schema


def _key_schema(key: Key, options: Mapping[str, object]) -> dict[str, object]:
    described: dict[str, object] = {"description": key.doc}
    one: dict[str, object] = {"type": "string", **({"enum": list(key.choices)} if key.choices else {})}
    selector = {"$ref": "#/$defs/selector"}
    if key.type == "string":
        return {**described, **one}
    if key.type == "boolean":
        return {**described, "type": "boolean"}
    if key.type == "strings":
        return {**described, "type": "array", "items": one, **({"minItems": 1} if key.name == "paths" else {})}
    if key.type == "selectors":
        return {**described, "type": "array", "items": selector}
    if key.type == "severities":
        return {**described, "type": "object", "propertyNames": selector, "additionalProperties": one}
    if key.type == "options":
        return {**described, "type": "object", "additionalProperties": False, "properties": dict(options)}
    inner = {inner.name: _key_schema(inner, options) for inner in PATH_KEYS}
    item = {"type": "object", "additionalProperties": False, "required": ["paths"], "properties": inner}
    return {**described, "type": "array", "items": item}


def _json_type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"  # as JSON Schema has it: 2.0 is one
    if isinstance(value, float):
        return "number" if math.isfinite(value) else "infinity"
    return "string" if isinstance(value, str) else "something else"
