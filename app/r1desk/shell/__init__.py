"""The application: start, session, main window, preferences."""
