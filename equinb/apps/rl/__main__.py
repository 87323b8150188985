"""The command line of the chapter: see `equinb.apps.rl`."""

import argparse
from collections.abc import Sequence

import torch

from equinb.apps.rl.agents import SEEDS, make_result
from equinb.apps.rl.rollouts import CARTPOLE


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: see the top of this file."""
    parser = argparse.ArgumentParser(prog="python -m equinb.apps.rl")
    parser.add_argument("--seeds", type=int, nargs="+", choices=SEEDS, default=[])
    parser.add_argument("--evaluate", action="store_true")
    options = parser.parse_args(arguments)
    # One thread: the rows do not depend on how a machine splits a sum.
    torch.set_num_threads(1)
    for seed in options.seeds:
        from equinb.apps.rl.sb3 import ship

        ship(CARTPOLE, seed)
    if options.evaluate:
        make_result()
    if not options.seeds and not options.evaluate:
        parser.print_help()


if __name__ == "__main__":
    main()
