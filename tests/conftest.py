"""One thread and the same examples in every run, so that a failure can be repeated."""

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("equinb", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("equinb")
