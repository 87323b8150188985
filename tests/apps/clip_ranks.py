"""What each of several processes does that share a CLIP, and one process by itself.

    accelerate launch --multi_gpu --num_processes 2 clip_ranks.py FOLDER run ...

Finetunes a CLIP for a few steps and encodes images, whose number is no multiple of the
batch; the process of each rank writes what it has in the end into FOLDER. Then each
runs the command `equinb` with the words that follow.
"""

import sys
from pathlib import Path

import torch

from equinb import cli
from equinb.apps import clip
from equinb.apps.views.orbits import accelerator_for
from equinb.equitune import Uniform

#: Images to read, images a batch: one batch is not full, and shorter than its half.
IMAGES, BATCH = 19, 8
TUNING = clip.Tuning(steps=3, batch=8, warm=1)


def everything():
    """The weights after finetuning, features before and after, and labels."""
    model = clip.load_clip("glyph-resnet")
    pictures = clip.Pictures(*clip.sample(100, 0), model.preprocess)
    head = clip.Similarity(
        model.classifier(clip.GLYPH_NAMES, clip.GLYPH_TEMPLATES), model.scale
    )
    act = clip.action("rot90")

    def encoded():
        reading = clip.Reading(batch=BATCH)
        return clip.encode_orbits(model, pictures, act, range(IMAGES), reading)

    before, seen = encoded(), []

    def visit(step):
        seen.append(encoded().features)

    clip.finetune(model, pictures, head, act, Uniform(), TUNING, 0, visit)
    return {
        "labels": before.labels,
        "before": before.features,
        "seen": torch.stack(seen),
        "processes": accelerator_for("cpu").num_processes,
        "tower": model.model.visual.state_dict(),
        "text": model.model.token_embedding.weight,
    }


def main():
    torch.set_num_threads(1)
    made = everything()
    rank = accelerator_for("cpu").process_index
    torch.save(made, Path(sys.argv[1], f"{rank}.pt"))
    cli.main(sys.argv[2:])


if __name__ == "__main__":
    main()
