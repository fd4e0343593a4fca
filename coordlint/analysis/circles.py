"""Circles in plain graphs: the parts that have one, the shortest, and the fewest edges whose removal leaves none."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from coordlint.analysis.calls import strong_components


def shortest_cycle(
    successors: Mapping[object, Sequence[object]], edges: Iterable[tuple[object, object]], tries: int = 100
) -> list[object] | None:
    """The shortest cycle through one of the edges, as the nodes on it from that edge's source; None if there is none.

    Of several the one of the first edge. A breadth-first search for each edge; of very many edges only the first ``tries``
    that lie on a cycle are tried.
    """
    best: list[object] | None = None
    for source, target in edges:
        if tries == 0 or (best is not None and len(best) <= 2):
            break
        found = _way_back(successors, source, target, len(best) if best is not None else None)
        if found is not None:
            tries -= 1
            if best is None or len(found) < len(best):
                best = found
    return best


def _way_back(
    successors: Mapping[object, Sequence[object]], source: object, target: object, limit: int | None
) -> list[object] | None:
    came: dict[object, object] = {target: source}
    queue = deque([(target, 1)])
    while queue:
        node, length = queue.popleft()
        if node == source:
            path = [node]
            while True:
                node = came[node]
                if node == source:
                    return [source, *path[:0:-1]]
                path.append(node)
        if limit is not None and length >= limit:
            continue
        for following in successors.get(node, ()):
            if following not in came:
                came[following] = node
                queue.append((following, length + 1))
    return None


def feedback_edges(weights: Mapping[tuple[str, str], int], exact_up_to: int = 12) -> tuple[list[tuple[str, str]], bool]:
    """A smallest set of edges without which the graph has no cycle, and whether no smaller one exists.

    Fewest edges first, then the smallest sum of weights. Exact by dynamic programming over subsets of the nodes
    (the best order of the nodes, Held and Karp, 1962; time and space 2^n) for up to ``exact_up_to`` nodes of a strongly
    connected graph; above that the greedy order of Eades, Lin and Smyth (1993).
    """
    nodes = sorted({node for edge in weights for node in edge})
    place = {node: number for number, node in enumerate(nodes)}
    # One edge more costs more than all places of the others.
    one = sum(weights.values()) + 1
    cost: list[dict[int, int]] = [{} for _ in nodes]
    for (source, target), weight in sorted(weights.items()):
        cost[place[source]][place[target]] = one + weight
    exact = len(nodes) <= exact_up_to
    order = _best_order(cost) if exact else _greedy_order(cost)
    rank = {number: i for i, number in enumerate(order)}
    back = [edge for edge in sorted(weights) if rank[place[edge[0]]] >= rank[place[edge[1]]]]
    return back, exact


def _best_order(cost: list[dict[int, int]]) -> list[int]:
    """The order of the nodes with the cheapest edges backwards; the first of equal ones."""
    count = len(cost)
    best: list[tuple[int, int]] = [(0, -1)] * (1 << count)
    for mask in range(1, 1 << count):
        choice: tuple[int, int] | None = None
        for last in range(count):
            if mask >> last & 1:
                rest = mask ^ (1 << last)
                backward = sum(price for other, price in cost[last].items() if rest >> other & 1)
                price = best[rest][0] + backward
                if choice is None or price < choice[0]:
                    choice = (price, last)
        assert choice is not None
        best[mask] = choice
    order = []
    mask = (1 << count) - 1
    while mask:
        last = best[mask][1]
        order.append(last)
        mask ^= 1 << last
    return order[::-1]


def _greedy_order(cost: list[dict[int, int]]) -> list[int]:
    """Sinks to the end, sources to the front, else the node with the largest surplus of outgoing edges to the front."""
    sources: list[dict[int, int]] = [{} for _ in cost]
    for node, targets in enumerate(cost):
        for target, price in targets.items():
            sources[target][node] = price
    going = [sum(targets.values()) for targets in cost]
    coming = [sum(found.values()) for found in sources]

    def entry(node: int) -> tuple[int, int, int]:
        ends = going[node] == 0 or coming[node] == 0
        return (0 if ends else 1, coming[node] - going[node], node)

    queue = [entry(node) for node in range(len(cost))]
    heapq.heapify(queue)
    placed: set[int] = set()
    front: list[int] = []
    back: list[int] = []
    while queue:
        top = heapq.heappop(queue)
        node = top[-1]
        if node in placed or top != entry(node):
            continue  # outdated: an entry that is right follows
        placed.add(node)
        (back if going[node] == 0 else front).append(node)
        for neighbours, sums in ((cost[node], coming), (sources[node], going)):
            for other, price in neighbours.items():
                if other not in placed:
                    sums[other] -= price
                    heapq.heappush(queue, entry(other))
    return front + back[::-1]


def strong_parts(successors: list[list[int]]) -> list[list[int]]:
    """The strongly connected components that have an edge inside, as ascending node numbers, by their first node."""
    component = strong_components(successors)
    parts: dict[int, list[int]] = {}
    for node, number in enumerate(component):
        parts.setdefault(number, []).append(node)
    cyclic = {
        component[node] for node, targets in enumerate(successors) for t in targets if component[t] == component[node]
    }
    return sorted(parts[number] for number in cyclic)
