"""Reading a prompt."""
