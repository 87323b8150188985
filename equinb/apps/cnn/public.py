"""The experiment `cnn-public`: two networks that others trained on CIFAR10.

    equinb run cnn-public --preset quick             # one network, one epoch
    equinb run cnn-public --preset small --seeds 0-2

ResNet-20 and ResNet-56 by Y. Idelbayev, read from the folder that `EQUINB_DATA` names,
with their own heads, on test images with the pixels that they were trained on.
"""

from __future__ import annotations

from equinb.apps.cnn.backbones import PUBLIC
from equinb.apps.cnn.experiment import EXPERIMENT as CNN
from equinb.apps.cnn.experiment import CnnOptions, jobs, work
from equinb.apps.cnn.probing import Probing
from equinb.lab import Experiment

TASK = ("cifar10-lossless",)
EXPERIMENT = Experiment(
    name="cnn-public",
    title="Public CIFAR10 networks, with their own heads, on turned images",
    presets={
        "quick": CnnOptions(
            PUBLIC[:1], TASK, Probing(epochs=1), images=(100,), modes=("eval",)
        ),
        "small": CnnOptions(PUBLIC, TASK, images=(100, 1000, 7000)),
    },
    jobs=jobs,
    work=work,
    keys=CNN.keys,
    value=CNN.value,
    packages=CNN.packages,
)
