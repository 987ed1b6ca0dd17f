"""Budgets of tests that compute in pytest's own process."""

# The budget counts the whole process, and pytest's may have grown to a gigabyte before. That a
# small budget is kept is tested where a process of its own converts.
ROOMY_MIB = 4096
