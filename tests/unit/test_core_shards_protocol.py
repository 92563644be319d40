"""What is in the znodes of shards, and what a person may write there."""

import pytest

from mwapp.core.shards.protocol import (
    COPY,
    SYNC,
    BadTableError,
    Member,
    Record,
    Report,
    Table,
    check_table_name,
    decode_page,
    decode_table,
    encode_page,
    page_of,
    pages_of,
    shard_of_move,
    value_of,
)


def test_a_table_is_read_as_it_was_written() -> None:
    for table in (
        Table(1),
        Table(12, 3, "zone", "store:Region", None, False, 5.0, 2, 8),
        Table(2, command="serve"),
    ):
        assert Table.decode(table.encode()) == table
    assert Table(5).encode() == b'{"shards":5}'


def test_one_replica_is_of_shared_data_unless_the_table_says_otherwise() -> None:
    assert Table(1).anyone
    assert not Table(1, 2).anyone
    assert Table(1, 2, shared=True).anyone
    assert not Table(1, shared=False).anyone


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "JSON object"),
        (b"[]", "JSON object"),
        (b"{}", "shards: None: use a whole number from 1 to 100000"),
        (b'{"shards":0}', "shards: 0"),
        (b'{"shards":true}', "shards: True"),
        (b'{"shards":100001}', "from 1 to 100000"),
        (b'{"shards":1,"replicas":17}', "replicas: 17: use a whole number from 1 to 16"),
        (b'{"shards":1,"page":129}', "page: 129"),
        (b'{"shards":1,"copies":0}', "copies: 0"),
        (b'{"shards":1,"grace":-1}', "grace: -1: use seconds from 0 to 86400"),
        (b'{"shards":1,"grace":NaN}', "grace"),
        (b'{"shards":1,"spread":7}', "spread: 7: use a string"),
        (b'{"shards":1,"command":"\\udc80"}', "command: .* use text in UTF-8"),
        (
            b'{"shards":4001,"page":2}',
            "page: 2: 4001 shards would be in more than 2000 znodes; use at least 3; "
            "a table that is there keeps its page, so use at most 4000 shards",
        ),
        (b'{"shards":1,"shared":1}', "shared: 1: use true or false"),
        (b'{"shards":1,"handler":"a:B","command":"c"}', "handler: give it or command, not both"),
        (b'{"shards":1,"replica":2}', "replica: no such setting"),
    ],
)
def test_a_table_that_cannot_be_says_which_setting(data: bytes, says: str) -> None:
    with pytest.raises(BadTableError, match=says.replace("(", r"\(")):
        decode_table("t", data)


def test_the_word_delete_is_all_that_it_takes() -> None:
    assert decode_table("a b", b" delete\n") is None


@pytest.mark.parametrize("name", ["", "a/b", "a:1", ".a", "a" * 64])
def test_a_name_that_could_not_be_a_znode_or_be_told_from_a_move_is_refused(name: str) -> None:
    with pytest.raises(BadTableError):
        check_table_name(name)
    assert check_table_name("orders-2.x_y") == "orders-2.x_y"


def test_a_page_is_a_line_for_each_shard() -> None:
    records = {
        11: Record(4, "w1", {"w1": Member(3, SYNC), "w2": Member(0, COPY)}, ("w2", "w1"), True, 99),
        2: Record(1, target=()),
    }
    data = encode_page(records)
    assert decode_page(data) == records
    lines = data.decode().splitlines()
    assert lines[1] == '"2":{"generation":1,"primary":"","members":{},"target":[]},'
    assert len(lines) == 4


@pytest.mark.parametrize(
    "record",
    [
        '{"generation":1,"primary":"w1","members":{}}',
        '{"generation":-1,"primary":"","members":{}}',
        '{"generation":1,"primary":"","members":{"w1":[1,"up"]}}',
        '{"generation":1,"primary":"","members":{"w1":3}}',
        '{"generation":1,"primary":"","members":{},"target":"w1"}',
        '{"generation":1,"primary":"","members":{},"target":["w1","w1"]}',
        '{"primary":"","members":{}}',
        "7",
    ],
)
def test_a_page_that_a_person_has_spoilt_is_none(record: str) -> None:
    assert decode_page(f'{{"0":{record}}}'.encode()) is None


def test_a_page_of_no_shards_is_none() -> None:
    assert decode_page(b"no") is None
    assert decode_page(b'{"x":{"generation":1,"primary":"","members":{}}}') is None
    assert decode_page(b"{}") == {}


def test_shards_are_in_pages_without_a_gap() -> None:
    table = Table(10, page=4)
    assert [list(page) for page in pages_of(table)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert all(shard in pages_of(table)[page_of(shard, 4)] for shard in range(10))


def test_a_report_is_read_as_it_was_written() -> None:
    report = Report(
        3, ("zone=a",), True, {("t", 11): (5, "ready"), ("t", 2): (5, "serving"), ("s", 0): (1, "failed")}
    )
    assert Report.decode(report.encode()) == report
    assert Report.decode(Report(0).encode()) == Report(0)


def test_the_address_of_a_handler_follows_what_it_says() -> None:
    said = {("t", 2): (5, "serving"), ("t", 3): (5, "open"), ("t", 4): (6, "ready")}
    report = Report(3, shards=said, addresses={("t", 2): "h:1", ("t", 3): "h:ä"})
    data = report.encode().decode()
    assert '"shards":{"t":{"2":[5,"serving","h:1"],"3":[5,"open","h:ä"],"4":[6,"ready"]}}' in data
    assert Report.decode(data.encode()) == report
    more = data.replace('"h:1"', '"h:1",{"weight":2}')
    assert Report.decode(more.encode()) == report, "what comes later may say more"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"incarnation":1}',
        b'{"incarnation":1,"shards":{"t":{"a":[1,"ready"]}}}',
        b'{"incarnation":1,"shards":{"t":{"1":[1]}}}',
    ],
)
def test_a_report_that_a_person_has_written_is_none(data: bytes) -> None:
    assert Report.decode(data) is None


def test_the_znode_of_a_move_names_table_and_shard() -> None:
    assert shard_of_move("orders:7") == ("orders", 7)
    assert [shard_of_move(name) for name in ("orders", ":7", "orders:", "orders:x", "orders:-1")] == [
        None
    ] * 5


def test_the_value_of_a_label_is_what_follows_it() -> None:
    assert value_of("zone", ("gpu", "zone=b", "zone=a")) == "a"
    assert value_of("zone", ("zones=b",)) == ""
    assert value_of("", ("=b",)) == ""
