"""Runs Graphviz (the extra `report`) in a process of its own: some graphs end it, and none shall end the report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

SECONDS = 60
"""How long Graphviz may take for all drawings of a report."""

RESTARTS = 5
"""How often it is started again behind a graph that ended it."""


def available() -> bool:
    """Whether the extra is installed."""
    return find_spec("pygraphviz") is not None


def engine(texts: Sequence[str]) -> list[str | None]:
    """The layouts of DOT texts as Graphviz' JSON; None for a graph that it could not lay out."""
    answers: list[str | None] = []
    for _ in range(RESTARTS + 1):
        rest = texts[len(answers) :]
        if not rest:
            break
        done, ended = _run(rest)
        answers += done
        if not ended:  # it stood still: what is left will do no better
            break
        if len(done) < len(rest):
            answers.append(None)
    return [*answers, *[None] * (len(texts) - len(answers))]


def _run(texts: Sequence[str]) -> tuple[list[str | None], bool]:
    """The answers up to the graph that ended the process, and whether it ended in time."""
    command = [sys.executable, "-P", "-m", "coordlint.cli.graphviz"]
    try:
        done = subprocess.run(
            command, input=json.dumps(list(texts)).encode(), capture_output=True, timeout=SECONDS, check=False
        )
        output, ended = done.stdout, True
    except subprocess.TimeoutExpired as error:
        output, ended = error.stdout or b"", False
    except OSError:
        return [], False
    lines = output.split(b"\n")[:-1]  # what stands behind the last line break is not whole
    return [json.loads(line) for line in lines[: len(texts)]], ended


def _serve() -> None:
    """The process itself: DOT texts in, one line of JSON for each out."""
    import pygraphviz

    for text in json.load(sys.stdin):
        try:
            graph = pygraphviz.AGraph(text)
            answer = graph.draw(format="json0", prog="dot").decode()
            graph.close()
        except (OSError, ValueError, RuntimeError):
            answer = None
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
