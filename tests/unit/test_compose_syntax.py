"""Properties of the small languages in a Compose file: ports, YAML, variables, merging. And text
that is none of them."""

from __future__ import annotations

import string
import tempfile
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudsync.sources.compose import ComposeError, read_projects
from cloudsync.sources.compose.budget import Budget
from cloudsync.sources.compose.documents import documents
from cloudsync.sources.compose.environment import Environment, read_environment
from cloudsync.sources.compose.interpolation import InterpolationError, interpolate
from cloudsync.sources.compose.merging import merge, settled
from cloudsync.sources.compose.nodes import (
    Mapping,
    Node,
    Place,
    Scalar,
    Sequence,
    same,
)
from cloudsync.sources.compose.ports import PublishedPort, published_ports, short_form
from tests.effort import examples

PLACE = Place("compose.yaml", 7)
FIXTURES = Path(__file__).parent / "fixtures" / "compose"

numbers = st.integers(1, 65535)
protocols = st.sampled_from(["tcp", "udp", "sctp"])
addresses = st.one_of(st.none(), st.ip_addresses(v=4), st.ip_addresses(v=6))


def complaint(kind: type[Exception], call: Callable[[], object]) -> str:
    """What an error of this kind says; empty where there is none. Any other error is the test's
    failure."""
    try:
        call()
    except kind as error:
        return str(error)
    return ""


def prefix(address: IPv4Address | IPv6Address | None, *, bracketed: bool) -> str:
    if address is None:
        return ""
    return f"[{address}]:" if bracketed and address.version == 6 else f"{address}:"


def meant(address: IPv4Address | IPv6Address | None) -> IPv4Address | IPv6Address | None:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@given(numbers, numbers, protocols, addresses, st.booleans())
def test_what_is_written_in_the_short_form_is_read(
    host: int,
    target: int,
    protocol: str,
    address: IPv4Address | IPv6Address | None,
    bracketed: bool,
) -> None:
    text = f"{prefix(address, bracketed=bracketed)}{host}:{target}/{protocol}"
    assert list(short_form(text, PLACE)) == [
        PublishedPort(protocol, target, str(host), meant(address), PLACE)
    ]


@given(numbers, numbers, st.integers(0, 300), addresses)
def test_ranges_of_one_length_run_in_parallel(
    host: int, target: int, length: int, address: IPv4Address | IPv6Address | None
) -> None:
    host, target = min(host, 65535 - length), min(target, 65535 - length)
    text = f"{prefix(address, bracketed=True)}{host}-{host + length}:{target}-{target + length}"
    assert [(port.host, port.target) for port in short_form(text, PLACE)] == [
        (str(host + n), target + n) for n in range(length + 1)
    ]


@given(numbers, st.integers(1, 300), numbers)
def test_a_range_onto_one_port_is_kept_as_a_range(host: int, length: int, target: int) -> None:
    host = min(host, 65535 - length)
    (port,) = short_form(f"{host}-{host + length}:{target}", PLACE)
    assert port.host == f"{host}-{host + length}"


@given(numbers, numbers, protocols, addresses)
def test_the_long_form_means_what_the_short_form_means(
    host: int, target: int, protocol: str, address: IPv4Address | IPv6Address | None
) -> None:
    entries: dict[str, Node] = {
        "target": Scalar(str(target), PLACE, integer=True),
        "published": Scalar(str(host), PLACE),
    }
    entries["protocol"] = Scalar(protocol, PLACE)
    if address is not None:
        entries["host_ip"] = Scalar(str(address), PLACE)
    item = Mapping(entries, PLACE, dict.fromkeys(entries, PLACE))
    short = short_form(f"{prefix(address, bracketed=True)}{host}:{target}/{protocol}", PLACE)
    assert published_ports(Sequence((item,), PLACE), Budget()) == tuple(short)


