"""The engine in a process of its own: what is said over the pipe, and who watches whom."""
