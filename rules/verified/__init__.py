"""Rules about runs: what the model of a design does under faults, found by `coordlint verify`."""
