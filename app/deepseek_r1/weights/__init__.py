"""Which weights are in memory, and how the others come from the disk in time."""
