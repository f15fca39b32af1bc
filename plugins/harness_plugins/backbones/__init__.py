"""First-party backbones: name, target within this folder, summary, and libraries that may be imported ahead."""

COMPONENTS: tuple[tuple[str, str, str, *tuple[str, ...]], ...] = (
    ("simple-cnn", "simple_cnn:SimpleCnn", "two or three convolutions and a head, any image size"),
    ("resnet-cifar", "resnet_cifar:ResNetCifar", "the 6n+2 residual network for 32x32 (He et al. 2016)"),
    (
        "speedrun-cnn",
        "speedrun_cnn:SpeedrunCnn",
        "the eight-layer network of the CIFAR-10 speedruns (Jordan 2024)",
    ),
    ("timm:", "timm_model:TimmModel", "any model of timm by its name, adapted to small images", "timm"),
    (
        "torchvision:",
        "torchvision_model:TorchvisionModel",
        "any classifier of torchvision by its name, adapted to small images",
        "torchvision",
    ),
)
