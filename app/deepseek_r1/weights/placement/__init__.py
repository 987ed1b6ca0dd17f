"""Plans which weights are pinned and which are streamed."""
