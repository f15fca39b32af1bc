"""harness: benchmark image-classification tricks so that the differences on the leaderboard are real."""

__version__ = "0.1.0"
