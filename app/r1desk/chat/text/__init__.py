"""Drawing Markdown and plain text, and the small widgets of messages and composer."""
