"""Measures the perplexity and KL divergence of a converted model against its source."""
