"""Caches the experts of a mixture-of-experts model."""
