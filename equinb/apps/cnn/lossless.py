"""The experiment `cnn-lossless`: our networks of photographs on pixels without JPEG.

    equinb run cnn-lossless --preset small --seeds 0-2

Compression works on blocks of eight pixels, and not alike along both axes, so it can
tell which way is up. These rows say what is left of `cnn` without it.
"""

from __future__ import annotations

from equinb.apps.cnn.experiment import EXPERIMENT as CNN
from equinb.apps.cnn.experiment import CnnOptions, jobs, reads, work
from equinb.apps.cnn.probing import Probing
from equinb.apps.cnn.public import TASK
from equinb.lab import Experiment

MODELS = ("tiny-resnet", "tiny-alexnet")
EXPERIMENT = Experiment(
    name="cnn-lossless",
    title="Networks of photographs on turned CIFAR10 that was never compressed",
    presets={
        "quick": CnnOptions(
            MODELS[:1], TASK, Probing(epochs=1), images=(100,), modes=("eval",)
        ),
        "small": CnnOptions(MODELS, TASK, images=(1000, 7000), modes=("eval",)),
    },
    jobs=jobs,
    work=work,
    keys=CNN.keys,
    value=CNN.value,
    packages=CNN.packages,
    reads=reads,
)
