"""Runs SPIN on a model: `spin` writes a program, `cc` compiles it, the program searches; its output is read here."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from coordlint.cli.shared import Failure

if TYPE_CHECKING:
    from coordlint.explore.model import Model
    from coordlint.explore.stategraph import Graph

MEGABYTES = 4_000
"""SPIN may use so much memory for one scene."""

SECONDS = 600.0
"""SPIN may search one scene for so long."""


DEPTH = 1_000_000
"""No run of a search is longer."""


class Answer(NamedTuple):
    """What SPIN said.

    Attributes:
        states: how many states of the scene it stored.
        complete: it has seen everything.
        errors: for each assertion that failed, which failure of the search was its first.
    """

    states: int
    complete: bool
    errors: dict[int, int]


def available() -> bool:
    """Whether SPIN and a C compiler are there."""
    return shutil.which("spin") is not None and shutil.which("cc") is not None


class Pan:
    """The search programs of one model, in a folder of their own that goes with them.

    Args:
        model: what to search.
        megabytes: the most memory of a search.
        seconds: the most time of a search.
    """

    def __init__(self, model: Model, megabytes: int = MEGABYTES, seconds: float = SECONDS) -> None:
        self.model = model
        self.megabytes = megabytes
        self.seconds = seconds
        self._built: set[str] = set()
        self._folder = tempfile.TemporaryDirectory()
        self.folder = self._folder.name
        with open(os.path.join(self.folder, "model.pml"), "w", encoding="utf-8") as file:
            file.write(model.text)
        said = self._call(["spin", "-a", "-DREACHED", "model.pml"])
        if not os.path.exists(os.path.join(self.folder, "pan.c")):
            raise Failure(f"`spin` does not take the model ({_first_line(said)}): please report it")

    def __enter__(self) -> Pan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def search(self, within: int = DEPTH) -> Answer:
        """Search breadth first: how many states there are, and which assertions fail.

        Args:
            within: only states that take at most so many moves; all of these are stored. Such a search is complete only if
                there are no others.
        """
        self._build("bfs", "-DBFS")
        said, whole = self._run("bfs", "-c0", depth=within + self.model.extra)
        states = re.search(r"(\d+) states, stored", said)
        errors: dict[int, int] = {}
        for ordinal, check in re.findall(r"pan:(\d+): assertion violated \(+0&&(\d+)\)", said):
            errors.setdefault(int(check), int(ordinal))
        return Answer(int(states[1]) - self.model.extra if states else 0, whole and states is not None, errors)

    def trail(self, ordinal: int) -> tuple[int, ...]:
        """The moves of the run to that failure, by number; breadth first, so none is shorter."""
        trail = os.path.join(self.folder, "model.pml.trail")
        with contextlib.suppress(FileNotFoundError):
            os.remove(trail)  # SPIN replays a stale one without complaint
        self._run("bfs", f"-c{ordinal}")
        if not os.path.exists(trail):
            return ()
        told = self._call(["spin", "-t", "-T", "-B", "-DREACHED", "model.pml"])
        return tuple(int(number) for number in re.findall(r"^\s*@(\d+)", told, re.MULTILINE))

    def graph(self) -> Graph | None:
        """All that SPIN went through, from what it tells when asked to be talkative; None if it could not see everything."""
        from coordlint.explore.stategraph import Graph

        self._build("talk", "-DVERBOSE")
        moves: dict[int, list[tuple[int, int]]] = {}
        stack: list[int] = []
        number = -1
        said, whole = self._run("talk", "-c0", only=r"^\t(?:New|Old) state|proc +\d+ exec|: Up - |rror: max")
        if not whole:
            return None
        for line in said.splitlines():
            if line.startswith("\t"):
                state = int(line.split()[2])
                if stack and number >= 0:
                    moves[stack[-1]].append((number, state))
                moves.setdefault(state, [])
                stack.append(state)
            elif " exec " in line:
                step = re.search(r"D_STEP(\d+)", line)
                number = self.model.lines.get(int(step[1]), -1) if step else -1
            elif ": Up - " in line:
                stack.pop()
        return Graph(moves, self.model.extra)

    # -------------------------------------------------------------------------------------------- programs

    def _build(self, name: str, *flags: str) -> None:
        if name in self._built:
            return
        self._built.add(name)
        fixed = ["-w", "-DSAFETY", "-DNOREDUCE", "-DVECTORSZ=8192", f"-DMEMLIM={self.megabytes}"]
        # Optimising costs more than it saves below a million states.
        said = self._call(["cc", "-O0", *fixed, *flags, "-o", name, "pan.c"])
        if not os.path.exists(os.path.join(self.folder, name)):
            raise Failure(f"`cc` does not compile the model ({_first_line(said)}): please report it")

    def _run(self, name: str, *args: str, only: str = "", depth: int = DEPTH) -> tuple[str, bool]:
        """What a program says, and whether it came to its end; `only` keeps the lines with that pattern."""
        command = [os.path.join(self.folder, name), "-w18", f"-m{depth}", *args]
        with (
            tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace") as file,
            subprocess.Popen(command, cwd=self.folder, stdout=file, stderr=subprocess.STDOUT) as process,
        ):
            late = False
            try:
                process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                late = True
                process.send_signal(signal.SIGINT)  # it sums up and ends
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
            file.seek(0)
            kept, short = [], False
            pattern = re.compile(only) if only else None
            for line in file:
                short = short or any(word in line for word in UNFINISHED)
                if pattern is None or pattern.search(line):
                    kept.append(line)
        return "".join(kept), not late and not short

    def _call(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


UNFINISHED = (
    "Search not completed",
    "max search depth too small",
    "out of memory",
    "MEMLIM bound",
    "resize hashtable failed",
)
"""Words of SPIN by which it says that it has not seen everything."""


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if "rror" in line), "no reason given")
