"""First-party metrics: name, target within this folder, summary, and libraries that may be imported ahead."""

COMPONENTS: tuple[tuple[str, str, str, *tuple[str, ...]], ...] = (
    ("top-k", "top_k:TopK", "share of samples whose class is among the k likeliest"),
    (
        "calibration-error",
        "calibration_error:CalibrationError",
        "expected calibration error over equal-width bins (Guo et al. 2017)",
    ),
    ("balanced-accuracy", "balanced_accuracy:BalancedAccuracy", "mean of the classes' accuracies"),
)
