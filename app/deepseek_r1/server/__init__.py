"""The OpenAI-compatible HTTP server over the engine's process. Needs the extra `serve`."""
