"""Tricks: anything that changes how a model is trained, composed into the step once per trial.

A trick gives what it needs and nothing else. The functions in its `Slots` are put together when the trial
starts; a slot that nobody fills costs nothing. One door for each kind of change:

    phase       on a boundary of the budget          unfreezing, resizing
    batch       the batch, before it is split        label smoothing, adversarial examples
    loss        (logits, target) -> loss             focal loss; exclusive
    objective   (model, micro-batch) -> loss         distillation, auxiliary heads
    gradients   once a parameter update              clipping, centralisation
    update      around the optimizer's step          SAM, averages of weights, Lookahead
    eval_model  which weights are judged             averages, test-time augmentation

For a first trick of your own, copy `harness_plugins/tricks/label_smoothing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from harness.contract.stage import Stage

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from harness.contract.batch import Batch
    from harness.contract.context import Context

    Loss = Callable[[Tensor, Tensor], Tensor]
    Objective = Callable[[Batch], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class StepResult:
    """What an update tells of itself.

    Attributes:
        loss: The loss at the weights that the step started from, detached, on the device.
        applied: False where the update was skipped (a loss scale that overflowed); a bool tensor () on the
            device where only the device knows, so that nobody has to wait for it.
    """

    loss: Tensor
    applied: bool | Tensor = True


class Closure(Protocol):
    """Clears the gradients, runs forward and backward over the whole batch, and returns the mean loss.

    Every call in a step sees the same batch and starts from the same key, so dropout masks repeat. With
    `ascent=True` no batch-norm layer tracks statistics.
    """

    def __call__(self, *, ascent: bool = False) -> Tensor:
        """Run the pass; the gradients stay in the parameters."""
        ...


Update = Callable[[Closure], StepResult]
"""One parameter update. The innermost one: closure, `gradients` slots, optimizer."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """The shape of a step, before anything is built.

    Attributes:
        micro_batches: Parts that a batch is split into; their gradients are averaged over the samples.
        boundaries: Shares of the budget, within (0, 1), at which `phase` is called (and at step 0).
    """

    micro_batches: int = 1
    boundaries: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """What one parameter's optimizer settings are multiplied by.

    Attributes:
        lr: Of the base learning rate; several tricks' factors multiply.
        weight_decay: Of the weight decay.
    """

    lr: float = 1.0
    weight_decay: float = 1.0


@dataclass(frozen=True, slots=True)
class Slots:
    """The functions of one trick; every one is optional, and None costs nothing.

    Attributes:
        phase: Called at step 0 and at the boundaries of the plan, outside the step; when a trial resumes,
            once more for each boundary behind it, in order, `ctx.step` being that boundary.
        batch: Once a step, on the whole per-rank batch, on the device, before the split into micro-batches.
        loss: (logits (B, K), target (B,) or (B, K)) -> mean loss, a scalar. Exclusive.
        objective: Wraps micro-batch -> (loss, logits); adds terms.
        gradients: Once a parameter update, on the list of gradients, in place; never on an ascent pass.
        update: Wraps an update.
        eval_model: Raw model -> the model that is judged; chained in stage order; on the clock.
        freezes: By share of the budget, within [0, 1), the parameters that are not trained from there on: no gradient,
            no step, no weight decay. Told ahead, so that a compiled model is ready for it.
        unfreezes: By share of the budget, the parameters that are trained again from there on; at one share after
            `freezes`. A parameter that several tricks freeze is trained again where the last of them lets it.
        sizes: By share of the budget, the side in pixels that images have from there on, where `batch` resizes them.
            Told ahead, so that a compiled model is ready for it.
        micro_batches: Parts that a batch is split into, where it takes the built model to know; the plan's otherwise.
        state: Tensors that a checkpoint has to hold. They are filled in place when a trial resumes.
        observe: Called once, after training: the trick's `observable`, 0 where it never acted.
    """

    phase: Callable[[], None] | None = None
    batch: Callable[[Batch], Batch] | None = None
    loss: Loss | None = None
    objective: Callable[[Objective], Objective] | None = None
    gradients: Callable[[list[Tensor]], None] | None = None
    update: Callable[[Update], Update] | None = None
    eval_model: Callable[[Module], Module] | None = None
    freezes: Mapping[float, Sequence[Tensor]] | None = None
    unfreezes: Mapping[float, Sequence[Tensor]] | None = None
    sizes: Mapping[float, int] | None = None
    micro_batches: int | None = None
    state: Mapping[str, list[Tensor]] | None = None
    observe: Callable[[], float] | None = None


class Trick:
    """Base of every trick plugin: a frozen dataclass whose fields are its parameters.

    Class variables:
        stage: Where its functions stand among others'.
        provides, conflicts, requires: Tags; `harness check` refuses an arm in which one's `conflicts`
            meets another's `provides`, or whose `requires` nobody provides. What splits the batch provides
            "micro-batches"; a loss over the whole batch (all pairs, batch statistics) conflicts with it.
        identity: Parameters at which it does nothing, bit for bit; None where there are none.
        parents: Roles of other trials' models that it needs ("teacher"): an arm with it has to name each.
        observable: Name, with its unit, of what `Slots.observe` measures: the proof that the trick is on.
        resume: "exact", or why a resumed trial has to start over.
    """

    stage: ClassVar[Stage] = Stage.OBJECTIVE
    provides: ClassVar[frozenset[str]] = frozenset()
    conflicts: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[frozenset[str]] = frozenset()
    identity: ClassVar[Mapping[str, object] | None] = None
    parents: ClassVar[frozenset[str]] = frozenset()
    observable: ClassVar[str] = ""
    resume: ClassVar[str] = "exact"

    def plan(self, plan: StepPlan) -> StepPlan:
        """Return the plan of the step as this trick wants it."""
        return plan

    def model(self, model: Module, ctx: Context) -> Module:
        """Return the model, changed; what is added is initialised from `ctx.generator`."""
        del ctx
        return model

    def scales(self, ctx: Context) -> Mapping[str, Scale]:
        """Return, by the name of a parameter of `ctx.model`, what its learning rate and weight decay are multiplied by.

        Parameters with equal scales form a group of their optimizer; a name that is left out keeps its settings. A
        factor of a weight decay has nothing to act on where there is none; where an optimizer keeps one decay for
        all, outside its groups, it is refused.
        """
        del ctx
        return {}

    def bind(self, ctx: Context) -> Slots:
        """Return the functions of this trick for one trial."""
        del ctx
        return Slots()
