"""What the service speaks: one file a protocol, each proven by a client that we did not write."""
