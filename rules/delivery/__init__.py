"""Rules about message delivery."""
