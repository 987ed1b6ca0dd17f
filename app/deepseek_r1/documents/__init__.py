"""Documents that a model is asked about: reading, search, prompts and citations."""
