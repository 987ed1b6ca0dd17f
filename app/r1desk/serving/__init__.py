"""Serving the loaded model to other programs of this computer."""
