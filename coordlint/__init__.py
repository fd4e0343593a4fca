"""A static analyser for coordination designs: orchestration, choreography and the hybrids between them."""

__version__ = "0.1.0"
