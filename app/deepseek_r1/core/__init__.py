"""Values and words every layer shares: settings, events, messages, errors, paths, log."""

VERSION = "0.1.0"
