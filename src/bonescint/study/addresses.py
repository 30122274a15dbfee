"""Which addresses belong to one and the same somebody."""

from __future__ import annotations

import ipaddress


def network_of(address: str) -> str:
    """An address as limits count it: IPv4 by itself, IPv6 by its /64, which a host has to itself.

    Examples:
        >>> network_of("192.0.2.7"), network_of("::ffff:192.0.2.7")
        ('192.0.2.7', '192.0.2.7')
        >>> network_of("2001:db8:1:2:3::4"), network_of("2001:db8:1:2::5")
        ('2001:db8:1:2::/64', '2001:db8:1:2::/64')
        >>> network_of("fe80::1%eth0"), network_of("a proxy's own word")
        ('fe80::/64', "a proxy's own word")
    """
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, 64), strict=False))
