"""The version of the library and of the application."""

VERSION = "0.1.0"
