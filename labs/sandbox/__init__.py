"""The sandbox: what keeps a submission's servers from everything but the network that the harness gives them."""
