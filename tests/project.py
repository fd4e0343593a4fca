"""Small designs whose findings are known, and the program as a user calls it; shared by the tests of the command line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from coordlint.cli import run

CLEAN = """\
external service Shopper { sends Orders.PlaceOrder }
command PlaceOrder
event OrderPlaced

service Orders { handles PlaceOrder emits OrderPlaced }
service Mail { on OrderPlaced { notifies } }
"""

UNHEARD = CLEAN.replace("service Mail { on OrderPlaced { notifies } }\n", "")
"""One warning: EVT201 in line 5, the subject is `event OrderPlaced`."""

UNRESOLVED = CLEAN.replace("sends Orders.PlaceOrder", "sends Orders.PlaceOrdr")
"""One error with a safe fix: REF001 in line 1."""

MISSPELT = CLEAN.replace("emits OrderPlaced", "emits OrderPlacedd").replace(
    "event OrderPlaced\n", "event OrderPlaced, OrderPlacedd\n"
)
"""One error with a safe fix: EVT202 in line 6; fixing it takes another round or two."""


def write(path: str | Path, text: str) -> str:
    """Write a file and the folders it needs; returns its path."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8", newline="")
    return str(path)


def read(path: str | Path) -> str:
    """The text of a file, line ends as they are."""
    return Path(path).read_bytes().decode("utf-8")


class Said(NamedTuple):
    """What a call of the program came to."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    @property
    def codes(self) -> list[str]:
        """The codes of the findings of a JSON report."""
        return [finding["code"] for finding in self.data["findings"]]

    @property
    def hidden(self) -> list[tuple[str, str, str]]:
        """What a JSON report hides: rule, how, reason."""
        return [(one["finding"]["code"], one["how"], one["reason"]) for one in self.data["hidden"]]


class Program:
    """The command line, called in this process."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capfd = capfd
        self.monkeypatch = monkeypatch

    def __call__(self, *args: str, stdin: str | bytes | None = None) -> Said:
        if stdin is not None:
            data = stdin.encode() if isinstance(stdin, str) else stdin
            self.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        self.capfd.readouterr()
        code = run(args)
        out, err = self.capfd.readouterr()
        return Said(code, out, err)

    def check(self, *args: str, stdin: str | bytes | None = None) -> Said:
        """`check` with a JSON report."""
        return self("check", "--format", "json", *args, stdin=stdin)

    def complaint(self, *args: str, stdin: str | bytes | None = None) -> str:
        """What a run that cannot be done says: one sentence on standard error, exit code 2, no traceback, no output."""
        said = self(*args, stdin=stdin)
        assert said.code == 2, said
        assert said.out == ""
        assert said.err.startswith("coordlint: ")
        assert said.err.count("\n") == 1
        assert said.err.endswith("\n")
        assert "Traceback" not in said.err
        assert "coordlint failed" not in said.err, "this is a crash, not a mistake of the user"
        return said.err.removeprefix("coordlint: ").rstrip("\n")


def process(*args: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """The program as a process of its own."""
    env = {**os.environ, **more.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "coordlint", *args], capture_output=True, text=True, check=False, env=env, **more
    )
