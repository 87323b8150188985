"""`python -m equinb`: the command line, for `accelerate launch -m equinb run ...`."""

from equinb.cli import main

main()
