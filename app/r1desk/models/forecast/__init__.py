"""Says how a model file would run on this computer: one answer for every place that shows it."""
