"""Compositional generalisation on SCAN (sections 4.1 and 5.1.3 of the paper).

    equinb run scan --preset quick --seeds 0-2     # see equinb.apps.scan.experiment
    equinb run scan-finetuning --preset quick      # see equinb.apps.scan.few_shot

Commands and actions are ids, `(batch, words)`, padded with EOS.
"""

from equinb.apps.scan.decoding import LONGEST, Said, exact_match, say
from equinb.apps.scan.finetuning import (
    FLOOR,
    LEARNING_RATE,
    LOOKS,
    METHODS,
    Method,
    Tuning,
    finetune,
    looks_of,
)
from equinb.apps.scan.grammar import Pair, Split, all_pairs, interpret, load_split
from equinb.apps.scan.importance import (
    LAMBDA,
    Floored,
    Importance,
    learn_importance,
    likelihoods,
    weigh,
)
from equinb.apps.scan.methods import (
    BOUNDS,
    RULES,
    TIE,
    Branches,
    certainty,
    certainty_of_slots,
    equizero,
    every,
    judge,
    published_equitune,
    published_equizero,
    reachable,
    speak,
    surprise,
)
from equinb.apps.scan.model import CELLS, Seq2Seq
from equinb.apps.scan.pretrained import SEEDS, SYMMETRY, TASKS, load_model
from equinb.apps.scan.symmetrized import CUTS, SymmetrizedSeq2Seq
from equinb.apps.scan.training import (
    BATCHED,
    PUBLISHED,
    Data,
    Recipe,
    accuracy,
    fit,
    load_sets,
    pretrain,
    sentence_losses,
)
from equinb.apps.scan.words import (
    ACTIONS,
    COMMANDS,
    Symmetry,
    Vocabulary,
    cycle,
    symmetry,
    tensors,
)

__all__ = [
    "ACTIONS",
    "BATCHED",
    "BOUNDS",
    "CELLS",
    "COMMANDS",
    "CUTS",
    "FLOOR",
    "LAMBDA",
    "LEARNING_RATE",
    "LONGEST",
    "LOOKS",
    "METHODS",
    "PUBLISHED",
    "RULES",
    "SEEDS",
    "SYMMETRY",
    "TASKS",
    "TIE",
    "Branches",
    "Data",
    "Floored",
    "Importance",
    "Method",
    "Pair",
    "Recipe",
    "Said",
    "Seq2Seq",
    "Split",
    "SymmetrizedSeq2Seq",
    "Symmetry",
    "Tuning",
    "Vocabulary",
    "accuracy",
    "all_pairs",
    "certainty",
    "certainty_of_slots",
    "cycle",
    "equizero",
    "every",
    "exact_match",
    "finetune",
    "fit",
    "interpret",
    "judge",
    "learn_importance",
    "likelihoods",
    "load_model",
    "load_sets",
    "load_split",
    "looks_of",
    "pretrain",
    "published_equitune",
    "published_equizero",
    "reachable",
    "say",
    "sentence_losses",
    "speak",
    "surprise",
    "symmetry",
    "tensors",
    "weigh",
]
