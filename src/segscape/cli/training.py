"""``segscape train`` and ``segscape repeat``."""

from __future__ import annotations

from pathlib import Path

from segscape.cli.common import Json, Overrides, Quiet, Switch, needs_train_extra, print_json, say
from segscape.errors import ConfigError
from segscape.progress import Progress


def train(
    recipe: Path,
    /,
    *,
    out: Path | None = None,
    set_: Overrides = (),
    resume: Switch = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a network as a recipe says. Ctrl-C leaves a run that --resume goes on with.

    Example: segscape train recipes/custom.toml --set data.path=my/folder --out runs/mine

    Parameters
    ----------
    recipe
        TOML file; recipes/custom.toml is a start, docs/recipes.md lists the keys.
    out
        Run folder; runs/NAME if not given.
    set_
        key=value: change a key of the recipe. May be given many times.
    resume
        Go on with the run in that folder.
    """
    needs_train_extra()
    from segscape.train.loop import train as run
    from segscape.train.recipe import read_recipe

    checked = read_recipe(recipe, set_)
    outcome = run(checked, out or Path("runs") / checked.name, resume=resume, progress=Progress(quiet=quiet))
    if json_:
        print_json(outcome)
    else:
        shown, score = ("mIoU", outcome["miou"]) if "miou" in outcome else ("mask AP", outcome["map_mask_all"])
        say(f"best val {shown} {100 * score:.2f} % at step {outcome['best_step']}: {outcome['best']}")
    return 0


def repeat(
    recipe: Path,
    /,
    *,
    folds: int | None = None,
    seeds: int | None = None,
    split: str = "val",
    border: str | None = None,
    out: Path | None = None,
    set_: Overrides = (),
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a recipe several times, over folds or seeds, and give mean and deviation. Run again to go on.

    Example: segscape repeat recipes/membrane.toml --folds 5 --border membrane

    Parameters
    ----------
    recipe
        TOML file.
    folds
        Cross-validation: each of so many parts of the training split is left out once, and measured on.
    seeds
        So many random seeds, measured on --split.
    split
        With --seeds.
    border
        Class that parts cells; see `segscape evaluate`.
    out
        Folder of the runs; runs/NAME-folds or runs/NAME-seeds if not given.
    set_
        key=value: change a key of the recipe. May be given many times.
    """
    needs_train_extra()
    if (folds is None) == (seeds is None):
        raise ConfigError("give either --folds or --seeds")
    from segscape.train.recipe import read_recipe
    from segscape.train.repeat import fold_recipes, seed_recipes
    from segscape.train.repeat import repeat as run

    checked = read_recipe(recipe, set_)
    runs = fold_recipes(checked, folds) if folds is not None else seed_recipes(checked, seeds or 0, split)
    folder = out or Path("runs") / f"{checked.name}-{'seeds' if folds is None else 'folds'}"
    outcome = run(runs, folder, border=border, progress=Progress(quiet=quiet))
    if json_:
        print_json(outcome)
        return 0
    for key, score in outcome["summary"].items():
        values = ", ".join(f"{value:.4f}" for value in score["values"])
        say(f"{key}: {score['mean']:.4f} ± {score['sd']:.4f} ({values})")
    say(f"  {folder / 'repeat.json'}")
    return 0
