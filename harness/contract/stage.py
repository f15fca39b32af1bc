"""Where in the step something acts."""

from enum import IntEnum


class Stage(IntEnum):
    """Named stages, in the order in which they act; within one, the position in the suite file decides.

    In a chain (`batch`, `gradients`, `eval_model`) the lower stage comes first. In a wrapping slot
    (`objective`, `update`) the later stage is the outer one: an average (AVERAGE) wraps SAM (ASCENT),
    which wraps the plain update.
    """

    GEOMETRY = 10  # where the pixels are: flips, crops, resizing
    CONTENT = 20  # what the pixels are: colour, erasing
    MIX = 30  # several samples in one: mixup, CutMix
    TARGET = 40  # what is asked for: label smoothing
    ATTACK = 50  # examples made against the model
    OBJECTIVE = 60  # the loss and terms beside it
    GRADIENT = 70  # gradients, before they are bounded
    CLIP = 80  # bounds on gradients
    ASCENT = 90  # updates that look from another point first; exclusive
    AVERAGE = 100  # averages of weights over time
    EVALUATION = 110  # which model is judged, and on what views


EXCLUSIVE_STAGES = frozenset({Stage.ASCENT})
"""Stages that hold one component at the most; `harness check` refuses a second."""
