"""Which models there are: the known ones, as data, and the ones on this machine."""
