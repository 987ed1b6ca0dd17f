"""The box in which a message is written, and the row below it."""
