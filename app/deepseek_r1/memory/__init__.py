"""Plans what a model takes in memory (`plan`) and measures what is in use (`meter`)."""
