"""The learner's page: how its blocks are read and compared, and that it can be read."""

import re
from pathlib import Path

import pytest

from testbed.walkthrough import Names, PageError, Step, difference, fences, steps

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "learn.md"


def block(*lines: str) -> str:
    return "\n".join(["Look:", "", "```console", *lines, "```", ""])


def test_a_block_is_read_as_steps() -> None:
    page = block("zk1# hostname", "zk1", "m1@zk2# zkCli.sh", "...", "", "m1> ls /", "[a]", "m1>", "WATCHER::")
    assert steps(page) == [
        Step(4, None, "zk1", "hostname", ("zk1",)),
        Step(6, "m1", "zk2", "zkCli.sh", ("...",)),
        Step(9, "m1", None, "ls /", ("[a]",)),
        Step(11, "m1", None, "", ("WATCHER::",)),
    ]


def test_other_blocks_are_not_run() -> None:
    assert steps(block("zk1# hostname").replace("console", "text")) == []


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (block("[a]", "m1> ls /"), "line 4: the block has to begin with a prompt"),
        (block(), "line 4: the block has to begin with a prompt"),
        (block("zk1#"), "line 4: a command is missing"),
        (block("zk1# ls").removesuffix("```\n"), "line 3: the block has no end"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(page: str, reason: str) -> None:
    with pytest.raises(PageError, match=re.escape(reason)):
        steps(page)


@pytest.mark.parametrize(
    ("expected", "seen", "same"),
    [
        ("zk1", "zk1\n", True),
        ("zk1", "zk2", False),
        ("", "", True),
        ("", "more", False),
        ("a", "a\nb", False),
        ("a\nb", "a\n\nb  \n", True),
        ("...", "", True),
        ("...\nb\n...", "a\nb", True),
        ("...\nb", "a\nb\nc", False),
        ("Mode: ...", "Mode: leader", True),
        ("Mode: ...", "State: leader", False),
        ("path:/master ...", "path:/master", True),
        ("path:/master ...", "path:/master zxid: 7", True),
        ("path:/master ...", "path:/masters", False),
        ('{..."a"...}', '{"worker": "a", "code": 0}', True),
        ("[a.b]", "[axb]", False),
    ],
)
def test_what_is_seen_is_compared(expected: str, seen: str, same: bool) -> None:
    assert Names().matches(tuple(expected.splitlines()), seen) is same


def test_a_task_goes_by_the_name_it_has_here() -> None:
    names = Names()
    assert names.matches(("Created /tasks/task-0000000012",), "Created /tasks/task-0000000345")
    assert names.command("get /tasks/task-0000000012/status") == "get /tasks/task-0000000345/status"
    assert names.matches(("[task-0000000012]",), "[task-0000000345]")
    assert not names.matches(("[task-0000000012]",), "[task-0000000346]")


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    page = ("SHARD  STATE    SINCE", "    0  w...     serving")
    assert Names().matches(page, "SHARD  STATE     SINCE\n    0  w1  serving\n")
    assert not Names().matches(page, "SHARD  STATE     UNTIL\n    0  w1  serving\n")
    assert not Names().matches(("one two",), "one  two")


def test_a_task_named_twice_is_one() -> None:
    twice = ("task-0000000001 task-0000000001",)
    assert not Names().matches(twice, "task-0000000005 task-0000000006")
    assert Names().matches(twice, "task-0000000005 task-0000000005")


def test_no_name_is_learned_from_what_was_not_expected() -> None:
    names = Names()
    assert not names.matches(("Created task-0000000001",), "No task-0000000009")
    assert names.command("task-0000000001") == "task-0000000001"


def test_a_difference_shows_where_and_what() -> None:
    step = Step(7, "m1", None, "ls /", ("[a]", "same"))
    assert str(difference(PAGE, step, "[b]\nsame\n")).splitlines() == [
        "learn.md:7: m1: ls /",
        "- the page says, + was seen",
        "- [a]",
        "+ [b]",
        "  same",
    ]


def test_the_page_is_run_as_a_whole() -> None:
    """Every block is one that is run, every terminal is opened before it is used, and closed."""
    page = PAGE.read_text()
    assert {language for _, language, _ in fences(page)} == {"console", "text"}, "text is for drawings"
    open_now: set[str] = set()
    most = 0
    for step in steps(page):
        if step.terminal and step.host:
            assert step.terminal not in open_now, step
            open_now.add(step.terminal)
            most = max(most, len(open_now))
        elif step.terminal:
            assert step.terminal in open_now, step
        if step.command == "quit":
            open_now.remove(str(step.terminal))
    assert not open_now
    assert most == 4, "so many terminals the page says that one needs"


def test_the_script_opens_the_terminals_of_the_page() -> None:
    script = (PROJECT / "scripts" / "learn-terminals").read_text()
    opened = set(re.findall(r"\b([a-z]\w*):(zk\d)\b", script))
    used = {(step.terminal, step.host) for step in steps(PAGE.read_text()) if step.terminal and step.host}
    assert used <= opened


# What introductions to ZooKeeper cover, as the table at the end calls it; and words of the section that it
# leads to.
TOPICS = {
    "used for": "shared configuration",
    "leader, follower, observer": "*followers*",
    "quorum": "the *quorum*",
    "odd numbers": "odd numbers are usual",
    "split brain": "split brain",
    "ZAB": "ZAB",
    "two modes": "*broadcast*",
    "write is done": "A write takes five steps",
    "zoo.cfg": "zoo.cfg",
    "myid": "myid",
    "ports": "2888",
    "local mode": "local mode",
    "zkServer.sh": "zkServer.sh status",
    "jps": "jps",
    "persistent": "persistent",
    "ephemeral": "*Ephemeral* (`-e`)",
    "sequential": "create -s",
    "client command": "| `rmr /a` | `deleteall /a` |",
    "watches": "A *watch* (`-w`) fires once",
    "threads": "the client has two threads",
    "active master": "/master",
    "backup": "backup",
    "watch `/master`": "stat -w /master",
    "come and go": "/workers",
    "tasks": "/tasks/task-",
    "assignments": "create /assign/w1",
    "results": "/status",
    "worker that dies": "What if a worker dies",
    "preset roles": "preset roles",
    "equal peers": "equal peers",
}


def anchor(heading: str) -> str:
    """What a link to it ends with."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections(page: str) -> dict[str, str]:
    """Each with the sections below it, by anchor."""
    headings = list(re.finditer(r"^(#+) (.+)$", page, re.MULTILINE))
    found = {}
    for number, heading in enumerate(headings):
        after = [other.start() for other in headings[number + 1 :] if len(other[1]) <= len(heading[1])]
        found[anchor(heading[2])] = page[heading.start() : after[0] if after else len(page)]
    return found


def test_every_topic_of_an_introduction_is_where_the_table_says() -> None:
    page = PAGE.read_text()
    found = sections(page)
    rows = re.findall(r"^\| (.+) \| \[.+\]\(#(.+)\) \|$", page.partition("## What is where")[2], re.MULTILINE)
    for topic, words in TOPICS.items():
        places = [found[place] for topics, place in rows if topic in topics]
        assert places, topic
        assert any(words.lower() in text.lower() for text in places), (topic, words)


def test_the_pages_anchors_are_headings() -> None:
    page = PAGE.read_text()
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= sections(page).keys()


def test_the_pages_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
