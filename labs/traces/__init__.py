"""What happened in a run, from outside the servers: recorded, saved, read, shown as text, exported."""
