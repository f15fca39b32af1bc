"""`harness preview`: pictures and a meter of what each arm's augmentations do to the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.board.previews import FEATURES, FILE, FOLDER, SCHEMA, grouped, inputs_of, read_preview, sealed
from harness.cli.output import complain, say
from harness.cli.running import Ready, Settings, make_ready
from harness.cli.tuning import outlook, preview_words
from harness.errors import HarnessError, PluginError
from harness.record.files import make_folder, write_over
from harness.record.store import Store
from harness.registry.digests import digest_bytes
from harness.suite.plan import Job

if TYPE_CHECKING:
    from harness.suite.plan import Arm

Json = dict[str, Any]

_ARM_FAILED = 1


class NothingToPreview(HarnessError):
    """A suite without augmentations."""

    exit_code = 3


def preview_suite(path: Path, results: Path, data: Path | None, arms: str | None, samples: int) -> int:
    """Write what each arm's augmentations do into `<results>/<suite>/preview`; return 1 where an arm failed.

    Raises:
        NothingToPreview: Where no arm has an augmentation.
    """
    ready = make_ready(path, Settings(results, data, arms, None, 0, "cpu", False, 0.0))
    # What was tuned is seen as it runs: at the setting that won, once there is one.
    ready, tuning = outlook(ready, Store(results / ready.suite.name))
    augmented = [arm for arm in ready.plan.arms if arm.recipe["augmentations"]]
    if not augmented:
        looked = ", ".join(arm.name for arm in ready.plan.arms)
        raise NothingToPreview(
            f"{path}: there is nothing to preview: no arm has an augmentation (key: augmentations; arms: {looked})"
        )
    folder = results / ready.suite.name / FOLDER
    make_folder(folder)
    made = _previews(ready, data, augmented, samples, folder)
    preview = {
        "schema": SCHEMA,
        "suite": ready.plan.suite,
        "plan": ready.plan.hash,
        "samples": samples,
        "features": list(FEATURES),
        "arms": made,
    }
    _remove_older(folder, made)
    _write_page(folder, preview)
    write_over(folder / FILE, sealed(preview))
    _tell(made)
    if tuning is not None:
        say(preview_words(tuning))
    say(f"\n{folder / 'index.html'}")
    return _ARM_FAILED if any(told["error"] is not None for told in made) else 0


def _previews(ready: Ready, data: Path | None, arms: list[Arm], samples: int, folder: Path) -> list[Json]:
    """Return the preview of each arm, having drawn its picture; what is the same is made once."""
    plan = ready.plan.to_json()
    known: dict[str, tuple[Json, bytes, str]] = {}
    made = []
    for arm in arms:
        inputs = inputs_of(plan, arm.to_json())
        heading = {"arm": arm.name, "inputs": inputs}
        try:
            if inputs not in known:
                complain(f"{arm.name}: {', '.join(normal['name'] for normal in arm.recipe['augmentations'])}")
                told, picture, small = _preview(_job(ready, arm, data), samples)
                write_over(folder / f"{arm.name}.webp", small)
                known[inputs] = told, picture, f"{arm.name}.webp"
        except PluginError as error:
            made.append({**heading, **_FAILED, "error": str(error)})
            complain(f"{arm.name}: {error}")
            continue
        told, picture, page_picture = known[inputs]
        write_over(folder / f"{arm.name}.png", picture)
        made.append({**heading, "picture": f"{arm.name}.png", "small": page_picture, **told})
    return made


_FAILED: Mapping[str, Any] = {
    "picture": None,
    "small": None,
    "digest": None,
    "measured": None,
    "rows": [],
}


def _preview(job: Job, samples: int) -> tuple[Json, bytes, bytes]:
    from harness.engine.preview import preview_arm
    from harness.engine.preview_picture import draw_picture

    preview = preview_arm(job, samples=samples)
    picture, small = draw_picture(preview, samples)
    measured = {"images": len(preview.labels), "classes": len(set(preview.labels.tolist()))}
    told = {"digest": digest_bytes(small), "measured": measured, "rows": preview.rows(), "error": None}
    return told, picture, small


def _job(ready: Ready, arm: Arm, data: Path | None) -> Job:
    name = arm.data or ""
    return Job(
        trial="preview",
        arm=arm.name,
        replicate=0,
        attempt=0,
        seed=ready.plan.seed,
        salt="",
        recipe=arm.recipe,
        manifest=ready.plan.manifests[name],
        data=str(ready.data[name].resolve()),
        plugins=tuple(str(file) for file in ready.suite.plugins.values()),
        device="cpu",
        folder="",
        checkpoint_seconds=0.0,
        data_root=None if data is None else str(data.resolve()),
        loader=ready.plan.loader,
    )


def _remove_older(folder: Path, made: list[Json]) -> None:
    """Remove the pictures that the preview before this one drew, and this one did not."""
    older = read_preview(folder.parent)
    if older is None or "problem" in older:
        return
    kept = {told[key] for told in made for key in ("picture", "small")}
    for told in older["arms"]:
        for key in ("picture", "small"):
            if told[key] is not None and told[key] not in kept:
                (folder / told[key]).unlink(missing_ok=True)


def _write_page(folder: Path, preview: Json) -> None:
    from harness.board.html_preview import preview_page

    pictures = {
        told["digest"]: (folder / told["small"]).read_bytes() for told in preview["arms"] if told["digest"]
    }
    write_over(folder / "index.html", preview_page(preview, pictures).encode())


def _tell(made: list[Json]) -> None:
    """Print how far each augmentation moves the data, in levels of 0 to 255, mean over the classes."""
    good = [told for told in made if told["error"] is None]
    for names, told in grouped(good):
        say(f"{', '.join(names)}: distances in levels of 0 to 255, mean over the classes")
        if not told["rows"]:
            say("  nothing: each augmentation is set to leave samples as they are")
            continue
        width = max(len(_label(row)) for row in told["rows"])
        for row in told["rows"]:
            parts = [
                f"{name} {moved['mean']:.1f}"
                for name in FEATURES
                if (moved := row["distances"][name]) is not None
            ]
            say(f"  {_label(row):<{width}}  {', '.join(parts)}")


def _label(row: Mapping[str, Any]) -> str:
    return str(row["label"]) + ("" if row["progress"] is None else f" at {100 * row['progress']:.0f} %")
