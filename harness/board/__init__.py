"""The leaderboard: from a plan and its records to a board, and from a board to files."""

from harness.board import render
from harness.board.leaderboard import build
from harness.board.write import write

__all__ = ["build", "render", "write"]
