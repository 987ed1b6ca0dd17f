"""The conversation on the screen and its answers: storing, scheduling, generating."""
