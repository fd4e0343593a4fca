"""Rules about conflicts between orchestration and choreography."""
