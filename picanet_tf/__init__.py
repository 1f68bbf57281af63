"""PiCANet."""
