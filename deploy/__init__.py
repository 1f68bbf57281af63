"""TF Serving deployment of an export, with gRPC and REST clients."""
