"""The harness: runs servers in a real or a simulated world, breaks them, and checks what they answer."""
