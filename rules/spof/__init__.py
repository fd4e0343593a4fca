"""Rules about single points of failure."""
