"""Paxos: any number of agreements at once, among peers that may stop, over a network that may lose anything."""
