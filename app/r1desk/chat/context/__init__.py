"""The conversation beside the context of the model: sizes, costs, ways to go on."""
