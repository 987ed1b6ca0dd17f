"""Small windows and strips: notices, trash, links, shortcuts, about."""
