"""The baseline: findings a team has agreed to live with for now, by fingerprint, so that only new ones fail a build."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from coordlint.finding import Finding
from coordlint.source import replace_file

VERSION = 1


class BaselineError(Exception):
    """The baseline cannot be used; the text is one sentence that names the file and the remedy."""


class Entry(NamedTuple):
    """One accepted finding; the words are for the people who read the file."""

    code: str
    path: str
    message: str


class Baseline(NamedTuple):
    """Accepted findings by fingerprint."""

    entries: Mapping[str, Entry]

    def stale(
        self, findings: Iterable[Finding], ran: Iterable[str], paths: Iterable[str], folder: str
    ) -> dict[str, Entry]:
        """The entries that no finding matches any more, judged only for rules that ran
        or no longer exist, and for files that were read or are gone.

        ``folder`` is the one the baseline's paths are relative to, ``paths`` are those of the files that were read.
        """
        alive = {finding.fingerprint for finding in findings}
        from coordlint.rule import index

        read = {relative(path, folder) for path in paths}
        judged = set(ran) | ({entry.code for entry in self.entries.values()} - {rule.code for rule in index()})
        return {
            key: entry
            for key, entry in self.entries.items()
            if key not in alive
            and entry.code in judged
            and (entry.path in read or not os.path.exists(os.path.join(folder, entry.path)))
        }


def load(path: str | os.PathLike[str]) -> Baseline:
    """Read a baseline file.

    Raises:
        BaselineError: it cannot be read or is broken. A broken baseline is never taken for an empty one.
    """
    shown = os.fspath(path)
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BaselineError(f"there is no baseline `{shown}`: create it with `coordlint baseline`") from None
    except OSError as error:
        raise BaselineError(f"cannot read the baseline `{shown}`: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError):
        raise BaselineError(f"the baseline `{shown}` is not valid JSON: restore it, or make it anew") from None
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("findings"), dict):
        raise BaselineError(f"`{shown}` is not a baseline of version {VERSION}: make it anew with `coordlint baseline`")
    entries = {}
    for key, value in data["findings"].items():
        if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in Entry._fields):
            raise BaselineError(
                f"the entry `{key}` of the baseline `{shown}` is broken: restore the file, or make it anew"
            )
        entries[key] = Entry(value["code"], value["path"], value["message"])
    return Baseline(entries)


def of(findings: Iterable[Finding], folder: str) -> Baseline:
    """The baseline that accepts these findings; its paths are relative to the folder."""
    return Baseline(
        {f.fingerprint: Entry(f.code, relative(f.primary.span.source.path, folder), f.message) for f in findings}
    )


def relative(path: str, folder: str) -> str:
    """A path as the baseline names it: from its folder, with forward slashes."""
    return os.path.relpath(os.path.realpath(path), os.path.realpath(folder)).replace(os.sep, "/")


def write(baseline: Baseline, path: str | os.PathLike[str]) -> None:
    """Write the file whole or not at all, sorted by place so that its differences can be read.

    Raises:
        BaselineError: it cannot be written.
    """
    ordered = sorted(baseline.entries.items(), key=lambda item: (item[1].path, item[1].code, item[1].message, item[0]))
    data = {"version": VERSION, "findings": {key: entry._asdict() for key, entry in ordered}}
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    try:
        replace_file(path, text)
    except OSError as error:
        raise BaselineError(
            f"cannot write the baseline `{os.fspath(path)}`: {(error.strerror or str(error)).lower()}"
        ) from None
