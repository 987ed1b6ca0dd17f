"""Several models answer one question, side by side."""
