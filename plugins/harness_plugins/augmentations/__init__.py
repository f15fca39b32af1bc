"""First-party augmentations: name, target within this folder, summary, and libraries that may be imported ahead."""

COMPONENTS: tuple[tuple[str, str, str, *tuple[str, ...]], ...] = (
    ("horizontal-flip", "horizontal_flip:HorizontalFlip", "mirror left and right, a draw per sample"),
    (
        "alternating-flip",
        "alternating_flip:AlternatingFlip",
        "mirror left and right every other epoch, a coin for the first (Jordan 2024)",
    ),
    ("vertical-flip", "vertical_flip:VerticalFlip", "mirror top and bottom, a draw per sample"),
    ("rotation", "rotation:Rotation", "rotate about the centre, zeros move in"),
    ("affine", "affine:Affine", "rotate, shift, scale and shear, zeros move in"),
    (
        "resized-crop",
        "resized_crop:ResizedCrop",
        "a part of the image, brought back to its size (Szegedy et al. 2015)",
    ),
    ("padded-crop", "padded_crop:PaddedCrop", "pad, then crop back at a random place"),
    ("translate", "translate:Translate", "shift by whole pixels, zeros move in"),
    ("cutout", "cutout:Cutout", "square holes, clipped at the border (DeVries and Taylor 2017)"),
    ("random-erasing", "random_erasing:RandomErasing", "a rectangle set to zero (Zhong et al. 2020)"),
    (
        "color-jitter",
        "color_jitter:ColorJitter",
        "brightness, contrast, saturation and hue, amounts drawn per sample",
    ),
    ("grayscale", "grayscale:Grayscale", "colour taken out, a draw per sample"),
    (
        "gaussian-blur",
        "gaussian_blur:GaussianBlur",
        "smoothed by a Gaussian of drawn width (Chen et al. 2020)",
    ),
    (
        "auto-augment",
        "auto_augment:AutoAugment",
        "policies found by search, a pair of operations drawn per sample (Cubuk et al. 2019)",
    ),
    (
        "rand-augment",
        "rand_augment:RandAugment",
        "operations drawn per sample, all at one strength (Cubuk et al. 2020)",
    ),
    (
        "trivial-augment",
        "trivial_augment:TrivialAugment",
        "one operation at a drawn strength per sample (Müller and Hutter 2021)",
    ),
    (
        "aug-mix",
        "aug_mix:AugMix",
        "mixed with chains of operations on itself (Hendrycks et al. 2020)",
        "scipy.special",
    ),
    (
        "mixup",
        "mixup:Mixup",
        "convex combinations of pairs and their targets (Zhang et al. 2018)",
        "scipy.special",
    ),
    (
        "cutmix",
        "cutmix:CutMix",
        "a box of another sample, targets by area (Yun et al. 2019)",
        "scipy.special",
    ),
    (
        "ricap",
        "ricap:Ricap",
        "four samples patched into one, targets by area (Takahashi et al. 2018)",
        "scipy.special",
    ),
    ("progressive", "progressive:Progressive", "any augmentation, growing while the training goes on"),
    ("class-aware", "class_aware:ClassAware", "any augmentation, with a probability for each class"),
    (
        "torchvision:",
        "torchvision_transform:TorchvisionTransform",
        "any transform of torchvision by its name, sample by sample in the loader",
        "torchvision",
    ),
)
