"""Where the command starts: Ctrl-C ends it quietly while the command line is still being imported.

What comes before, the interpreter's own start of some hundredths of a second, no program can catch. A termination
(SIGTERM) needs nothing: until a command asks for it, it ends the process without a word.
"""

from __future__ import annotations

import os

INTERRUPTED = 130

try:
    import signal  # the first that is not in the interpreter itself; the command line needs it anyway
except KeyboardInterrupt:
    os._exit(INTERRUPTED)


def main() -> None:
    """Import the command line, run it and exit: `harness.cli.main`."""
    handler = signal.getsignal(signal.SIGINT)
    # Under nohup, or behind a shell's `&`, Ctrl-C means nothing.
    is_asked = handler is signal.default_int_handler
    if is_asked:
        # Not by an exception: modules that are being imported may catch it, and what is being freed shows it.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from harness.cli.main import main as run

    if is_asked:
        signal.signal(signal.SIGINT, handler)
    try:
        run()
    except KeyboardInterrupt:  # before typer listens for it, or after it has stopped
        raise SystemExit(INTERRUPTED) from None
