"""First-party trackers: name, target within this folder, summary, and libraries that may be imported ahead."""

COMPONENTS: tuple[tuple[str, str, str, *tuple[str, ...]], ...] = (
    ("tensorboard", "tensorboard:TensorBoard", "event files for TensorBoard, a folder for each trial"),
    ("mlflow", "mlflow:Mlflow", "MLflow runs in a local SQLite store, or on a server that is named"),
)
