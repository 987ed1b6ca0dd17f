"""What tests share: files to open, folders to open them in."""
