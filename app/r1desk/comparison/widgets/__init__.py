"""The widgets of the comparison."""
