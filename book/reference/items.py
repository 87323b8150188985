"""What stands here for every figure and table of the paper, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from equinb.apps import EXPERIMENTS, load_experiment
from equinb.lab.command import command_of
from equinb.lab.results import RESULTS

REPRODUCED = "reproduced"
DEVICE = "reproduced on another device"
OTHER = "made again with other models"
MISSING = "content not available"
#: Why the paper's own models were not run, where they were not.
DOWNLOADS = "its weights and data are downloads that were not made here"


@dataclass(frozen=True)
class Item:
    """A figure or table of the paper, and what stands for it here.

    Attributes:
        name: as the paper calls it, "Figure 5a".
        shows: what it shows, in a few words.
        state: `REPRODUCED`, `DEVICE`, `OTHER` or `MISSING`.
        page: the notebook that has it.
        figure: the name of the figure there, "" if it is a table or text.
        results: the stored rows that it is made from; none if it is computed live.
    """

    name: str
    shows: str
    state: str
    page: str = ""
    figure: str = ""
    results: tuple[str, ...] = ()


DQN = "12_three_environments"
TABLES = "22_scan_tables"
FEW_SHOT = "24_finetuning_on_scan"
SIGNS = "31_clip_on_turned_images"
PHOTOGRAPHS = "33_clip_on_photographs"
CLIP = "34_finetuning_clip"
CNN = "42_verdict_on_cifar10"
COSTS = "74_what_it_costs"
REGARD = "52_regard_of_texts"
ZERO_SHOT = ("clip-small",)
TUNED = ("clip-finetuning-small",)

ITEMS = (
    Item(
        "Figure 1",
        "How λ-equitune is put on a CLIP. Here the four views are real tensors.",
        *(OTHER, SIGNS, "fig-clip-views"),
    ),
    Item(
        "Figure 2",
        "Deep Q-learning in Gridworld, CartPole and Acrobot, zero-shot.",
        *(REPRODUCED, DQN, "fig-2", ("dqn-small", "dqn-paper")),
    ),
    Item(
        "Figure 3",
        "Regard of generated texts, respect task, five ways to decode.",
        *(OTHER, REGARD, "fig-regard-respect", ("text-small",)),
    ),
    Item(
        "Figure 4",
        "CLIP on turned and flipped photographs (ImageNet-V2), zero-shot.",
        *(OTHER, PHOTOGRAPHS, "fig-clip-four-models", ZERO_SHOT),
    ),
    Item(
        "Figure 5a",
        "CLIP finetuned on turned images (CIFAR100), ResNets.",
        *(OTHER, CLIP, "fig-clip-finetuning", TUNED),
    ),
    Item(
        "Figure 5b",
        "A ResNet probed on turned images (CIFAR10).",
        *(OTHER, CNN, "fig-cnn-probe", ("cnn-small",)),
    ),
    Item("Figure 6", "It stands in an appendix that could not be had.", MISSING),
    Item(
        "Figure 7",
        "What turns and flips cost CLIP on CIFAR100.",
        *(OTHER, SIGNS, "fig-clip-zero-shot", ZERO_SHOT),
    ),
    Item(
        "Figure 8",
        "CLIP on turned and flipped images of CIFAR100, zero-shot.",
        *(OTHER, PHOTOGRAPHS, "fig-clip-four-models", ZERO_SHOT),
    ),
    Item(
        "Figure 9",
        "Regard of generated texts: more comparisons. Here the occupation task.",
        *(OTHER, REGARD, "fig-regard-occupation", ("text-small",)),
    ),
    Item(
        "Figure 10",
        "Finetuning on SCAN for few steps.",
        *(REPRODUCED, FEW_SHOT, "fig-scan-few-shot", ("scan-finetuning-paper",)),
    ),
    Item(
        "Figure 11a",
        "CLIP finetuned on turned images (CIFAR100), vision transformers.",
        *(OTHER, CLIP, "fig-clip-finetuning", TUNED),
    ),
    Item(
        "Figure 11b",
        "An AlexNet probed on turned images (CIFAR10).",
        *(OTHER, CNN, "fig-cnn-probe", ("cnn-small",)),
    ),
    Item(
        "Table 1",
        "Time and memory of the three methods.",
        *(DEVICE, COSTS, "fig-costs-ways", ("costs-paper", "costs-small-2a4a7b")),
    ),
    Item(
        "Table 2",
        "LSTMs on SCAN, zero-shot.",
        *(REPRODUCED, TABLES, "fig-scan-choices", ("scan-paper", "scan-small")),
    ),
    Item(
        "Table 3",
        "Sample texts. Here not picked: the first of each beginning.",
        *(OTHER, REGARD, "", ("text-small",)),
    ),
    Item("Table 4", "It stands in an appendix that could not be had.", MISSING),
    *(
        Item(
            f"Table {n}",
            "Sample texts, as in Table 3.",
            *(OTHER, REGARD, "", ("text-small",)),
        )
        for n in (5, 6, 7)
    ),
    *(
        Item(
            f"Table {n}",
            f"{kind} on SCAN, zero-shot.",
            *(REPRODUCED, TABLES, "", ("scan-paper",)),
        )
        for n, kind in ((8, "GRUs"), (9, "RNNs"))
    ),
    *(
        Item(
            f"Table {n}",
            "Finetuning on SCAN for 10,000 steps, one kind of network a table.",
            *(REPRODUCED, FEW_SHOT, "fig-scan-few-shot", ("scan-finetuning-paper",)),
        )
        for n in (10, 11, 12)
    ),
)


def key(name: str) -> str:
    """An item as the paper's values name it: "fig5" for "Figure 5"."""
    return name.lower().replace("figure ", "fig").replace("table ", "table")


def item_of(known: str) -> Item:
    """The item that a set of the paper's values belongs to: "fig4b" is of Figure 4."""
    for name in (known, re.split(r"-|(?<=\d)[a-z]$", known)[0]):
        for item in ITEMS:
            if key(item.name) == name:
                return item
    raise ValueError(f"{known} belongs to no item of the gallery.")


def not_run(item: Item) -> Iterator[str]:
    """The commands of the paper's own settings of an item that have no rows here."""
    for result in item.results:
        name = max((e for e in EXPERIMENTS if result.startswith(f"{e}-")), key=len)
        experiment = load_experiment(name)
        stored = (RESULTS / f"{name}-paper.csv").exists()
        if "paper" in experiment.presets and not stored:
            config = experiment.config("paper")
            yield command_of(experiment, "paper", [0, 1, 2], config, "cuda")
