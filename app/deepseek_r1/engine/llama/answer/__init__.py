"""Writing an answer."""
