"""Classification of images by CLIP (sections 4.2 and 5.2.1 of the paper).

    equinb run clip --preset quick --seeds 0-2    # see equinb.apps.clip.experiment
    equinb run clip-importance --preset quick     # see equinb.apps.clip.labels
    equinb run clip-finetuning --preset quick     # see equinb.apps.clip.few_shot

Images are tensors as a CLIP's preprocessing leaves them, `(N, 3, side, side)`.
"""

from equinb.apps.clip.data import DATA, DataSet, Pictures, load_data, part
from equinb.apps.clip.finetuning import Tuning, finetune
from equinb.apps.clip.glyphs import (
    GLYPH_NAMES,
    GLYPH_TEMPLATES,
    GLYPHS,
    draw,
    sample,
)
from equinb.apps.clip.model import Clip, Similarity, Tokenizer, preprocessing
from equinb.apps.clip.pretrained import PAPER, SHIPPED, load_clip
from equinb.apps.clip.published import (
    PublishedImportance,
    learn_published,
    published_equitune,
    published_equizero,
    published_lambda,
)
from equinb.apps.clip.zero_shot import zero_shot
from equinb.apps.views.answers import CUTS, PRETRAINED, UPRIGHT, answer, weigh
from equinb.apps.views.importance import (
    LAMBDA,
    Importance,
    Shuffled,
    by_labels,
    by_teacher,
    by_upright,
    learn_importance,
)
from equinb.apps.views.orbits import (
    GENERATORS,
    SQUARE,
    Orbits,
    Reading,
    action,
    encode_orbits,
    subgroup,
)

__all__ = [
    "CUTS",
    "DATA",
    "GENERATORS",
    "GLYPHS",
    "GLYPH_NAMES",
    "GLYPH_TEMPLATES",
    "LAMBDA",
    "PAPER",
    "PRETRAINED",
    "SHIPPED",
    "SQUARE",
    "UPRIGHT",
    "Clip",
    "DataSet",
    "Importance",
    "Orbits",
    "Pictures",
    "PublishedImportance",
    "Reading",
    "Shuffled",
    "Similarity",
    "Tokenizer",
    "Tuning",
    "action",
    "answer",
    "by_labels",
    "by_teacher",
    "by_upright",
    "draw",
    "encode_orbits",
    "finetune",
    "learn_importance",
    "learn_published",
    "load_clip",
    "load_data",
    "part",
    "preprocessing",
    "published_equitune",
    "published_equizero",
    "published_lambda",
    "sample",
    "subgroup",
    "weigh",
    "zero_shot",
]
