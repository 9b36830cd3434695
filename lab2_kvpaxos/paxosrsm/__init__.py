"""A replicated state machine on Paxos: operations of any replica, applied by every replica in one order."""
