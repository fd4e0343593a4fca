"""The loop of `check --watch`: look at the files' times, and check again when one has changed."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence

import click

from coordlint.cli.shared import complain, hint, one_sentence

PAUSE = 0.3
"""Seconds between two looks: below what a person notices, far above what a look costs."""

Stamp = tuple[tuple[str, int, int], ...]


def watch(
    paths: Sequence[str],
    check: Callable[[], int],
    *,
    inputs: Callable[[], Sequence[str]] = tuple,
    rounds: int | None = None,
) -> int:
    """Check now and after every change of a design or configuration below the paths, until interrupted.

    Args:
        paths: files and folders to look at; the current folder if there are none.
        check: one run; a run that cannot be done is reported, and watching goes on.
        inputs: what the last run looked at, such as a baseline or files that lie elsewhere.
        rounds: stop after so many runs; None for never.
    """
    done = 0
    code = 0
    seen: Stamp | None = None
    elsewhere: Stamp = ()
    try:
        while rounds is None or done < rounds:
            stamp = _stamp(paths or (".",))
            if stamp != seen or elsewhere != _times(inputs()):
                seen = stamp
                done += 1
                gc.collect()  # this process goes on, unlike that of a single run
                try:
                    code = check()
                except click.ClickException as error:
                    code = complain(one_sentence(error))
                elsewhere = _times(inputs())
                hint("watching, press Ctrl+C to stop")
            else:
                time.sleep(PAUSE)
    except KeyboardInterrupt:
        click.echo(err=True)
    return code


def _stamp(paths: Sequence[str]) -> Stamp:
    files: list[tuple[str, int, int]] = []
    for path in paths:
        folder = path if os.path.isdir(path) else os.path.dirname(path) or "."
        for at, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.endswith((".coord", ".toml")):
                    files += _times((os.path.join(at, name),))
    return tuple(files)


def _times(paths: Sequence[str]) -> Stamp:
    """The files among the paths that exist, with time and size."""
    files = []
    for path in paths:
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            continue
        if not os.path.isdir(path):
            files.append((path, status.st_mtime_ns, status.st_size))
    return tuple(files)
