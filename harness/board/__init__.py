"""The leaderboard: from a plan and its records to a board, and from a board to files.

`leaderboard.build` makes the board, `render` its texts, `write` the files. Import the modules themselves: a command
that words an interval should not pay for the rest.
"""
