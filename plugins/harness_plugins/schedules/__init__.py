"""First-party schedules: name, target within this folder, summary, and libraries that may be imported ahead."""

COMPONENTS: tuple[tuple[str, str, str, *tuple[str, ...]], ...] = (
    ("constant", "constant:Constant", "the base rate throughout"),
    ("cosine", "cosine:Cosine", "half a cosine from the base rate to eta_min (Loshchilov and Hutter 2017)"),
    ("multi-step", "multi_step:MultiStep", "the rate times gamma at given points of the budget"),
    ("one-cycle", "one_cycle:OneCycle", "up to the base rate and down again (Smith and Topin 2019)"),
    ("plateau", "plateau:Plateau", "the rate divided where the validation loss stops falling"),
    ("step", "step:Step", "the rate times gamma at every step_size of the budget"),
    ("linear", "linear:Linear", "a straight line from the base rate down"),
    ("triangular", "triangular:Triangular", "up in a straight line, then down in another (Smith 2018)"),
)
