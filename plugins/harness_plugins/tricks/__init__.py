"""First-party tricks: name, target within this folder, summary, and libraries that may be imported ahead."""

COMPONENTS: tuple[tuple[str, str, str, *tuple[str, ...]], ...] = (
    (
        "label-smoothing",
        "label_smoothing:LabelSmoothing",
        "a share of the target spread over all classes (Szegedy et al. 2016)",
    ),
    ("focal-loss", "focal_loss:FocalLoss", "easy samples weigh less (Lin et al. 2017)"),
    ("grad-clip", "grad_clip:GradClip", "bound the global norm of the gradient (Pascanu et al. 2013)"),
    (
        "grad-accumulation",
        "grad_accumulation:GradAccumulation",
        "the batch in parts: less memory, the same update",
    ),
    (
        "grad-checkpointing",
        "grad_checkpointing:GradCheckpointing",
        "activations computed again in the backward pass, not kept (Chen et al. 2016)",
    ),
    ("ema", "ema:Ema", "judge an exponential moving average of the weights"),
    (
        "swa",
        "swa:Swa",
        "judge the mean of the weights along the last part of training (Izmailov et al. 2018)",
    ),
    ("freeze", "freeze:Freeze", "the first blocks of the backbone are not trained"),
    ("sam", "sam:Sam", "the gradient from the worst point nearby (Foret et al. 2021)"),
    (
        "whitened-stem",
        "whitened_stem:WhitenedStem",
        "first convolution made from the data's patches, and frozen (Page 2018)",
    ),
    (
        "dirac-init",
        "dirac_init:DiracInit",
        "convolutions that start by passing their input on (Zagoruyko and Komodakis 2017)",
    ),
    (
        "freeze-norm-scale",
        "freeze_norm_scale:FreezeNormScale",
        "normalisation layers without a learned scale (Page 2018)",
    ),
    (
        "lookahead",
        "lookahead:Lookahead",
        "weights pulled back to slow ones, which are judged (Zhang et al. 2019)",
    ),
    ("sum-loss", "sum_loss:SumLoss", "the loss summed over the batch, for gradients in half precision"),
    (
        "test-time-augmentation",
        "test_time_augmentation:TestTimeAugmentation",
        "logits averaged over mirrored and moved views (Krizhevsky et al. 2012)",
    ),
)
