"""Bounded behavioural verification: what a design can do under faults, with the shortest way to every violation."""
