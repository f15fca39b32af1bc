"""First-party tricks."""
