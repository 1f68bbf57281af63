"""A deployment of an export in TF Serving, and two clients for it."""
