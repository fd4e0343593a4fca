"""Rules about cycles and feedback."""
