"""Memory: what a model will cost (`plan`), and what is used now (`meter`)."""
