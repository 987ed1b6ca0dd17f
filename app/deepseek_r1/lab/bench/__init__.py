"""The measurements of `deepseek-r1 bench`: one run of the engine, and the load of a server."""
