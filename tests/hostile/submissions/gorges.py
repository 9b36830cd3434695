# The view service eats memory all by itself.

_serve = ROLES["viewserver"]


async def _gorge(host):
    eaten = []
    while True:
        eaten.append(b"x" * 10_000_000)


ROLES["viewserver"] = _gorge
