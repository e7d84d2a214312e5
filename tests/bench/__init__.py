"""One raw-gRPC load, driven through Perdure and through the official dev server in turn: `make bench`."""
