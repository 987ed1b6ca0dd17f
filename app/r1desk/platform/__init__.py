"""Adapters to Qt's and Python's runtime: threads, garbage collection, clipboard."""
