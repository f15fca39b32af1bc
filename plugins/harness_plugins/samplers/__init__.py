"""First-party samplers: name, target within this folder, summary, and libraries that may be imported ahead."""

COMPONENTS: tuple[tuple[str, str, str, *tuple[str, ...]], ...] = (
    ("shuffle", "shuffle:Shuffle", "every sample once an epoch, in random order"),
    ("balanced", "balanced:Balanced", "every class as often as every other"),
)
