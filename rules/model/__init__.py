"""Rules about the integrity of the model."""
