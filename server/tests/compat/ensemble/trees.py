"""Whole trees of two servers, node by node, and the digests that servers keep themselves."""

import wire
from clients import SYNC, one
from harness import four_letter

GET_ACL = 6
PORTION = 200
# Made by each server for itself: versions and times of the configuration differ among servers.
OWN = ("/zookeeper/config",)


def walk(connection):
    """Every node as (data, stat, acl) by path."""
    connection.call(SYNC, wire.string("/"))
    nodes, level = {}, ["/"]
    while level:
        below = []
        for start in range(0, len(level), PORTION):
            below += portion(connection, level[start:start + PORTION], nodes)
        level = below
    return nodes


def portion(connection, paths, nodes):
    for path in paths:
        flagged = wire.string(path) + b"\0"
        connection.send(wire.GET_DATA, flagged)
        connection.send(GET_ACL, wire.string(path))
        connection.send(wire.GET_CHILDREN2, flagged)
    below = []
    for path in paths:
        data, acl, children = (connection.receive() for _ in range(3))
        if any(reply.error for reply in (data, acl, children)):
            nodes[path] = ("errors", data.error, acl.error, children.error)
            continue
        names = [children.body.string() for _ in range(children.body.int())]
        nodes[path] = (data.body.buffer(), data.body.stat(), acl.body.data[acl.body.at:])
        below += [path.rstrip("/") + "/" + name for name in names]
    return below


def differences(first, second, limit=10):
    """What differs between two servers' trees, as lines."""
    mine = one(first.port, walk)
    other = one(second.port, walk)
    return compare(mine, other, f"server {first.server_id}", f"server {second.server_id}", limit)


def compare(mine, other, a, b, limit=10):
    found = []
    for path in sorted(set(mine) | set(other)):
        if path in OWN:
            continue
        if path not in other:
            found.append(f"{path} is only on {a}")
        elif path not in mine:
            found.append(f"{path} is only on {b}")
        elif mine[path] != other[path]:
            found.append(f"{path}: {a} has {shown(mine[path])}, {b} has {shown(other[path])}")
    more = [f"... and {len(found) - limit} more"] if len(found) > limit else []
    return found[:limit] + more, len(mine)


def shown(node):
    if node[0] == "errors":
        return str(node)
    data, stat, acl = node
    return f"{(data or b'')[:20]!r} {tuple(stat)} acl {acl[:40].hex()}"


class Digests:
    """The digests that `hash` lists: one each 128 zxids, of the last 1,024 of them."""

    EVERY = 128

    def __init__(self, members):
        self.members = list(members)
        self.by_member = {member.server_id: {} for member in self.members}
        self.contradictions = []

    def poll(self):
        for member in self.members:
            known = self.by_member[member.server_id]
            for line in four_letter(member.port, "hash").splitlines():
                zxid, _, digest = line.partition(": ")
                if not digest:
                    continue
                zxid, digest = int(zxid, 16), int(digest) & (2**64 - 1)
                if known.setdefault(zxid, digest) != digest:
                    self.contradictions.append(
                        f"server {member.server_id} has two digests of {zxid:#x}"
                    )

    def compare(self, member, others):
        """Zxids at which `member` and one of `others` have a digest, and those that differ."""
        mine = self.by_member[member.server_id]
        compared, unlike = set(), {}
        for other in others:
            theirs = self.by_member[other.server_id]
            for zxid in mine.keys() & theirs.keys():
                compared.add(zxid)
                if mine[zxid] != theirs[zxid]:
                    unlike[zxid] = (other.server_id, mine[zxid], theirs[zxid])
        return compared, unlike
