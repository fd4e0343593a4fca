"""Writes a large but ordinary design: groups of ten services with a saga, a chain of events, stores, channels and a flow.

Usage: python tests/bench/generate.py SERVICES [FILE]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator


def design(services: int) -> str:
    """A design of that many services (a multiple of ten), two messages and sixteen lines for each."""
    lines = ["system Generated", "", "broker Kafka { nodes 3  replication 3  min-insync 2 }", ""]
    for group in range(services // 10):
        lines += _group(group)
    return "\n".join(lines) + "\n"


def _group(g: int) -> Iterator[str]:
    yield f"context Group{g} {{"
    yield f"  channel facts{g} on Kafka {{ topic  partitions 6  ordered by id  retention 7d  delivery at-least-once }}"
    yield f"  external service Client{g} {{ sends Desk{g}.Begin{g} }}"
    yield f"  command Begin{g} {{ id: uuid }}"
    for i in range(8):
        yield f"  command Do{g}_{i} {{ id: uuid }}"
        if i < 7:  # the last step is the pivot, which nothing undoes
            yield f"  command Undo{g}_{i} {{ id: uuid }}"
    for name in ("Finished", "Rejected", "Noted", "Closed"):
        yield from (f"  event {name}{g} via facts{g} {{", "    key id", "    id: uuid", "    amount: decimal", "  }")
    yield f"  store DeskDb{g} {{ replicas 3  failover auto }}"
    for i in range(8):
        yield from _participant(g, i)
    yield from (
        f"  service Desk{g} {{",
        "    team desk",
        "    replicas 3",
        f"    uses DeskDb{g}",
        "    outbox",
        "  }",
        f"  workflow Saga{g} in Desk{g} {{",
        f"    starts on Begin{g}",
        "    idempotent by id",
        f"    state in DeskDb{g}",
        "    timeout 30m",
    )
    for i in range(7):
        yield f"    step s{i} calls Worker{g}_{i}.Do{g}_{i} {{ timeout 2s  attempts 3  backoff 200ms x2 up to 5s jitter"
        yield f"      compensate Worker{g}_{i}.Undo{g}_{i} {{ attempts unlimited }} }}"
    yield from (
        f"    step last calls Worker{g}_7.Do{g}_7 {{ pivot  timeout 5s  on timeout {{ calls Worker{g}_7.Do{g}_7 {{ timeout 5s }} }} }}",
        f"    emits Finished{g}",
        f"    on failure {{ emits Rejected{g} }}",
        "  }",
        f"  service Reader{g} {{",
        "    replicas 2",
        f"    uses ReaderDb{g}",
        f"    on Finished{g} {{",
        "      idempotent by id",
        "      projection",
        f"      writes ReaderDb{g}.rows",
        f"      emits Noted{g}",
        "    }",
        f"    on Rejected{g} {{ projection  idempotent by id  writes ReaderDb{g}.rows }}",
        f"    on Noted{g} {{ projection  idempotent by id  writes ReaderDb{g}.rows  emits Closed{g} }}",
        f"    on Closed{g} {{ notifies  idempotent by id }}",
        "  }",
        f"  store ReaderDb{g} {{ replicas 2  failover auto }}",
        f"  flow Flow{g} {{",
        f"    starts with Begin{g} from Client{g}",
        f"    succeeds with Finished{g}",
        f"    fails with Rejected{g}",
        "    within 1h",
        "    rate 5/s",
        "  }",
        "}",
        "",
    )


def _participant(g: int, i: int) -> Iterator[str]:
    yield from (
        f"  service Worker{g}_{i} {{",
        f"    replicas 3  uses WorkerDb{g}_{i}  outbox",
        f"    handles Do{g}_{i} {{",
        "      idempotent by id",
        "      takes 20ms",
        f"      writes WorkerDb{g}_{i}.rows",
        '      succeeds or fails "refused"',
        "    }",
        *(
            [
                f"    handles Undo{g}_{i} {{ idempotent by id  compensates Do{g}_{i}  fences  writes WorkerDb{g}_{i}.rows }}"
            ]
            if i < 7
            else []
        ),
        "  }",
        f"  store WorkerDb{g}_{i} {{ replicas 3  failover auto }}",
    )


if __name__ == "__main__":
    text = design(int(sys.argv[1]))
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)
