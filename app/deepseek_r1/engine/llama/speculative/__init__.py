"""Drafted tokens and their verification in one pass over the weights."""
