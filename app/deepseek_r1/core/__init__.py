"""Values and words every layer shares: settings, events, messages, errors, paths, log."""
