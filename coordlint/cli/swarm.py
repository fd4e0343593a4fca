"""The folder that `verify --export promela` writes for each scene, and the runs that come back from it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from coordlint.cli.shared import Failure, write_file

if TYPE_CHECKING:
    from coordlint.explore.model import Model

MAKEFILE = """# make: search everything on this machine; a run that goes wrong is written to run.txt.
W = 26
MEMORY = 8000
DEPTH = 10000000
OPT = -O1

all: pan
\t@rm -f model.pml.trail run.txt
\t@./pan -w$(W) -m$(DEPTH) > pan.log || true
\t@if [ -f model.pml.trail ]; then \\
\t  { head -n 1 model.pml; spin -t -T -B model.pml | grep '^ *@'; } > run.txt; \\
\t  echo "a run goes wrong: hand run.txt to coordlint verify DESIGN --trail run.txt"; \\
\telif ! grep -q 'errors: 0' pan.log || grep -q -e 'not completed' -e 'depth too small' pan.log; then \\
\t  echo "none found, but not everything was searched: see pan.log, then give more MEMORY or take swarm.sh"; \\
\telse echo "none found in any run with up to @FAULTS@"; fi

pan: model.pml
\tspin -a model.pml
\t$(CC) $(OPT) -w -DSAFETY -DNOREDUCE -DVECTORSZ=8192 -DMEMLIM=$(MEMORY) -o pan pan.c

clean:
\trm -f pan pan.* model.pml.trail run*.txt swarm-*.log

.PHONY: all clean
"""

SWARM = """#!/bin/sh
# Many searches, each in another order: swarm.sh FIRST LAST, the first and the last seed. Give each machine seeds of its own.
# A run that goes wrong is written to run-SEED.txt. W is the size of a search's memory: 2 to the power of W bits.
set -eu
if [ $# -ne 2 ]; then
  echo "usage: swarm.sh FIRST LAST" >&2
  exit 2
fi
cd "$(dirname "$0")"
folder="$PWD"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp model.pml "$work"
cd "$work"
spin -a model.pml > /dev/null
${CC:-cc} ${OPT:--O1} -w -DSAFETY -DNOREDUCE -DVECTORSZ=8192 -DRANDOMIZE -DBITSTATE -o pan pan.c
runs=0
found=0
seed="$1"
while [ "$seed" -le "$2" ]; do
  rm -f model.pml.trail
  ./pan "-RS$seed" "-h$((seed % 499 + 1))" "-k$((seed % 3 + 2))" "-w${W:-26}" "-m${DEPTH:-1000000}" \\
    > "$folder/swarm-$seed.log" || true
  if ! grep -q 'errors:' "$folder/swarm-$seed.log"; then
    echo "seed $seed came to nothing, see swarm-$seed.log" >&2
    exit 2
  fi
  runs=$((runs + 1))
  if [ -f model.pml.trail ]; then
    { head -n 1 model.pml; spin -t -T -B model.pml | grep '^ *@'; } > "$folder/run-$seed.txt"
    found=$((found + 1))
  fi
  seed=$((seed + 1))
done
if [ "$found" -gt 0 ]; then
  echo "$found of $runs runs went wrong: hand the files to coordlint verify DESIGN --trail FILE"
  exit 1
fi
echo "none found in $runs runs (which is no proof)"
"""

README = """# @SCENE@

The scene as a model for SPIN (spinroot.com), with at most @FAULTS@ in one run. `spin` and a C compiler are needed.

- `make` searches everything on this machine. If a run goes wrong it is in `run.txt`.
- `./swarm.sh 1 100` makes a hundred searches, each in another order and with little memory. Copy this folder to as many machines
  as you like, give each seeds of its own (`./swarm.sh 101 200` on the next one), and collect the `run-*.txt`. They share nothing.
- `coordlint verify @DESIGN@ --trail run-7.txt --trail run-42.txt` replays what came back, shortens it, and tells the run with
  the fewest faults. A run that does not replay is not believed.

A swarm that finds nothing has proved nothing: it says `none found in N runs`. The first line of `model.pml` is the first line of
each run; by it a run is known to belong to this model, so export again when the design has changed. The comments at the end of
the model say what each assertion is about.
"""


class Run(NamedTuple):
    """A run that came back: its file, the first line of its model, the scene and the faults in it, the numbers of the moves."""

    path: str
    title: str
    scene: str
    faults: int
    moves: tuple[int, ...]


def export(folder: str, model: Model, scene: str, design: str, faults: str) -> None:
    """Write what another machine needs to search a scene."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise Failure(f"cannot write into `{folder}`: {(error.strerror or str(error)).lower()}") from None
    words = {"@SCENE@": scene, "@DESIGN@": design, "@FAULTS@": faults}
    for name, text in (("model.pml", model.text), ("Makefile", MAKEFILE), ("swarm.sh", SWARM), ("README.md", README)):
        for word, value in words.items():
            text = text.replace(word, value) if name != "model.pml" else text
        write_file(os.path.join(folder, name), text)
    os.chmod(os.path.join(folder, "swarm.sh"), 0o755)


def read(path: str) -> Run:
    """A run that came back.

    Raises:
        Failure: the file cannot be read or is no such run.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise Failure(f"cannot read `{path}`: {reason.lower()}") from None
    title, _, rest = text.partition("\n")
    match = re.fullmatch(r"/\* coordlint: (.*), faults (\d+), model [0-9a-f]{16} \*/", title)
    if match is None:
        raise Failure(
            f"`{path}` is no run of an exported model: hand over the run files that `make` or swarm.sh writes"
        )
    return Run(path, title, match[1], int(match[2]), tuple(int(number) for number in re.findall(r"@(\d+)", rest)))
