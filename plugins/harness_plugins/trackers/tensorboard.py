"""Event files for TensorBoard."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.contract import TrackedTrial, Tracker, TrialTracking
from harness_plugins.trackers.numbers import INSTALL, results


@dataclass(frozen=True)
class TensorBoard(Tracker):
    """A folder of event files for each trial: `results/<suite>/tracking/tensorboard/<arm>/<replicate>`.

    `tensorboard --logdir results/<suite>/tracking/tensorboard` shows them. Curves are by step, the results under
    `test/` and `validation/`; recipe and status are texts. It is written by TensorBoard's own writer, so that the
    launcher need not import torch. Needs the extra `track`; takes no parameters.

    When not to use it: to compare arms; its smoothed curves have no intervals, the leaderboard has.
    """

    libraries: ClassVar[tuple[str, ...]] = ("tensorboard",)
    install: ClassVar[str] = INSTALL

    def begin(self, trial: TrackedTrial, recipe: Mapping[str, Any]) -> TrialTracking:
        """Open the trial's event file and write its recipe."""
        following = _Events(trial)
        following.write_text("recipe", json.dumps(recipe, indent=2, sort_keys=True))
        return following


class _Events(TrialTracking):
    def __init__(self, trial: TrackedTrial) -> None:
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ImportError(f"{error}; get it: {INSTALL}") from error

        self._writer: Any = EventFileWriter(str(trial.folder / trial.arm / str(trial.replicate)))
        self._step = 0

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._step = max(self._step, step)
        self._write(step, [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])

    def end(self, record: Mapping[str, Any]) -> None:
        self.scalars(self._step, results(record))
        culprit = record.get("culprit") or {}
        self.write_text("status", f"{record.get('status')}: {culprit.get('error') or 'no error'}")
        self._writer.close()

    def write_text(self, tag: str, text: str) -> None:
        """Write a text, which TensorBoard shows as code: four spaces make it so in Markdown."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.plugins.text.metadata import create_summary_metadata

        code = "\n".join(f"    {line}" for line in text.splitlines())
        one = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype="DT_STRING", tensor_shape=one, string_val=[code.encode()])
        metadata = create_summary_metadata(display_name=tag, description="")
        self._write(self._step, [Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])

    def _write(self, step: int, values: list[Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
