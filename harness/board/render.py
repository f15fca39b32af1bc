"""A board as text: one function a format. None of them computes; each escapes in one place."""

from harness.board.model_index import model_index
from harness.board.render_csv import csv
from harness.board.render_html import html
from harness.board.render_json import json
from harness.board.render_latex import latex
from harness.board.render_markdown import markdown
from harness.board.render_terminal import terminal

__all__ = ["csv", "html", "json", "latex", "markdown", "model_index", "terminal"]
