"""Starts the process that renders chat templates, for a bundle of the window."""

from __future__ import annotations

from deepseek_r1.engine import template_renderer


def main() -> None:
    """Serve the process that started this one; see `engine.template_renderer`."""
    template_renderer.main()
