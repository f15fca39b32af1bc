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
    ("imbalance", "imbalance:Imbalance", "a long tail, or a step, of another dataset's classes"),
    ("label-noise", "label_noise:LabelNoise", "a known share of wrong labels in a training split"),
    ("cache", "cache:Cache", "decoded images kept in memory up to a limit, for streams"),
    ("memory-map", "memory_map:MemoryMap", "decoded to disk once, however large, and mapped"),
    (
        "precomputed-augmentation",
        "precomputed_augmentation:PrecomputedAugmentation",
        "augmented versions of every training image, made ahead",
    ),
    ("cifar100", "cifar100:Cifar100", "CIFAR-100, 32x32 RGB, 100 classes or their 20 superclasses"),
    ("mnist", "mnist:Mnist", "MNIST, 28x28 grey handwritten digits, from torchvision's layout"),
    (
        "fashion-mnist",
        "fashion_mnist:FashionMnist",
        "Fashion-MNIST, 28x28 grey clothes, from torchvision's layout",
    ),
    (
        "imagenet",
        "imagenet:Imagenet",
        "ImageNet, a folder for each class, resized and cropped in the middle",
        "torchvision",
    ),
    ("csv", "csv_list:CsvList", "image files and labels listed in a CSV file", "torchvision"),
    (
        "shards",
        "shards:Shards",
        "WebDataset tar or TFRecord shards, local or in an object store, with a bounded copy here",
        "torchvision",
    ),
    ("hub", "hub:Hub", "image rows of the Hugging Face hub, downloaded only when asked for", "torchvision"),
)
