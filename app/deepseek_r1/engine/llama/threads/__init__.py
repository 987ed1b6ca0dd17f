"""Chooses the number of threads that compute, and changes it while they do."""
