"""Remembers what a check said, so that one where nothing has changed neither parses nor imports the model.

An entry holds the output of a run and the state of everything the run looked at: the content of files, the absence of files,
the designs below a folder. It counts only while all of that is as it was. Entries are written in one step and never
trusted: whatever is damaged is made anew without a word, so parallel runs cannot hurt each other.

Only light modules are imported here: this is the path of a run that ought to cost nothing.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from coordlint import __version__

KEPT = 200
"""Entries kept; the oldest go first."""


class Entry(NamedTuple):
    """What a run said.

    Attributes:
        inputs: what it looked at with the state it had, see `state`.
        stdout: what it wrote to standard output.
        stderr: what it wrote to standard error.
        files: the reports it wrote, as path and text.
        code: its exit code.
    """

    inputs: tuple[tuple[str, str], ...]
    stdout: bytes
    stderr: bytes
    files: tuple[tuple[str, str], ...]
    code: int


class Beginning(NamedTuple):
    """The beginning of a run: the time in nanoseconds, and the states of the folders that it searches."""

    time: int
    folders: Mapping[str, str]


def folder() -> str | None:
    """Where coordlint keeps what it can compute again: `COORDLINT_CACHE_DIR`, else the platform's cache folder.

    None when caching is switched off (`COORDLINT_CACHE_DIR` set to nothing) or no home folder is known.
    """
    chosen = os.environ.get("COORDLINT_CACHE_DIR")
    if chosen is not None:
        return chosen or None
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return None if base.startswith("~") else os.path.join(base, "coordlint")


def key(*parts: object) -> str:
    """The name of an entry: a hash of the call, the program and the interpreter."""
    return hashlib.sha256(
        repr((__version__, sys.version, _program(), *parts)).encode("utf-8", "backslashreplace")
    ).hexdigest()


def lookup(name: str) -> Entry | None:
    """The entry of that name if everything it looked at is as it was."""
    base = folder()
    if base is None:
        return None
    try:
        with open(os.path.join(base, "results", name), "rb") as file:
            data = unsealed(file.read())
        if data is None:
            return None
        entry = Entry(*marshal.loads(data))
        if all(state(path) == seen for path, seen in entry.inputs):
            return entry
    except (OSError, ValueError, EOFError, TypeError):
        pass
    return None


def store(name: str, entry: Entry) -> None:
    """Keep an entry; a folder that cannot be written to is no reason to complain."""
    base = folder()
    if base is None:
        return
    _keep(os.path.join(base, "results"), name, marshal.dumps(tuple(entry)))


def recall(name: str) -> dict[str, Any]:
    """What was remembered under that name; empty if nothing was."""
    base = folder()
    try:
        if base is not None:
            with open(os.path.join(base, "scenes", name), "rb") as file:
                data = unsealed(file.read())
            found = marshal.loads(data) if data is not None else {}
            return found if isinstance(found, dict) else {}
    except (OSError, ValueError, EOFError, TypeError):
        pass
    return {}


def remember(name: str, what: Mapping[str, object]) -> None:
    """Remember something under a name, for `recall`; a folder that cannot be written to is no reason to complain."""
    base = folder()
    if base is not None:
        _keep(os.path.join(base, "scenes"), name, marshal.dumps(dict(what)))


def state(path: str) -> str:
    """The state of an input: the hash of a file's content, the designs below a folder, or `-` for what is not there."""
    try:
        if os.path.isdir(path):
            from coordlint.discover import designs_below

            return hashlib.sha256("\0".join(designs_below(path)).encode("utf-8", "surrogateescape")).hexdigest()
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except (OSError, ValueError):
        return "-"


def begin(paths: Iterable[str]) -> Beginning:
    """What to remember at the beginning of a run, to know at its end whether its inputs changed meanwhile."""
    return Beginning(time.time_ns(), {path: state(path) for path in paths if os.path.isdir(path)})


def snapshot(paths: Iterable[str], began: Beginning) -> tuple[tuple[str, str], ...] | None:
    """The inputs of an entry, each once; None if one of them changed while the run went on, which saw who knows what."""
    found = []
    for path in dict.fromkeys(paths):
        seen = state(path)
        if path in began.folders:
            if began.folders[path] != seen:
                return None
        elif seen != "-" and not os.path.isdir(path) and _changed(path) > began.time:
            return None
        found.append((path, seen))
    return tuple(found)


def sealed(data: bytes) -> bytes:
    """Data with its hash in front, so that a damaged file is known as such before anything reads it."""
    return hashlib.sha256(data).digest() + data


def unsealed(data: bytes) -> bytes | None:
    """The data of `sealed`, None if it is damaged."""
    digest, inner = data[:32], data[32:]
    return inner if hashlib.sha256(inner).digest() == digest else None


def _keep(folder: str, name: str, data: bytes) -> None:
    """Write a file of the cache in one step, and let the oldest ones go."""
    scratch = os.path.join(folder, f".{name}.{os.getpid()}")
    try:
        os.makedirs(folder, exist_ok=True)
        with open(scratch, "wb") as file:
            file.write(sealed(data))
        os.replace(scratch, os.path.join(folder, name))
        _prune(folder)
    except OSError:
        return


def _changed(path: str) -> int:
    try:
        status = os.stat(path)
    except OSError:
        return 0
    return max(status.st_mtime_ns, status.st_ctime_ns)


def _prune(folder: str) -> None:
    with os.scandir(folder) as found:
        entries = [(entry.stat().st_mtime_ns, entry.path) for entry in found]
    for _, path in sorted(entries)[:-KEPT]:
        os.unlink(path)


def _program() -> tuple[tuple[str, int, int], ...]:
    """The files of the program, with size and time: a changed rule changes what a run says."""
    import coordlint

    folders = [os.path.dirname(coordlint.__file__ or "")]
    top = os.path.dirname(folders[0])
    folders += [
        path
        for name in ("rules", "grammar")
        if os.path.isfile(os.path.join(path := os.path.join(top, name), "__init__.py"))
    ]
    stamps = []
    for base in folders:
        for at, inner, names in os.walk(base):
            inner[:] = sorted(name for name in inner if name != "__pycache__")
            for name in sorted(names):
                status = os.stat(os.path.join(at, name))
                stamps.append((name, status.st_size, status.st_mtime_ns))
    return tuple(stamps)
