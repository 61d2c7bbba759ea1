"""The address policy: which addresses users may make us talk to, and what a host spelled as a number means.

Names are not resolved here, and nothing connects; worker/outbound.py does both and asks this room in between.
"""

import re
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# What is_global lets through in some Python release although no receiver of ours can live there.
# Python's registers change with patch releases, so the ranges an attacker would try first are spelled out.
_BLOCKED: tuple[IPNetwork, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; home of Alibaba's metadata service
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast (which Python calls global), reserved, broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible
        "64:ff9b::/96",  # NAT64: global by its register, yet it reaches any IPv4 address
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)

# These hand out credentials of the host. They stay blocked inside a wider allowed network.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Google, Azure and most others
        "169.254.170.2",  # AWS ECS tasks
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's host agent, a public address
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
    )
)

REFUSED_PORTS = frozenset(
    (
        *(22, 23, 25, 53, 110, 111, 135, 139, 143, 389, 445, 465, 587, 636, 993, 995, 2049, 3389, 5900),
        *(1433, 1521, 3306, 5432, 5672, 6379, 9042, 9092, 11211, 27017),  # databases, queues and caches
        *(2375, 2376, 2379, 2380, 9200, 9300, 10250),  # HTTP that commands a host or a cluster
    )
)
"""Nothing there waits for a webhook or has a file: a request could only be meant to be taken for something else."""

_LOOPBACK = IPv4Address("127.0.0.1")
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_IPV4_COMPATIBLE = IPv6Network("::/96")
_NUMERIC_HOST = re.compile(r"[0-9a-fx.]+", re.IGNORECASE)


def is_allowed(ip: IPAddress, allowed_networks: Sequence[IPNetwork]) -> bool:
    """Whether we may connect: a public address, or one the operator named.

    An address that carries another one inside (NAT64, 6to4, Teredo) is allowed only if both are.
    """
    return all(_passes(face, allowed_networks) for face in _faces(ip))


def literal_address(host: str) -> IPAddress | None:
    """The address a host means without any lookup, in every notation resolvers accept; None for a name.

    `127.1`, `0x7f000001`, `2130706433` and `0177.0.0.1` all mean loopback to getaddrinfo, so they do here.
    """
    bare = host.removeprefix("[").removesuffix("]").removesuffix(".").partition("%")[0]
    try:
        return ip_address(bare)
    except ValueError:
        return _shorthand_ipv4(bare)


def known_address(host: str) -> IPAddress | None:
    """The same, and loopback for what RFC 6761 reserves for it; None for other names."""
    name = host.removesuffix(".").lower()
    return _LOOPBACK if name == "localhost" or name.endswith(".localhost") else literal_address(host)


def _shorthand_ipv4(host: str) -> IPv4Address | None:
    # inet_aton also takes trailing words after a blank, hence the pattern first.
    if not _NUMERIC_HOST.fullmatch(host):
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _faces(ip: IPAddress) -> Iterator[IPAddress]:
    """The address and the ones hidden inside it; a mapped address is nothing but its IPv4 self."""
    if isinstance(ip, IPv4Address):
        yield ip
        return
    if ip.ipv4_mapped is not None:
        yield ip.ipv4_mapped
        return
    yield IPv6Address(int(ip))  # without the scope, which would make equal addresses differ
    if ip.sixtofour is not None:
        yield ip.sixtofour
    if ip.teredo is not None:
        yield from ip.teredo
    if any(ip in network for network in _NAT64) or _is_ipv4_compatible(ip):
        yield IPv4Address(int(ip) & 0xFFFF_FFFF)


def _is_ipv4_compatible(ip: IPv6Address) -> bool:
    # `::` and `::1` stand for themselves: whoever allows ::1 does not have to allow 0.0.0.1 as well.
    return ip in _IPV4_COMPATIBLE and int(ip) > 1


def _passes(ip: IPAddress, allowed_networks: Sequence[IPNetwork]) -> bool:
    if ip in _METADATA:
        return ip_network(ip) in allowed_networks
    if any(ip in network for network in allowed_networks):
        return True
    return ip.is_global and not any(ip in network for network in _BLOCKED)
