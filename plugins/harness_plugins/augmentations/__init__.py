"""First-party augmentations."""
