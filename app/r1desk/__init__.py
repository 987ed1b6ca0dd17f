"""The desktop application: conversations with a model in the engine host, over Qt."""
