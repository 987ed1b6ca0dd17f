"""Runs the engine in a child process: the protocol, the process, its supervisor, the client."""
