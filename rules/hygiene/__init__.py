"""Rules about hygiene of the design and its ignores."""
