"""Everything that a plugin imports, and all that it may import of the harness."""

from harness.contract.augmentation import Augmentation
from harness.contract.backbone import Backbone
from harness.contract.batch import Batch
from harness.contract.context import Context
from harness.contract.dataset import DamagedImage, DataInfo, Dataset, Images, Prepared, Split
from harness.contract.hooks import hookimpl
from harness.contract.metric import Metric
from harness.contract.optimizer import Optimizer
from harness.contract.sampler import Sampler
from harness.contract.schedule import Schedule
from harness.contract.stage import EXCLUSIVE_STAGES, Stage
from harness.contract.tracker import TrackedTrial, Tracker, TrialTracking
from harness.contract.trick import Closure, Scale, Slots, StepPlan, StepResult, Trick, Update
from harness.contract.views import BoardView, RecordView, RegistryView, SuiteView, TrialsView, TrialView

KINDS: dict[str, type] = {
    "dataset": Dataset,
    "sampler": Sampler,
    "augmentation": Augmentation,
    "backbone": Backbone,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "trick": Trick,
    "metric": Metric,
    "tracker": Tracker,
}
"""The kinds of component, each with the base class that its plugins derive from."""

__all__ = [
    "EXCLUSIVE_STAGES",
    "KINDS",
    "Augmentation",
    "Backbone",
    "Batch",
    "BoardView",
    "Closure",
    "Context",
    "DamagedImage",
    "DataInfo",
    "Dataset",
    "Images",
    "Metric",
    "Optimizer",
    "Prepared",
    "RecordView",
    "RegistryView",
    "Sampler",
    "Scale",
    "Schedule",
    "Slots",
    "Split",
    "Stage",
    "StepPlan",
    "StepResult",
    "SuiteView",
    "TrackedTrial",
    "Tracker",
    "TrialTracking",
    "TrialView",
    "TrialsView",
    "Trick",
    "Update",
    "hookimpl",
]
