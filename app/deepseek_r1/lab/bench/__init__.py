"""What `deepseek-r1 bench` runs: one run of the engine, and the load of a server."""
