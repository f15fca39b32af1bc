"""The command line. Nothing heavier than typer is imported before a command needs it."""
