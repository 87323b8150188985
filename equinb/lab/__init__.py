"""The lab: runs that survive, results and weights that know where they come from.

It knows no chapter's mathematics. No file is ever unpickled.
"""

from equinb.lab.data import data_file, data_folder
from equinb.lab.experiment import Experiment, Job, Made, Report
from equinb.lab.paper import paper_values
from equinb.lab.provenance import Provenance
from equinb.lab.results import (
    Interval,
    StoredResult,
    intervals,
    load_result,
    mean_interval,
    paired_gains,
    save_result,
)
from equinb.lab.runner import is_first_process, pick_device, run, ship
from equinb.lab.verify import Finding, verify
from equinb.lab.weights import load_weights, save_weights

__all__ = [
    "Experiment",
    "Finding",
    "Interval",
    "Job",
    "Made",
    "Provenance",
    "Report",
    "StoredResult",
    "data_file",
    "data_folder",
    "intervals",
    "is_first_process",
    "load_result",
    "load_weights",
    "mean_interval",
    "paired_gains",
    "paper_values",
    "pick_device",
    "run",
    "save_result",
    "save_weights",
    "ship",
    "verify",
]
