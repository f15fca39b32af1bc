"""First-party datasets: name, target within this folder, summary, and libraries that may be imported ahead."""

COMPONENTS: tuple[tuple[str, str, str, *tuple[str, ...]], ...] = (
    ("digits", "digits:Digits", "1,797 real 8x8 handwritten digits; nothing to download"),
    ("cifar10", "cifar10:Cifar10", "CIFAR-10, 32x32 RGB, from torchvision's layout or the hub's Parquet"),
    (
        "parquet",
        "parquet:Parquet",
        "image rows in the Hugging Face layout, from local Parquet files",
        "torchvision",
    ),
    (
        "image-folder",
        "image_folder:ImageFolder",
        "image files in a folder for each class, any sizes",
        "torchvision",
    ),
    ("subset", "subset:Subset", "a class-balanced part of another dataset's training split"),
)
