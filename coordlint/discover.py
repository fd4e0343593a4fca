"""Finds the designs of a run: the files that are named, and below folders every `.coord` file that no other one includes."""

from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING

from coordlint.source import SourceError, printable, read_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SUFFIX = ".coord"
SKIPPED = frozenset({"__pycache__", "build", "dist", "node_modules", "venv"})
"""Folders that hold other people's or generated files; hidden folders are skipped too."""


def find_designs(paths: Sequence[str], excluded: Callable[[str, str], bool] | None = None) -> tuple[str, ...]:
    """The root files of the designs that the paths name, sorted.

    A file that is named is a root, whoever includes it. A folder stands for every `.coord` file below it that no other of
    the files includes: such a file is part of that one's design. Where files include each other in a circle, the first of
    them is the root.

    Args:
        paths: files and folders.
        excluded: whether to leave out a file (the second argument) that a folder (the first) would bring in; a file that is
            named is always taken.

    Raises:
        SourceError: a path does not exist or no design was found.
    """
    files = _by_real_path(paths, excluded)
    named = {os.path.realpath(path) for path in paths if not os.path.isdir(path)}
    includes = {real: _included(shown) & files.keys() - {real} for real, shown in sorted(files.items())}
    return tuple(sorted(files[real] for real in dict.fromkeys((*_roots(includes), *sorted(named)))))


def find_files(paths: Sequence[str], excluded: Callable[[str, str], bool] | None = None) -> tuple[str, ...]:
    """Every design file below the paths, roots and included ones, sorted; otherwise like `find_designs`."""
    return tuple(sorted(_by_real_path(paths, excluded).values()))


def _by_real_path(paths: Sequence[str], excluded: Callable[[str, str], bool] | None) -> dict[str, str]:
    files: dict[str, str] = {}
    for path in paths:
        if os.path.isdir(path):
            for found in designs_below(path):
                if excluded is not None and excluded(path, found):
                    continue
                files.setdefault(os.path.realpath(found), found)
        elif os.path.exists(path):
            files.setdefault(os.path.realpath(path), os.path.normpath(path))
        else:
            raise SourceError(f"cannot read `{printable(path)}`: no such file or folder")
    if not files:
        where = ", ".join(f"`{printable(path)}`" for path in paths)
        raise SourceError(f"no `{SUFFIX}` file below {where}: name a design, or a folder that holds one")
    return files


def matches(path: str, pattern: str) -> bool:
    """Whether a path with forward slashes matches a pattern: a star stays within one folder, `**` crosses folders."""
    pattern = pattern.removeprefix("./")
    if pattern.endswith("/"):
        pattern += "**"
    parts = []
    for piece in re.split(r"(\*\*/|\*\*|\*|\?)", pattern):
        parts.append({"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece)))
    return re.fullmatch("".join(parts), path) is not None


def designs_below(folder: str) -> Iterator[str]:
    """Every design file below a folder, in order; hidden folders and those of tools are not searched."""
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED)
        for name in sorted(names):
            if name.endswith(SUFFIX):
                yield os.path.normpath(os.path.join(at, name))


def _included(path: str) -> set[str]:
    """The real paths of the files that a file includes; strings and comments are no includes."""
    try:
        text = read_source(path).text
    except SourceError:
        return set()  # the run itself reports it
    folder = posixpath.dirname(os.path.realpath(path))
    return {os.path.realpath(os.path.join(folder, found[1])) for found in _INCLUDE.finditer(text) if found[1]}


def _roots(includes: dict[str, set[str]]) -> Iterator[str]:
    targets = set().union(*includes.values())
    seen: set[str] = set()
    for file in (*(file for file in includes if file not in targets), *includes):
        if file not in seen:
            yield file
            pending = [file]
            while pending:
                here = pending.pop()
                if here not in seen:
                    seen.add(here)
                    pending.extend(includes[here])


_INCLUDE = re.compile(r'"""[\s\S]*?"""|(?:#|//)[^\n]*|(?<![\w-])include\s+"((?:\\.|[^"\\\n])*)"|"(?:\\.|[^"\\\n])*"')
