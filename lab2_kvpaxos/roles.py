"""The roles of lab 2's processes. `python -m common.main lab2_kvpaxos ROLE NAME NET [key=json …]` runs one."""

from lab2_kvpaxos.paxos.server import serve_paxos

ROLES = {"paxos": serve_paxos}
