"""Rules about message contracts."""
