"""First-party tricks: name, target within this folder, summary, and libraries that may be imported ahead."""

COMPONENTS: tuple[tuple[str, str, str, *tuple[str, ...]], ...] = (
    (
        "label-smoothing",
        "label_smoothing:LabelSmoothing",
        "a share of the target spread over all classes (Szegedy et al. 2016)",
    ),
    (
        "adversarial",
        "adversarial:Adversarial",
        "examples made against the model: FGSM, PGD (Goodfellow et al. 2015, Madry et al. 2018)",
    ),
    ("class-weights", "class_weights:ClassWeights", "what a sample of a rare class counts in the loss"),
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
    (
        "gradual-unfreeze",
        "gradual_unfreeze:GradualUnfreeze",
        "the head first, then one block after the other (Howard and Ruder 2018)",
    ),
    ("head-lr", "head_lr:HeadLr", "a learning rate of its own for the head"),
    (
        "layer-wise-lr",
        "layer_wise_lr:LayerWiseLr",
        "learning rates that fall from head to stem (Howard and Ruder 2018)",
    ),
    ("layer-wise-decay", "layer_wise_decay:LayerWiseDecay", "weight decay that falls from head to stem"),
    ("no-bias-decay", "no_bias_decay:NoBiasDecay", "no weight decay on biases and norms (He et al. 2019)"),
    (
        "batch-size-finder",
        "batch_size_finder:BatchSizeFinder",
        "the batch in as few parts as the device's memory allows",
    ),
    (
        "progressive-resizing",
        "progressive_resizing:ProgressiveResizing",
        "images that grow while training goes on (Howard 2018)",
    ),
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
    (
        "knowledge-distillation",
        "knowledge_distillation:KnowledgeDistillation",
        "a student learns from a teacher's softened outputs (Hinton et al. 2015)",
    ),
    ("sum-loss", "sum_loss:SumLoss", "the loss summed over the batch, for gradients in half precision"),
    (
        "test-time-augmentation",
        "test_time_augmentation:TestTimeAugmentation",
        "logits averaged over mirrored and moved views (Krizhevsky et al. 2012)",
    ),
)
