"""KVPaxos: a linearizable key/value service, replicated by Paxos."""
