"""What `coordlint init` writes: a commented design that checks clean, and a configuration."""
