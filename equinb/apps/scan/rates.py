"""The experiment `scan-rates`: how much the learning rate of finetuning matters.

    equinb run scan-rates --preset quick             # one LSTM, 100 steps
    equinb run scan-rates --preset small --seeds 0-2 # LSTMs, 1,600 steps

The paper's own rates are in `scan-finetuning`. Five times them is, on add jump, the
default of the published code; twice is what two updates a step come to.
"""

from __future__ import annotations

from equinb.apps.scan.few_shot import FewShotOptions, jobs, reads, work
from equinb.lab import Experiment

EXPERIMENT = Experiment(
    name="scan-rates",
    title="Finetuning on SCAN at other learning rates than the paper's",
    presets={
        "quick": FewShotOptions(
            ("LSTM",),
            ("around_right",),
            ("equitune",),
            rates=(2.0, 5.0),
            steps=100,
            whole=False,
        ),
        "small": FewShotOptions(
            ("LSTM",),
            methods=("equitune", "equizero"),
            rates=(2.0, 5.0),
            steps=1600,
            whole=False,
        ),
    },
    jobs=jobs,
    work=work,
    keys=("task", "cell", "method", "rate", "steps", "set", "rule"),
    value="accuracy",
    reads=reads,
)
