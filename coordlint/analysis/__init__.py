"""The questions rules ask, answered by pure functions over the resolved system."""
