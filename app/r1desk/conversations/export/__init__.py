"""Conversations as documents that other programs show: HTML and PDF."""
