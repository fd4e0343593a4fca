"""Rules about sagas and their compensation."""
