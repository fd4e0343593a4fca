"""What coordlint costs, as ratios measured in one run: no absolute time means anything on another machine.

    python tests/bench/cost.py           start-up: help and check against the bare imports of their libraries
    python tests/bench/cost.py scale     1,000 against 10,000 services: time, and peak memory

Each figure is the user and system time of a whole process. Commands take turns, so that a slow phase of the machine meets
all of them; the median of the ratios, pair by pair, is printed.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from generate import design

HERE = Path(__file__).parent
ESHOP = HERE.parent.parent / "fixtures" / "systems" / "eshop" / "eshop.coord"
RUNS = 15


def cost(command: Sequence[str], env: dict[str, str] | None = None) -> tuple[float, int]:
    """User plus system seconds of a command, and its peak memory in kilobytes."""
    pid = os.posix_spawn(
        command[0],
        list(command),
        {**os.environ, **(env or {})},
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{' '.join(command)} failed with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def ratio(first: Sequence[str], second: Sequence[str], runs: int = RUNS) -> tuple[float, float, float]:
    """The median ratio of two commands run in turns, and the median of each in seconds; one run of each warms up."""
    cost(first)
    cost(second)
    pairs = [(cost(first)[0], cost(second)[0]) for _ in range(runs)]
    ratios = [a / b for a, b in pairs]
    return statistics.median(ratios), statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def start_up() -> None:
    """Help and check against the imports they cannot do without."""
    python = sys.executable
    coordlint = [str(Path(python).with_name("coordlint"))]
    imports = [python, "-c", "import lark, click, networkx"]
    click = [python, "-c", "import click"]
    with tempfile.TemporaryDirectory() as folder:
        ten = Path(folder) / "ten.coord"
        ten.write_text(design(10), encoding="utf-8")
        for name, command, base, bar in (
            ("check of 10 services, cold", [*coordlint, "check", "--no-cache", str(ten)], imports, 2.0),
            ("check of eShop, cold", [*coordlint, "check", "--no-cache", str(ESHOP)], imports, 2.0),
            ("the same, nothing changed", [*coordlint, "check", str(ESHOP)], click, 1.6),
            ("--help", [*coordlint, "--help"], click, 2.0),
        ):
            median, ours, theirs = ratio(command, base)
            print(
                f"{name:27} {median:5.2f} x  ({ours * 1000:4.0f} ms / {theirs * 1000:4.0f} ms: {base[-1]})  bar {bar}"
            )


def scale() -> None:
    """Cost and memory of a large design against a tenth of it."""
    command = [str(Path(sys.executable).with_name("coordlint")), "check", "--no-cache", "--format", "concise"]
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for services in (1_000, 10_000):
            text = design(services)
            path = Path(folder) / f"{services}.coord"
            path.write_text(text, encoding="utf-8")
            seconds, memory = min(cost([*command, str(path)]) for _ in range(2))
            figures[services] = seconds
            messages = text.count("\n  command ") + text.count("\n  event ")
            lines = text.count("\n")
            print(
                f"{services:6} services, {messages} messages, {lines} lines: {seconds:6.1f} s, {memory / 1024:5.0f} MB"
            )
    print(f"ten times the design costs {figures[10_000] / figures[1_000]:.1f} times as much")


if __name__ == "__main__":
    if sys.argv[1:] == ["scale"]:
        scale()
    else:
        start_up()
