"""Rules about events and choreography."""
