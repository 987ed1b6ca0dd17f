"""The catalogue of known models, the models on this computer, and downloads of the former."""
