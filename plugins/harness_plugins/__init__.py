"""The first-party plugins. They come in by an entry point, as a stranger's do.

Targets are strings, so listing them imports neither torch nor timm.
"""

from harness.contract import RegistryView, hookimpl

_P = "harness_plugins"


@hookimpl
def harness_register(registry: RegistryView) -> None:
    """Offer every first-party component."""
    add = registry.add

    add(
        "dataset",
        "digits",
        f"{_P}.datasets.digits:Digits",
        summary="1,797 real 8x8 handwritten digits; nothing to download",
    )
    add(
        "dataset",
        "cifar10",
        f"{_P}.datasets.cifar10:Cifar10",
        summary="CIFAR-10, 32x32 RGB, from torchvision's layout or the hub's Parquet",
    )
    add(
        "dataset",
        "parquet",
        f"{_P}.datasets.parquet:Parquet",
        summary="image rows in the Hugging Face layout, from local Parquet files",
        preload=("torchvision",),
    )
    add(
        "dataset",
        "image-folder",
        f"{_P}.datasets.image_folder:ImageFolder",
        summary="image files in a folder for each class, any sizes",
        preload=("torchvision",),
    )
    add(
        "dataset",
        "subset",
        f"{_P}.datasets.subset:Subset",
        summary="a class-balanced part of another dataset's training split",
    )

    add(
        "sampler",
        "shuffle",
        f"{_P}.samplers.shuffle:Shuffle",
        summary="every sample once an epoch, in random order",
    )

    add(
        "sampler",
        "balanced",
        f"{_P}.samplers.balanced:Balanced",
        summary="every class as often as every other",
    )

    add(
        "augmentation",
        "horizontal-flip",
        f"{_P}.augmentations.horizontal_flip:HorizontalFlip",
        summary="mirror left and right, a draw per sample",
    )
    add(
        "augmentation",
        "alternating-flip",
        f"{_P}.augmentations.alternating_flip:AlternatingFlip",
        summary="mirror left and right every other epoch, a coin for the first (Jordan 2024)",
    )
    add(
        "augmentation",
        "vertical-flip",
        f"{_P}.augmentations.vertical_flip:VerticalFlip",
        summary="mirror top and bottom, a draw per sample",
    )
    add(
        "augmentation",
        "rotation",
        f"{_P}.augmentations.rotation:Rotation",
        summary="rotate about the centre, zeros move in",
    )
    add(
        "augmentation",
        "affine",
        f"{_P}.augmentations.affine:Affine",
        summary="rotate, shift, scale and shear, zeros move in",
    )
    add(
        "augmentation",
        "resized-crop",
        f"{_P}.augmentations.resized_crop:ResizedCrop",
        summary="a part of the image, brought back to its size (Szegedy et al. 2015)",
    )
    add(
        "augmentation",
        "padded-crop",
        f"{_P}.augmentations.padded_crop:PaddedCrop",
        summary="pad, then crop back at a random place",
    )
    add(
        "augmentation",
        "translate",
        f"{_P}.augmentations.translate:Translate",
        summary="shift by whole pixels, zeros move in",
    )
    add(
        "augmentation",
        "cutout",
        f"{_P}.augmentations.cutout:Cutout",
        summary="square holes, clipped at the border (DeVries and Taylor 2017)",
    )
    add(
        "augmentation",
        "random-erasing",
        f"{_P}.augmentations.random_erasing:RandomErasing",
        summary="a rectangle set to zero (Zhong et al. 2020)",
    )
    add(
        "augmentation",
        "mixup",
        f"{_P}.augmentations.mixup:Mixup",
        summary="convex combinations of pairs and their targets (Zhang et al. 2018)",
        preload=("scipy.special",),
    )
    add(
        "augmentation",
        "cutmix",
        f"{_P}.augmentations.cutmix:CutMix",
        summary="a box of another sample, targets by area (Yun et al. 2019)",
        preload=("scipy.special",),
    )

    add(
        "augmentation",
        "ricap",
        f"{_P}.augmentations.ricap:Ricap",
        summary="four samples patched into one, targets by area (Takahashi et al. 2018)",
        preload=("scipy.special",),
    )

    add(
        "augmentation",
        "torchvision:",
        f"{_P}.augmentations.torchvision_transform:TorchvisionTransform",
        summary="any transform of torchvision by its name, sample by sample in the loader",
        preload=("torchvision",),
    )

    add(
        "backbone",
        "simple-cnn",
        f"{_P}.backbones.simple_cnn:SimpleCnn",
        summary="two or three convolutions and a head, any image size",
    )
    add(
        "backbone",
        "resnet-cifar",
        f"{_P}.backbones.resnet_cifar:ResNetCifar",
        summary="the 6n+2 residual network for 32x32 (He et al. 2016)",
    )
    add(
        "backbone",
        "speedrun-cnn",
        f"{_P}.backbones.speedrun_cnn:SpeedrunCnn",
        summary="the eight-layer network of the CIFAR-10 speedruns (Jordan 2024)",
    )
    add(
        "backbone",
        "timm:",
        f"{_P}.backbones.timm_model:TimmModel",
        summary="any model of timm by its name, adapted to small images",
        preload=("timm",),
    )
    add(
        "backbone",
        "torchvision:",
        f"{_P}.backbones.torchvision_model:TorchvisionModel",
        summary="any classifier of torchvision by its name, adapted to small images",
        preload=("torchvision",),
    )

    add("optimizer", "sgd", f"{_P}.optimizers.sgd:Sgd", summary="stochastic gradient descent with momentum")
    add("optimizer", "adam", f"{_P}.optimizers.adam:Adam", summary="Adam (Kingma and Ba 2015)")
    add(
        "optimizer",
        "adamw",
        f"{_P}.optimizers.adamw:AdamW",
        summary="Adam with decoupled weight decay (Loshchilov and Hutter 2019)",
    )
    add(
        "optimizer",
        "decoupled-sgd",
        f"{_P}.optimizers.decoupled_sgd:DecoupledSgd",
        summary="Nesterov SGD with rate, momentum and decay set one by one (Page 2018)",
    )
    add(
        "optimizer",
        "muon",
        f"{_P}.optimizers.muon:Muon",
        summary="momentum made orthogonal, for matrices and filters (Jordan et al. 2024)",
    )
    add(
        "optimizer",
        "adabound",
        f"{_P}.optimizers.adabound:AdaBound",
        summary="Adam between bounds that close in on gradient descent (Luo et al. 2019)",
    )
    add(
        "optimizer",
        "lamb",
        f"{_P}.optimizers.lamb:Lamb",
        summary="Adam with a trust ratio for each layer (You et al. 2020)",
        preload=("timm",),
    )
    add(
        "optimizer",
        "lion",
        f"{_P}.optimizers.lion:Lion",
        summary="the sign of an interpolated momentum (Chen et al. 2023)",
        preload=("timm",),
    )
    add(
        "optimizer",
        "torch:",
        f"{_P}.optimizers.torch_optimizer:TorchNamedOptimizer",
        summary="any optimizer of torch.optim by its name",
    )
    add(
        "optimizer",
        "timm:",
        f"{_P}.optimizers.timm_optimizer:TimmOptimizer",
        summary="any optimizer of timm by its name",
        preload=("timm",),
    )

    add("schedule", "constant", f"{_P}.schedules.constant:Constant", summary="the base rate throughout")
    add(
        "schedule",
        "cosine",
        f"{_P}.schedules.cosine:Cosine",
        summary="half a cosine from the base rate to eta_min (Loshchilov and Hutter 2017)",
    )
    add(
        "schedule",
        "multi-step",
        f"{_P}.schedules.multi_step:MultiStep",
        summary="the rate times gamma at given points of the budget",
    )
    add(
        "schedule",
        "one-cycle",
        f"{_P}.schedules.one_cycle:OneCycle",
        summary="up to the base rate and down again (Smith and Topin 2019)",
    )
    add(
        "schedule",
        "step",
        f"{_P}.schedules.step:Step",
        summary="the rate times gamma at every step_size of the budget",
    )
    add(
        "schedule",
        "linear",
        f"{_P}.schedules.linear:Linear",
        summary="a straight line from the base rate down",
    )
    add(
        "schedule",
        "triangular",
        f"{_P}.schedules.triangular:Triangular",
        summary="up in a straight line, then down in another (Smith 2018)",
    )

    add(
        "trick",
        "label-smoothing",
        f"{_P}.tricks.label_smoothing:LabelSmoothing",
        summary="a share of the target spread over all classes (Szegedy et al. 2016)",
    )
    add(
        "trick",
        "focal-loss",
        f"{_P}.tricks.focal_loss:FocalLoss",
        summary="easy samples weigh less (Lin et al. 2017)",
    )
    add(
        "trick",
        "grad-clip",
        f"{_P}.tricks.grad_clip:GradClip",
        summary="bound the global norm of the gradient (Pascanu et al. 2013)",
    )
    add(
        "trick",
        "grad-accumulation",
        f"{_P}.tricks.grad_accumulation:GradAccumulation",
        summary="the batch in parts: less memory, the same update",
    )
    add(
        "trick",
        "grad-checkpointing",
        f"{_P}.tricks.grad_checkpointing:GradCheckpointing",
        summary="activations computed again in the backward pass, not kept (Chen et al. 2016)",
    )
    add("trick", "ema", f"{_P}.tricks.ema:Ema", summary="judge an exponential moving average of the weights")
    add(
        "trick",
        "swa",
        f"{_P}.tricks.swa:Swa",
        summary="judge the mean of the weights along the last part of training (Izmailov et al. 2018)",
    )
    add(
        "trick",
        "freeze",
        f"{_P}.tricks.freeze:Freeze",
        summary="the first blocks of the backbone are not trained",
    )
    add(
        "trick",
        "sam",
        f"{_P}.tricks.sam:Sam",
        summary="the gradient from the worst point nearby (Foret et al. 2021)",
    )
    add(
        "trick",
        "whitened-stem",
        f"{_P}.tricks.whitened_stem:WhitenedStem",
        summary="first convolution made from the data's patches, and frozen (Page 2018)",
    )
    add(
        "trick",
        "dirac-init",
        f"{_P}.tricks.dirac_init:DiracInit",
        summary="convolutions that start by passing their input on (Zagoruyko and Komodakis 2017)",
    )
    add(
        "trick",
        "freeze-norm-scale",
        f"{_P}.tricks.freeze_norm_scale:FreezeNormScale",
        summary="normalisation layers without a learned scale (Page 2018)",
    )
    add(
        "trick",
        "lookahead",
        f"{_P}.tricks.lookahead:Lookahead",
        summary="weights pulled back to slow ones, which are judged (Zhang et al. 2019)",
    )
    add(
        "trick",
        "sum-loss",
        f"{_P}.tricks.sum_loss:SumLoss",
        summary="the loss summed over the batch, for gradients in half precision",
    )
    add(
        "trick",
        "test-time-augmentation",
        f"{_P}.tricks.test_time_augmentation:TestTimeAugmentation",
        summary="logits averaged over mirrored and moved views (Krizhevsky et al. 2012)",
    )

    add(
        "metric",
        "top-k",
        f"{_P}.metrics.top_k:TopK",
        summary="share of samples whose class is among the k likeliest",
    )
    add(
        "metric",
        "calibration-error",
        f"{_P}.metrics.calibration_error:CalibrationError",
        summary="expected calibration error over equal-width bins (Guo et al. 2017)",
    )
    add(
        "metric",
        "balanced-accuracy",
        f"{_P}.metrics.balanced_accuracy:BalancedAccuracy",
        summary="mean of the classes' accuracies",
    )
