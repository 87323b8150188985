"""The first page: the idea moving, and the results at a glance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from equinb.apps.beside import Rows, select
from equinb.lab import load_result, mean_interval
from reference.pages import cells, link, runtime, table

#: The tag of the cell whose slider stands on the first page.
TAG = "landing"
#: What the table compares, in this order.
LAMBDA = "$\\lambda$-equitune"
COLUMNS = ("plain", "equitune", "equizero", LAMBDA, "upright")


def landing(notebooks: Path) -> str:
    """The slider of the cell with that tag, as it was executed.

    Raises:
        ValueError: if there is not exactly one.
    """
    found = []
    for path in sorted(notebooks.glob("*.ipynb")):
        for cell in cells(path):
            if TAG in cell["metadata"].get("tags", []):
                shown = [o.get("data", {}) for o in cell.get("outputs", [])]
                found += [data["text/html"] for data in shown if "text/html" in data]
    if len(found) != 1:
        raise ValueError(
            f"One cell tagged {TAG!r} with one output is needed; {len(found)} found."
        )
    return f"```{{raw}} html\n{''.join(found[0])}\n```\n"


@dataclass(frozen=True)
class Line:
    """A row of the table of results.

    Attributes:
        task: what is asked of which model, in a few words.
        page: the notebook that tells all of it.
        result: the name of the stored rows.
        where: columns with the value that rows of this line have.
        of: for each of `COLUMNS`, columns with the value of that method's rows, or
            None where there is no such method.
        value: the column of the measure.
        scale: what it is multiplied by.
    """

    task: str
    page: str
    result: str
    where: Mapping[str, object]
    of: tuple[Mapping[str, object] | None, ...]
    value: str
    scale: float = 100

    @property
    def labels(self) -> int:
        """How many labels lambda has learned from: of its rows, or of all of them."""
        how = dict(self.of[COLUMNS.index(LAMBDA)] or {})
        known = load_result(self.result).provenance.config | how
        found: int = next(known[key] for key in ("images", "labels") if key in known)
        return found

    def cells(self) -> list[str]:
        """The mean over seeds of each method, and the half-width of its interval.

        Raises:
            ValueError: if a seed has several rows: a column was forgotten.
        """
        return ["" if how is None else told(self.seeds(how)) for how in self.of]

    def seeds(self, how: Mapping[str, object]) -> list[float]:
        """The value of each seed of one method."""
        found = select(self.result, Rows(self.value, {**self.where, **how}))
        if found["seed"].duplicated().any():
            raise ValueError(f"{self.result}, {how}: one row a seed is needed.")
        return (self.scale * found[self.value]).to_list()


def told(values: list[float]) -> str:
    """A mean with its 95 % interval, where seeds differ.

    Example:
        >>> told([1.0, 2.0, 3.0]), told([2.0, 2.0]), told([0.5])
        ('2.0 ± 2.5', '2.0', '0.5')
    """
    mean = sum(values) / len(values)
    if len(values) < 2 or max(values) - min(values) < 1e-9:
        return f"{mean:.1f}"
    return f"{mean:.1f} ± {mean_interval(values).high - mean:.1f}"


def by(name: str, *values: str) -> tuple[Mapping[str, object], ...]:
    """Rows that differ in one column, one value a method."""
    return tuple({name: value} for value in values)


LINES = (
    Line(
        "printed signs, turned at random, CLIP zero-shot",
        "31_clip_on_turned_images",
        "clip-importance-small",
        {"model": "glyph-resnet"},
        (
            *by("method", "pretrained", "equitune", "equizero"),
            {
                "method": "lambda-equitune",
                "images": 4000,
                "network": "d-100-100-1",
            },
            {"method": "pretrained, upright"},
        ),
        "top1",
    ),
    Line(
        "CIFAR10, turned at random, a public ResNet-20",
        "42_verdict_on_cifar10",
        "cnn-public-small",
        {"model": "resnet20", "setting": "head", "set": "test"},
        (
            {"rule": "pretrained"},
            {"rule": "equitune", "cut": "logits"},
            {"rule": "equizero", "cut": "logits"},
            {"rule": "lambda-equitune", "images": 7000, "cut": "logits"},
            {"rule": "pretrained, upright"},
        ),
        "top1",
    ),
    Line(
        "SCAN, jump in new sentences, an LSTM",
        "23_learned_weights_for_sentences",
        "scan-importance-paper",
        {"task": "add_jump", "cell": "LSTM", "set": "test"},
        (
            *by("rule", "pretrained", "equitune", "equizero"),
            {"rule": "lambda-equitune", "labels": 1024},
            None,
        ),
        "accuracy",
    ),
    Line(
        "solids in any pose, a PointNet, 16 poses a frame",
        "62_clouds_of_points",
        "clouds-small",
        {"task": "solids", "setting": "frozen", "spoil": "clean", "quarter": "all"},
        (
            {"method": "plain"},
            {"method": "canonical", "k": 16},
            {"method": "canonical-equizero", "k": 16},
            {
                "method": "canonical-lambda",
                "k": 16,
                "frame": "pca",
                "offsets": "fixed",
            },
            {"method": "plain, upright"},
        ),
        "score",
    ),
)


def glance() -> str:
    """The table of results, as MyST text."""
    rows = [
        [link(line.page, line.task), *line.cells(), f"{line.labels:,}"]
        for line in LINES
    ]
    numbers = [*COLUMNS, "labels for $\\lambda$"]
    return table(["accuracy in %", *numbers], rows, numbers)


#: Words of prose and lines of code that are read in a minute.
WORDS, CODE = 200, 20
PATHS = {
    "the idea in one page": ("02_one_operator",),
    "the theory, with proofs": (
        "01_groups_and_actions",
        "02_one_operator",
        "03_equivariance",
        "04_universality",
        "05_learning_through_an_argmin",
    ),
    "images: a CLIP": ("31_clip_on_turned_images", "32_weights_for_views"),
    "more on CLIP: photographs, finetuning": (
        "33_clip_on_photographs",
        "34_finetuning_clip",
    ),
    "images: pretrained CNNs": ("41_probes_and_choices", "42_verdict_on_cifar10"),
    "language: new sentences": ("21_compositional_generalisation", "22_scan_tables"),
    "more on sentences: learned weights, finetuning": (
        "23_learned_weights_for_sentences",
        "24_finetuning_on_scan",
    ),
    "language: fairness": ("51_fair_text", "52_regard_of_texts"),
    "agents": ("11_deep_q_learning", "12_three_environments"),
    "groups that are not finite": ("61_canonical_poses", "62_clouds_of_points"),
    "what it costs, and how to pay less": ("73_fewer_passes", "74_what_it_costs"),
    "your own model": ("72_which_symmetry", "71_your_own_model"),
    "what the claims are worth": ("75_as_defined_as_published",),
}


def path(notebooks: Path, chapters: Collection[str]) -> str:
    """The table of aims, the pages that lead there, and the minutes they take.

    Raises:
        ValueError: if a chapter is on no path.
    """
    off = set(chapters).difference(*PATHS.values())
    if off:
        raise ValueError(f"On no path through the book: {', '.join(sorted(off))}.")
    rows = []
    for aim, names in PATHS.items():
        links = ", ".join(map(link, names))
        time = sum(minutes(notebooks / f"{name}.ipynb") for name in names)
        rows.append([aim, links, f"{time:.0f} min"])
    return table(["You want", "Read", "In all"], rows, ["In all"])


def time_to_read(notebooks: Path) -> str:
    """How long the page of the operator takes."""
    return f"About {minutes(notebooks / '02_one_operator.ipynb'):.0f} minutes."


def time_to_run(notebooks: Path) -> str:
    """How long the first page on CLIP ran."""
    took = runtime(cells(notebooks / "31_clip_on_turned_images.ipynb"))
    return f"Ran in {took:.0f} seconds here, on a CPU, when installed."


def time_to_use(notebooks: Path) -> str:
    """How long the page on one's own model takes, and how long all pages ran."""
    read = minutes(notebooks / "71_your_own_model.ipynb")
    ran = sum(runtime(cells(one)) for one in notebooks.glob("*.ipynb"))
    return (
        f"About {read:.0f} minutes to read. All pages together ran for "
        f"{ran / 60:.0f} minutes."
    )


def minutes(notebook: Path) -> float:
    """An estimate of the time that a page takes to read, its hidden cells left out."""
    total = 0.0
    for cell in cells(notebook):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            total += len(text.split()) / WORDS
        elif "hide-cell" not in cell["metadata"].get("tags", []):
            total += text.count("\n") / CODE
    return total