@given(st.one_of(st.text(max_size=30), st.text(alphabet="0123456789:-/[].tcpud ", max_size=30)))
def test_any_text_is_ports_or_a_value_error(text: str) -> None:
    ports: list[PublishedPort] = []
    assert "\n" not in complaint(ValueError, lambda: ports.extend(short_form(text, PLACE)))
    assert all(1 <= port.target <= 65535 for port in ports)
    assert all(
        0 <= int(part) <= 65535 for port in ports if port.host for part in port.host.split("-")
    )


@given(st.lists(st.tuples(numbers, numbers, protocols, addresses), max_size=6))
def test_ports_with_one_key_are_one_port(
    rows: list[tuple[int, int, str, IPv4Address | IPv6Address | None]],
) -> None:
    texts = [
        f"{prefix(a, bracketed=True)}{host}:{target}/{protocol}"
        for host, target, protocol, a in (*rows, *rows)
    ]
    ports = published_ports(Sequence(tuple(Scalar(text, PLACE) for text in texts), PLACE), Budget())
    assert len({port.key for port in ports}) == len(ports)
    assert {port.key for port in ports} == {
        port.key for text in texts for port in short_form(text, PLACE)
    }


names = st.text(alphabet="ABC_", min_size=1, max_size=3)
values = st.text(alphabet=string.ascii_letters + string.digits + " -:{}", max_size=8)


@given(st.dictionaries(names, values), st.text(alphabet="$ABC_{}:-?+ x", max_size=40))
def test_any_template_is_text_or_an_interpolation_error(
    environment: dict[str, str], text: str
) -> None:
    assert "\n" not in complaint(InterpolationError, lambda: interpolate(text, environment))


@given(st.text(alphabet=st.characters(exclude_characters="$")), st.dictionaries(names, values))
def test_text_without_a_dollar_is_left_alone_and_doubled_dollars_come_out_single(
    text: str, environment: dict[str, str]
) -> None:
    assert interpolate(text, environment).text == text
    assert interpolate(f"$${text}$$", environment).text == f"${text}$"


@given(names, values, values)
def test_the_operators_are_the_table(name: str, value: str, word: str) -> None:
    word = word.replace("}", "")
    for environment in ({name: value}, {name: ""}, {}):
        has, full = name in environment, bool(environment.get(name))
        own = environment.get(name, "")
        assert interpolate(f"${{{name}:-{word}}}", environment).text == (own if full else word)
        assert interpolate(f"${{{name}-{word}}}", environment).text == (own if has else word)
        assert interpolate(f"${{{name}:+{word}}}", environment).text == (word if full else "")
        assert interpolate(f"${{{name}+{word}}}", environment).text == (word if has else "")


@given(st.text(max_size=80))
def test_any_text_is_variables_or_a_compose_error(text: str) -> None:
    said = complaint(
        ComposeError, lambda: read_environment(Environment(), [(".env", text)], Budget())
    )
    assert not said or said.startswith(".env:")


scalars = st.builds(lambda text: Scalar(text, PLACE), st.sampled_from("abc"))
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: Sequence(tuple(items), PLACE)),
        st.dictionaries(st.sampled_from("klm"), inner, max_size=3).map(
            lambda e: Mapping(e, PLACE, dict.fromkeys(e, PLACE))
        ),
    ),
    max_leaves=8,
)
mappings = st.dictionaries(st.sampled_from("klm"), trees, max_size=3).map(
    lambda e: Mapping(e, PLACE, dict.fromkeys(e, PLACE))
)
NOTHING = Mapping({}, PLACE, {})


@given(mappings)
def test_nothing_merged_with_something_is_that(tree: Mapping) -> None:
    assert same(merge(NOTHING, tree), tree)
    assert same(merge(tree, NOTHING), tree)


tags = st.sampled_from([None, None, None, "reset", "override"])
tagged = st.recursive(
    st.builds(lambda text, tag: Scalar(text, PLACE, tag=tag), st.sampled_from("abc"), tags),
    lambda inner: st.one_of(
        st.builds(
            lambda items, tag: Sequence(tuple(items), PLACE, tag),
            st.lists(inner, max_size=2),
            tags,
        ),
        st.builds(
            lambda e, tag: Mapping(e, PLACE, dict.fromkeys(e, PLACE), tag),
            st.dictionaries(st.sampled_from("kl"), inner, max_size=2),
            tags,
        ),
    ),
    max_leaves=5,
)
layers = st.dictionaries(st.sampled_from("kl"), tagged, min_size=1, max_size=2).map(
    lambda e: Mapping(e, PLACE, dict.fromkeys(e, PLACE))
)


