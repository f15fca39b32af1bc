"""A third party's plugins, found by their entry point."""

from harness.contract import RegistryView, hookimpl


@hookimpl
def harness_register(registry: RegistryView) -> None:
    """Offer a trick and a dataset."""
    registry.add(
        "trick",
        "gradient-sign",
        "toy_tricks.gradient_sign:GradientSign",
        summary="keep the sign of each gradient",
    )
    registry.add(
        "dataset", "stripes", "toy_tricks.stripes:Stripes", summary="horizontal against vertical stripes"
    )
