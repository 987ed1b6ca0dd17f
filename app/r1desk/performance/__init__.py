"""Memory, processor and speed: what is measured, shown and adjusted."""