@settings(max_examples=examples(400))
@given(layers, layers, layers)
def test_merging_from_the_left_or_from_the_right_means_the_same(
    a: Mapping, b: Mapping, c: Mapping
) -> None:
    try:
        left = settled(merge(merge(a, b), c))
        right = settled(merge(a, merge(b, c)))
    except ComposeError:
        return  # a list under a mapping: some orders find it out later
    assert same(left, right)


@given(layers, layers)
def test_what_is_reset_is_gone_and_what_overrides_stands_alone(a: Mapping, b: Mapping) -> None:
    try:
        merged = settled(merge(a, b))
    except ComposeError:
        return
    for key, node in b.entries.items():
        if node.tag == "reset":
            assert key not in merged.entries
        elif node.tag == "override":
            assert same(merged.entries[key], settled(b).entries[key])


def test_plain_words_of_yaml_1_1_stay_what_they_are() -> None:
    (tree,) = documents(
        "a: 22:22\nb: yes\nc: 0o17\nd: ~\ne: null\nf:\ng: 'null'\nh: 190:20:30\ni: 2024-01-01\n",
        "compose.yaml",
    )
    assert [getattr(tree.entries[key], "text", None) for key in "abchi"] == [
        "22:22",
        "yes",
        "0o17",
        "190:20:30",
        "2024-01-01",
    ]
    assert [key for key in tree.entries if getattr(tree.entries[key], "null", False)] == [
        "d",
        "e",
        "f",
    ]
    assert [key for key in tree.entries if getattr(tree.entries[key], "integer", False)] == ["c"]


def test_every_node_knows_its_line() -> None:
    (tree,) = documents("# comment\na:\n  - x\n  - {b: y}\n\nc: |\n  text\n", "compose.yaml")
    listed = tree.entries["a"]
    assert isinstance(listed, Sequence)
    assert [item.place.line for item in listed.items] == [3, 4]
    assert (tree.keys["a"].line, tree.keys["c"].line) == (2, 6)


pieces = st.sampled_from(
    [
        "*a",
        "&a ",
        "<<: ",
        "!reset ",
        "!override ",
        "- ",
        "  ",
        "\n",
        '"',
        "'",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "${",
        "$",
        "}",
        ":-",
        "|",
        ">",
        "%",
        "@",
        "\t",
        "\x00",
        "\x85",
        "\u2028",
        "---\n",
        "...\n",
        "? ",
        "!!int ",
        "1-65535",
        "80:80",
        "\ufeff",
        "extends: ",
        "include: ",
        "services:",
        "ports: ",
        "labels: ",
        "network_mode: ",
        "web",
        "é",
        "\\",
        "~",
        "null",
        "#",
    ]
)
TEXTS = sorted({path.read_text() for path in FIXTURES.rglob("*.y*ml")})


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """An example with some of it cut out, doubled or replaced."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 20))
        text = text[:at] + draw(st.one_of(pieces, st.text(max_size=5))) + text[at + cut :]
    return text


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(spoilt(), st.lists(pieces, max_size=30).map("".join), st.text(max_size=60)))
def test_any_file_is_a_project_or_one_line_that_says_what_is_wrong(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "compose.yaml").write_text(text, encoding="utf-8", errors="replace")
        said = complaint(ComposeError, lambda: read_projects(Path(folder), ["compose.yaml"]))
        assert "\n" not in said
        assert len(said) < 1000


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a\n  <<: *a"])
def test_an_anchor_inside_of_itself_is_an_error(text: str) -> None:
    with pytest.raises(ComposeError, match="refers to itself"):
        documents(text, "compose.yaml")
