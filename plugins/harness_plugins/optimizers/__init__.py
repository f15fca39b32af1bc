"""First-party optimizers: name, target within this folder, summary, and libraries that may be imported ahead."""

COMPONENTS: tuple[tuple[str, str, str, *tuple[str, ...]], ...] = (
    ("sgd", "sgd:Sgd", "stochastic gradient descent with momentum"),
    ("adam", "adam:Adam", "Adam (Kingma and Ba 2015)"),
    ("adamw", "adamw:AdamW", "Adam with decoupled weight decay (Loshchilov and Hutter 2019)"),
    (
        "decoupled-sgd",
        "decoupled_sgd:DecoupledSgd",
        "Nesterov SGD with rate, momentum and decay set one by one (Page 2018)",
    ),
    ("muon", "muon:Muon", "momentum made orthogonal, for matrices and filters (Jordan et al. 2024)"),
    (
        "adabound",
        "adabound:AdaBound",
        "Adam between bounds that close in on gradient descent (Luo et al. 2019)",
    ),
    ("lamb", "lamb:Lamb", "Adam with a trust ratio for each layer (You et al. 2020)", "timm"),
    ("lion", "lion:Lion", "the sign of an interpolated momentum (Chen et al. 2023)", "timm"),
    ("torch:", "torch_optimizer:TorchNamedOptimizer", "any optimizer of torch.optim by its name"),
    ("timm:", "timm_optimizer:TimmOptimizer", "any optimizer of timm by its name", "timm"),
)
