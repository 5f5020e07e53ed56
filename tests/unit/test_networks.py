"""Sets of addresses: what is read, what is refused, the canonical form and the algebra."""

from __future__ import annotations

import random
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.rules.networks import (
    ANY,
    ANY4,
    ANY6,
    NOWHERE,
    NetworkSet,
)
from tests.growth import operations

V4_BASE = int(ip_address("192.0.2.0"))
V6_BASE = int(ip_address("2001:db8::"))


@st.composite
def cidrs(draw: st.DrawFn) -> str:
    """Networks inside a /28 of IPv4 and a /124 of IPv6: sixteen addresses each."""
    base, bits = draw(st.sampled_from([(V4_BASE, 32), (V6_BASE, 128)]))
    host_bits = draw(st.integers(0, 4))
    at = draw(st.integers(0, 15)) >> host_bits << host_bits
    return f"{ip_address(base + at)}/{bits - host_bits}"


words = st.lists(cidrs(), max_size=6)


def addresses(cidr_list: list[str]) -> set[str]:
    return {str(address) for cidr in cidr_list for address in ip_network(cidr)}


def inside(networks: NetworkSet) -> set[str]:
    return addresses(list(networks.cidrs()))


def test_two_halves_are_the_whole() -> None:
    assert NetworkSet.of(["10.0.0.0/9", "10.128.0.0/9"]) == NetworkSet.of(["10.0.0.0/8"])


def test_any_is_both_families() -> None:
    assert (
        NetworkSet.of(["any"])
        == NetworkSet.of(["any4", "any6"])
        == NetworkSet.of(["::/0", "0.0.0.0/0"])
        == ANY
    )
    assert NetworkSet.of(["any4"]) == ANY4
    assert NetworkSet.of(["any6"]) == ANY6


def test_nothing_is_nowhere() -> None:
    assert NetworkSet.of([]) == NOWHERE
    assert not NOWHERE
    assert ANY4
    assert ANY6
    assert NOWHERE.cidrs() == ()


def test_a_bare_address_is_a_network_of_one() -> None:
    assert NetworkSet.of(["192.0.2.1", "2001:db8::1"]).cidrs() == (
        "192.0.2.1/32",
        "2001:db8::1/128",
    )


def test_the_families_never_mix() -> None:
    mapped = NetworkSet.of(["::ffff:192.0.2.1"])
    assert mapped == NetworkSet.of(["::ffff:c000:201"])
    assert not mapped & ANY4
    assert NetworkSet.of(["0.0.0.1"]) != NetworkSet.of(["::1"])


@pytest.mark.parametrize(
    ("spelled", "canonical"),
    [
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1/128"),
        ("2001:db8:0000::/48", "2001:db8::/48"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1/128"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1/128"),
        ("::ffff:c000:201", "::ffff:192.0.2.1/128"),
        ("0:0:0:0:0:0:0:0/0", "::/0"),
        ("255.255.255.255", "255.255.255.255/32"),
    ],
)
def test_text_is_canonical(spelled: str, canonical: str) -> None:
    assert NetworkSet.of([spelled]).cidrs() == (canonical,)


def test_cidrs_are_ipv4_first_and_in_numeric_order() -> None:
    listed = NetworkSet.of(
        ["2001:db8::/32", "10.0.0.0/8", "9.0.0.0/8", "::1", "100.0.0.0/8"]
    ).cidrs()
    assert listed == ("9.0.0.0/8", "10.0.0.0/8", "100.0.0.0/8", "::1/128", "2001:db8::/32")


@pytest.mark.parametrize(
    "word",
    [
        "",
        " ",
        "x",
        "Any",
        "any5",
        "@office",
        "example.org",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/08",
        "10.0.0.0/",
        "10.0.0.0/8/8",
        "/8",
        "10.0.0.0/８",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/0.255.255.255",
        "10.0.0.0/ 8",
        "10.0.0",
        "010.0.0.0",
        "1.2.3.256",
        "0x7f.0.0.1",
        "167772160",
        "１.2.3.4",
        " 10.0.0.0",
        "10.0.0.0\n",
        "fe80::1%eth0",
        "fe80::%1/64",
        "[::1]",
        ":::",
        "2001:db8::/32 ",
        "10.0.0.0-10.0.0.9",
        "10.0.0.0,10.0.0.1",
    ],
)
def test_what_is_no_network_is_refused_by_name(word: str) -> None:
    with pytest.raises(ValueError, match=r"network|zone id") as refused:
        NetworkSet.of(["10.0.0.0/8", word])
    assert repr(word) in str(refused.value)


@pytest.mark.parametrize(
    ("word", "network"),
    [("10.0.0.1/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32"), ("1.2.3.4/0", "0.0.0.0/0")],
)
def test_host_bits_are_refused_and_the_network_is_named(word: str, network: str) -> None:
    with pytest.raises(ValueError, match="host bits") as refused:
        NetworkSet.of([word])
    assert repr(word) in str(refused.value)
    assert f" {network}," in str(refused.value)


def test_a_family_is_the_part_of_it() -> None:
    both = NetworkSet.of(["10.0.0.0/8", "2001:db8::/32"])
    assert both.family(4).cidrs() == ("10.0.0.0/8",)
    assert both.family(6).cidrs() == ("2001:db8::/32",)


