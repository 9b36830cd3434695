"""Lab 2: Paxos, a replicated state machine on it, and a key/value service on that."""
