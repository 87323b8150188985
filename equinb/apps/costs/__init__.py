"""What symmetry costs: times of methods in turn, and the memory of one call."""
