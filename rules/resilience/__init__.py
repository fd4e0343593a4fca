"""Rules about resilience and quantity."""