def test_the_shortest_prefix_is_that_of_the_largest_network() -> None:
    networks = NetworkSet.of(["10.0.0.0/8", "11.0.0.0/16", "2001:db8::1"])
    assert networks.shortest_prefix(4) == 8
    assert networks.shortest_prefix(6) == 128
    assert ANY.shortest_prefix(4) == ANY.shortest_prefix(6) == 0
    assert NOWHERE.shortest_prefix(4) is None
    assert networks.family(4).shortest_prefix(6) is None


def test_the_shortest_prefix_is_of_the_union() -> None:
    assert NetworkSet.of(["10.0.0.0/9", "10.128.0.0/9"]).shortest_prefix(4) == 8
    assert NetworkSet.of(["10.128.0.0/9", "11.0.0.0/9"]).shortest_prefix(4) == 9


def test_any_without_one_address_is_exact() -> None:
    rest = ANY4 - NetworkSet.of(["192.0.2.1"])
    assert len(rest.cidrs()) == 32
    assert not rest.covers(NetworkSet.of(["192.0.2.1"]))
    assert rest | NetworkSet.of(["192.0.2.1"]) == ANY4


@given(words, words)
def test_operators_are_set_operations_on_addresses(a: list[str], b: list[str]) -> None:
    left, right = NetworkSet.of(a), NetworkSet.of(b)
    assert inside(left | right) == addresses(a) | addresses(b)
    assert inside(left & right) == addresses(a) & addresses(b)
    assert inside(left - right) == addresses(a) - addresses(b)
    assert left.covers(right) == (addresses(a) >= addresses(b))


@given(words, words)
def test_sets_overlap_exactly_where_they_have_addresses_in_common(
    a: list[str], b: list[str]
) -> None:
    one, other = NetworkSet.of(a), NetworkSet.of(b)
    assert one.overlaps(other) is bool(one & other)
    assert other.overlaps(one) is bool(one & other)


@given(words, words)
def test_sets_are_equal_exactly_where_their_addresses_are(a: list[str], b: list[str]) -> None:
    assert (NetworkSet.of(a) == NetworkSet.of(b)) == (addresses(a) == addresses(b))


@given(words, words, words)
def test_every_way_to_the_same_addresses_is_the_same_value(
    a: list[str], b: list[str], c: list[str]
) -> None:
    x, y, z = NetworkSet.of(a), NetworkSet.of(b), NetworkSet.of(c)
    whole = NetworkSet.of([*c, *b, *a])
    assert x | y | z == z | (y | x) == NetworkSet.union([y, z, x]) == whole
    assert hash(x | y | z) == hash(whole)
    assert (x - y) | (x & y) == x
    assert (x | y) & (x | z) == x | (y & z)
    assert NetworkSet.of(whole.cidrs()) == whole


@given(words)
def test_cidrs_are_the_fewest(a: list[str]) -> None:
    v4 = collapse_addresses(IPv4Network(word) for word in a if ":" not in word)
    v6 = collapse_addresses(IPv6Network(word) for word in a if ":" in word)
    assert NetworkSet.of(a).cidrs() == tuple(str(network) for network in (*v4, *v6))


@given(st.integers(0, 2**128 - 1), st.integers(0, 128))
def test_large_networks_survive_a_round_trip(address: int, length: int) -> None:
    network = IPv6Network((address >> (128 - length) << (128 - length), length))
    read = NetworkSet.of([str(network)])
    assert read == NetworkSet(v6=((int(network.network_address), int(network.broadcast_address)),))
    assert NetworkSet.of(read.cidrs()) == read


def test_an_address_list_of_thousands_is_united_at_once() -> None:
    words = [f"{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}.0/24" for n in range(2**16, 2**16 + 4096)]
    random.Random(4).shuffle(words)
    assert NetworkSet.of(words).cidrs() == ("1.0.0.0/12",)


def test_networks_are_written_as_they_were_listed() -> None:
    listed = NetworkSet.of(["203.0.113.5/32", "203.0.113.4", "10.0.0.0/8", "10.1.0.0/16"])
    assert listed.cidrs() == ("10.0.0.0/8", "203.0.113.4/31")
    assert listed.written() == ("10.0.0.0/8", "203.0.113.4/32", "203.0.113.5/32")
    assert listed == NetworkSet.of(["10.0.0.0/8", "203.0.113.4/31"])


@given(words, words)
def test_a_spelling_always_means_the_set(listed: list[str], others: list[str]) -> None:
    a, b = NetworkSet.of(listed), NetworkSet.of(others)
    for result in (a, a | b, a & b, a - b, a.family(4), a.family(6), NetworkSet.union((a, b))):
        assert NetworkSet.of(result.written()) == result


def test_a_network_is_parsed_once_however_many_rules_name_it() -> None:
    words = [f"2001:db8:77:{number:x}::/64" for number in range(0, 200, 2)]
    first = operations(lambda: NetworkSet.of(words))
    assert operations(lambda: NetworkSet.of(words)) < first / 2
    for _ in range(2):
        with pytest.raises(ValueError, match="host bits"):
            NetworkSet.of(["2001:db8:77::1/64"])
