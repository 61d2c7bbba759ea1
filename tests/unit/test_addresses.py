"""The address policy against the whole list of tricks."""

import socket
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses import IPNetwork, is_allowed, literal_address

PUBLIC = ["1.1.1.1", "93.184.216.34", "100.128.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "2a00:1450::1"]
BLOCKED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:0:80ff:fffe",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


def networks(*texts: str) -> list[IPNetwork]:
    return [ip_network(text) for text in texts]


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed(text: str) -> None:
    assert is_allowed(ip_address(text), [])


@pytest.mark.parametrize("text", BLOCKED)
def test_an_address_that_is_not_public_is_blocked(text: str) -> None:
    assert not is_allowed(ip_address(text), [])


def test_a_public_address_in_ipv6_clothes_is_what_it_is() -> None:
    assert is_allowed(ip_address("::ffff:1.1.1.1"), [])


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_with_and_without_the_mapping(ip: IPv4Address) -> None:
    assert is_allowed(ip_address(f"::ffff:{ip}"), []) == is_allowed(ip, [])


@given(st.ip_addresses(v=4), st.sampled_from(["64:ff9b::", "::"]))
def test_no_translated_form_of_an_ipv4_address_is_public(ip: IPv4Address, prefix: str) -> None:
    assert not is_allowed(ip_address(f"{prefix}{ip}"), [])


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("::ffff:127.0.0.1", "127.0.0.0/8"),
        ("::1", "::1/128"),
        ("10.1.2.3", "10.0.0.0/8"),
        ("fe80::1%eth0", "fe80::/10"),
    ],
)
def test_an_address_inside_a_network_the_operator_named_is_allowed(text: str, network: str) -> None:
    assert is_allowed(ip_address(text), networks(network))
    assert not is_allowed(ip_address(text), networks("192.168.0.0/16", "fd12::/16"))


@pytest.mark.parametrize(
    ("text", "wide"),
    [
        ("169.254.169.254", "169.254.0.0/16"),
        ("::ffff:169.254.169.254", "0.0.0.0/0"),
        ("100.100.100.200", "100.64.0.0/10"),
        ("fd00:ec2::254", "fd00::/8"),
        ("fd00:ec2::254%eth0", "::/0"),
    ],
)
def test_a_metadata_address_stays_blocked_inside_a_wider_network(text: str, wide: str) -> None:
    assert not is_allowed(ip_address(text), networks(wide))


@pytest.mark.parametrize(
    ("text", "exact"),
    [("169.254.169.254", "169.254.169.254/32"), ("fd00:ec2::254", "fd00:ec2::254/128")],
)
def test_a_metadata_address_named_exactly_is_allowed(text: str, exact: str) -> None:
    assert is_allowed(ip_address(text), networks(exact))


def test_a_translation_prefix_may_be_named_and_what_it_hides_is_still_judged() -> None:
    nat64 = networks("64:ff9b::/96")
    assert is_allowed(ip_address("64:ff9b::1.1.1.1"), nat64)
    assert not is_allowed(ip_address("64:ff9b::10.0.0.1"), nat64)
    assert not is_allowed(ip_address("64:ff9b::a9fe:a9fe"), nat64)
    assert not is_allowed(ip_address("2002:7f00:1::"), networks("2002::/16"))
    assert not is_allowed(ip_address("2001:0:7f00:1:0:0:80ff:fffe"), networks("2001::/32"))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "0x7f.1",
        "0x7f.0x0.0x0.0x1",
        "0177.0.0.1",
        "0177.0.0.01",
        "017700000001",
        "00000177.1",
    ],
)
def test_every_notation_of_loopback_means_loopback(host: str) -> None:
    assert literal_address(host) == IPv4Address("127.0.0.1")


@pytest.mark.parametrize(
    ("host", "meaning"),
    [
        ("0", "0.0.0.0"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("2852039166", "169.254.169.254"),
        ("[::1]", "::1"),
        ("::ffff:7f00:1", "::ffff:127.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
    ],
)
def test_other_literals_are_read_as_resolvers_read_them(host: str, meaning: str) -> None:
    assert literal_address(host) == ip_address(meaning)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "example.com",
        "localhost",
        "beef.cafe",
        "4294967296",
        "256.1.1.1",
        "1.2.3.4.5",
        "08.0.0.1",
        "1..1",
        "0x",
    ],
)
def test_a_name_is_no_literal(host: str) -> None:
    assert literal_address(host) is None


@given(st.text(st.sampled_from("0123456789abcdefx."), min_size=1, max_size=16))
def test_whatever_the_system_reads_as_a_number_we_read_the_same_way(host: str) -> None:
    try:
        found = socket.getaddrinfo(host, None, family=socket.AF_INET, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return
    assert literal_address(host) == ip_address(found[0][4][0])
