"""What can be submitted from Python, and what is said of what cannot."""

import copy
import functools
import math
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

import mwapp
from mwapp import Call, Client, handler
from mwapp.client import calls
from mwapp.client.background import End
from mwapp.client.calls import Options, call_of, new_key, submitter_of
from mwapp.client.handles import Handle, named
from mwapp.core.protocol import Outcome
from mwapp.core.task import Task
from mwapp.errors import BadInputError, TaskFailedError

P = ParamSpec("P")
R = TypeVar("R")


@handler
def add(x: int, y: int = 2) -> int:
    """Add."""
    return x + y


@handler(retries=3, labels=["gpu"])
def paint(picture: str, **colours: str) -> str:
    return f"{picture} {colours}"


def decorated(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapper


@handler
@decorated
def wrapped(x: int) -> int:
    return x


def plain(x: int) -> int:
    return x


def stored(*what: Any, **named: Any) -> Task:
    return call_of(what[0], what[1:], named).task("k")


def test_a_command_with_its_options() -> None:
    task = stored(
        "make", run_timeout=60, retries=2, env={"B": "2", "A": "1"}, directory="/srv", labels=["z", "a", "z"]
    )
    assert task == Task(
        "make",
        "k",
        timeout=60,
        retries=2,
        environment={"A": "1", "B": "2"},
        directory="/srv",
        labels=("a", "z"),
    )
    assert list(task.environment) == ["A", "B"], "the same task is the same bytes"


def test_times() -> None:
    task = stored("make", retries=3, retry_delay=10, delay=60, expires=3600.5)
    assert task == Task("make", "k", retries=3, retry_delay=10, delay=60, expires=3600.5)
    christmas = datetime(2026, 12, 24, 18, tzinfo=timezone(timedelta(hours=1)))
    assert stored("make", at=christmas).not_before == 1_798_131_600
    assert stored("make", at=1_798_131_600).not_before == 1_798_131_600
    local = datetime(2026, 12, 24, 18)
    assert stored("make", at=local).not_before == local.timestamp()


def test_a_name_takes_the_place_of_a_mark() -> None:
    assert stored("make", name="build-7") == Task("make")
    assert call_of("make", (), {"name": "build-7"}).task(new_key("eve@ci")).key == "eve@ci#"


def test_who_submits() -> None:
    task = call_of("make", (), {}).task(new_key("CN=eve, O=ci #1"))
    assert task.submitter == "CN=eve, O=ci #1"
    assert Task.decode(task.encode()).submitter == task.submitter
    assert new_key("eve") != new_key("eve")
    assert [Task("make", key).submitter for key in (None, "0123", "#0123", "eve#")] == [
        None,
        None,
        None,
        "eve",
    ]
    assert submitter_of("eve@ci") == "eve@ci"
    for bad in ("", " eve", "eve\n", "x" * 101):
        with pytest.raises(BadInputError, match=r"^--submitter: submitter .* is 1 to 100 characters"):
            submitter_of(bad, "--submitter")


def test_a_user_whose_name_is_odd_submits_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_user", lambda: "DOMAIN\\Eve A\tB" + 100 * "x")
    assert submitter_of(None).startswith("DOMAIN\\Eve_A_Bx")
    assert submitter_of(submitter_of(None)) == submitter_of(None)
    monkeypatch.undo()
    assert submitter_of(None).endswith("@" + os.uname().nodename.partition(".")[0])
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    assert submitter_of(None).startswith("4000000@")


def test_a_client_takes_the_variable_for_its_submitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MWAPP_SUBMITTER", "eve@ci")
    with Client() as client, Client(submitter="bob") as other:
        assert (client._submitter, other._submitter) == ("eve@ci", "bob")
    monkeypatch.setenv("MWAPP_SUBMITTER", "")
    with Client() as client:
        assert client._submitter == submitter_of(None)


def test_a_handler_is_given_its_arguments_by_name() -> None:
    assert stored(add, 1) == Task(key="k", handler=f"{__name__}:add", argument={"x": 1})
    assert stored(add, y=1, x=2).argument == {"x": 2, "y": 1}
    assert stored(wrapped, 1).argument == {"x": 1}
    assert stored(paint, "sea", sky="blue").argument == {"picture": "sea", "sky": "blue"}


def test_a_handler_has_options_and_a_call_may_have_others() -> None:
    assert stored(paint.call("sea")).retries == 3
    task = stored(paint.call("sea").options(retries=0, run_timeout=5))
    assert (task.retries, task.timeout, task.labels) == (0, 5, ("gpu",))


def test_a_handler_by_its_name() -> None:
    assert stored(Call(handler="echo", argument=[1])) == Task(key="k", handler="echo", argument=[1])


def itself(self: int, what: int = 0) -> int:
    return self + what


itself_handler = handler(itself)


@handler
def given(self: int, what: int = 0) -> int:
    return self + what


@handler
def silent() -> None: ...


def test_arguments_may_have_any_name() -> None:
    assert given(self=1, what=2) == 3
    assert stored(given.call(self=1, what=2)).argument == {"self": 1, "what": 2}


def test_what_workers_would_not_find_is_refused_when_it_is_called() -> None:
    """Decorated under another name: workers look for `itself`, and find a plain function."""
    with pytest.raises(BadInputError, match=f"^@handler: {__name__}.itself is not what workers would run"):
        itself_handler.call(1)


def test_wrong_options_of_a_handler_are_told_where_they_stand() -> None:
    options: Any
    for options, message in (
        ({"retrise": 3}, "retrise: there is no such"),
        ({"retries": "3"}, "retries: '3' is not"),
    ):
        with pytest.raises(BadInputError, match=f"^{message}"):
            handler(**options)(plain)
    with pytest.raises(BadInputError, match=r"^retries: task field 'retries' must be a number from 0"):
        handler(retries=-1)(plain)


def test_a_handler_looks_like_its_function() -> None:
    assert (add.__name__, add.__qualname__, add.__module__) == ("add", "add", __name__)  # type: ignore[attr-defined]  # mypy sees the class
    assert pickle.loads(pickle.dumps(add)) is add  # noqa: S301 - our own
    assert copy.deepcopy(add) is add


def test_a_handler_that_left_has_no_result() -> None:
    """By sys.exit(0), so what it has printed is none."""
    end = End("x", "done", Outcome(code=0, output="printed\n"))
    for read in (add.call(1).read, named("x", add)[1]):
        with pytest.raises(
            TaskFailedError, match=r"^x is done, but: it has returned nothing.*sys.exit\(0\)$"
        ) as told:
            Handle("x", read)._result(end)
        assert told.value.end is end
    assert Handle("x", silent.call().read)._result(end) is None


def test_called_directly_it_runs_here() -> None:
    assert add(1, y=5) == 6
    assert add.__doc__ == "Add."
    assert repr(add) == f"<handler {__name__}:add>"


@pytest.mark.processes
def test_the_module_of_a_program_is_what_it_was_started_from(tmp_path: Path) -> None:
    program = tmp_path / "chores.py"
    program.write_text(
        "from mwapp import handler\n@handler\ndef sweep() -> None: ...\nprint(sweep.name)\n", encoding="utf-8"
    )
    (tmp_path / "my-chores.py").write_text(program.read_text())
    odd = subprocess.run(
        [sys.executable, "my-chores.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "@handler: workers cannot import my-chores: name it with letters, digits and _ alone" in odd.stderr
    for arguments in (["chores.py"], ["-m", "chores"]):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout == "chores:sweep\n"


@pytest.mark.processes
def test_what_is_typed_in_cannot_be_found_by_workers() -> None:
    program = "from mwapp import handler\n@handler\ndef sweep() -> None: ...\nsweep.call()\n"
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, check=False)
    assert "@handler: workers cannot import <stdin>: put the function in a module (NAME.py)" in done.stderr


def nested() -> Any:
    def inner() -> None: ...

    return inner


async def coroutine() -> None: ...


def starred(*all_of_them: int) -> None: ...


def unnamed(x: int, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (nested(), "@handler: nested.<locals>.inner is not at the top of its module"),
        (coroutine, "@handler: coroutine has to be a plain function; call asyncio.run in it"),
        (starred, "@handler: each argument of starred needs a name: no *args and no /"),
        (unnamed, "@handler: each argument of unnamed needs a name: no *args and no /"),
        (3, "@handler: 3 is not a function"),
        (lambda x: x, "@handler: <lambda> has no name that workers could look for; use def"),
        (add, "@handler: add is one already; write it once"),
    ],
)
def test_what_cannot_be_a_handler(function: Any, message: str) -> None:
    with pytest.raises(BadInputError) as told:
        handler(function)
    assert str(told.value).startswith(message)


def nest(inner: Any, depth: int) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("what", "named", "message"),
    [
        (("",), {}, "command: task is empty"),
        (("a\0b",), {}, "command: the command has a NUL"),
        (("x" * 600_000,), {}, "command: task of 600"),
        (
            (b"make",),
            {},
            "submit: b'make' is not a shell command (text), a function with @handler, or a Call",
        ),
        (("make", "-j2"), {}, "submit: write a shell command's arguments in the command itself"),
        ((plain, 1), {}, "submit: plain is no handler; write @handler above its definition"),
        (
            (Call("make"),),
            {"retries": 1},
            "submit: a Call has its arguments; set its options by call.options(",
        ),
        ((Call(),), {}, "command: a task has either a field 'command' or a field 'handler'"),
        ((Call("make", handler="echo"),), {}, "argument: a task has either a field 'command' or"),
        ((Call("make", argument=1),), {}, "command: task field 'argument' is for a handler"),
        ((Call(handler=" "),), {}, "handler: task field 'handler' is empty"),
        (
            (Call(handler="echo", argument={1, 2}),),
            {},
            "argument: task field 'argument' cannot be written as",
        ),
        (
            (add,),
            {},
            f"{__name__}:add: missing a required argument: 'x'; it takes (x: int, y: int = 2) -> int",
        ),
        ((add, 1, 2, 3), {}, f"{__name__}:add: too many positional arguments"),
        ((add, 1), {"z": 1}, f"{__name__}:add: got an unexpected keyword argument 'z'"),
        (
            ("make",),
            {"retry": 1},
            "retry: there is no such option; the options are name, run_timeout, retries",
        ),
        (("make",), {"name": 7}, "name: 7 is not text"),
        (("make",), {"name": "task-7"}, "name: name 'task-7': a task's name is up to 100 letters"),
        (("make",), {"retries": "2"}, "retries: '2' is not a number"),
        (("make",), {"retries": -1}, "retries: task field 'retries' must be a number from 0 to 1000"),
        (("make",), {"run_timeout": 0}, "run_timeout: task field 'timeout' must be seconds above 0"),
        (("make",), {"run_timeout": True}, "run_timeout: True is not a number of seconds"),
        (("make",), {"retry_delay": -1}, "retry_delay: task field 'retry_delay' must be seconds from 0"),
        (("make",), {"retry_delay": None}, "retry_delay: task field 'retry_delay' must be seconds from 0"),
        (("make",), {"delay": "1h"}, "delay: '1h' is not a number of seconds"),
        (("make",), {"delay": 1e9}, "delay: task field 'delay' must be seconds from 0, at most 31622400"),
        (("make",), {"at": "noon"}, "at: 'noon' is not a datetime, or seconds since the Unix epoch"),
        (("make",), {"at": -5.0}, "at: task field 'not_before' must be seconds from 0"),
        (("make",), {"expires": 0}, "expires: task field 'expires' must be seconds above 0"),
        (("make",), {"expires": 5, "delay": 60}, "expires: task field 'expires': the task fails after 5 s"),
        (
            ("make",),
            {"expires": 5, "at": 9e9},
            "expires: the task fails after 5 s, but 'at' keeps it from beg",
        ),
        (("make",), {"expires": 5, "delay": -60}, "delay: task field 'delay' must be seconds from 0"),
        (("make",), {"env": {"A": 1}}, "env: {'A': 1} is not a dict of text"),
        (("make",), {"env": {"1": "x"}}, "env: task field 'environment': '1' cannot be set"),
        (("make",), {"secrets": {"1": "x"}}, "secrets: a secret value's name cannot be set"),
        (("make",), {"secrets": {"A": None}}, "secrets: secret values are an object of names and strings"),
        (("make",), {"secrets": {"A": "1"}, "env": {"A": "1"}}, "secrets: task field 'secrets': A is in"),
        (("make",), {"env": {"A": "1", "B": None}}, "env: {'A': '1', 'B': None} is not a dict of text"),
        (("make",), {"env": {None: "x", "A": "y"}}, "env: {None: 'x', 'A': 'y'} is not a dict of text"),
        (("make",), {"env": {"A": "\ud800"}}, "env: it is not valid UTF-8"),
        (("make",), {"directory": "/\ud800"}, "directory: it is not valid UTF-8"),
        (("make",), {"labels": [None, "a"]}, "labels: [None, 'a'] is not a list of text"),
        (("make",), {"retries": 10**5000}, "retries: "),
        ((Call(handler="echo", argument=nest([], 100_000)),), {}, "argument: it is nested too deeply"),
        ((Call(handler="echo", argument="\ud800"),), {}, "argument: it is not valid UTF-8"),
        (
            (Call(handler="echo", argument=[math.nan]),),
            {},
            "argument: task field 'argument' cannot be written",
        ),
        (
            (Call(handler="echo", argument=[{1: "a", "1": "b"}]),),
            {},
            "argument: task field 'argument' cannot be written as JSON: two keys of a dict are '1' there",
        ),
        (({1: "x" * 1000},), {}, "submit: {1: 'xxx"),
        (("make",), {"directory": "here"}, "directory: task field 'directory' must be an absolute path"),
        (("make",), {"labels": "gpu"}, "labels: 'gpu' is not a list of text, such as ['gpu']"),
        (("make",), {"labels": ["a b"]}, "labels: label 'a b'"),
    ],
)
def test_bad_input_is_told_by_the_argument_s_name(what: tuple[Any, ...], named: Any, message: str) -> None:
    with pytest.raises(BadInputError) as told:
        stored(*what, **named)
    assert str(told.value).startswith(message), told.value


@pytest.mark.parametrize(
    "values",
    [
        "hush",
        ["hush"],
        {"A": 1, "B": "hush"},
        {"A": "hush\0"},
        {"\ud800": "hush"},
        {None: "hush"},
        {None: "hush", "A": "hush"},
        {"it is hush": "TOKEN"},
    ],
)
def test_no_message_has_a_secret_value(values: Any) -> None:
    with pytest.raises(BadInputError, match=r"^secrets: ") as told:
        stored("make", secrets=values)
    assert "hush" not in str(told.value)


def test_secret_values_are_beside_the_task_which_gets_a_name() -> None:
    call = Call("make", secrets={"B": "2", "A": "hush"})
    assert call.secrets == b'{"A":"hush","B":"2"}'
    assert call.task("k") == Task("make", "k", secrets=("A", "B"))
    assert "hush" not in repr(call) + repr(call.task("k"))
    first, second = call.named().name, call.named().name
    assert first is not None
    assert re.fullmatch("secret-[0-9a-f]{16}", first)
    assert first != second
    assert call.options(name="mine").named().name == "mine"
    assert call.named().secrets == call.secrets
    for plain_call in (Call("make"), Call("make", secrets={})):
        assert (plain_call.named().name, plain_call.secrets) == (None, None)


def test_every_option_is_checked() -> None:
    assert Options.__annotations__.keys() == calls._OPTIONS.keys() == {"name", *calls._FIELDS}


@pytest.mark.parametrize(("returned", "result"), [("3", 3), ('{"a": "\\n"}', {"a": "\n"}), ("null", None)])
def test_the_result_is_what_was_returned_and_not_what_was_printed(returned: str, result: object) -> None:
    end = End("x", "done", Outcome(code=0, output="printed\n", result=returned))
    for call in (add.call(1), Call(handler="echo")):
        assert Handle("x", call.read)._result(end) == result
    assert Handle("x", Call("true").read)._result(end) == "printed\n"
    nothing = End("x", "done", Outcome(code=0, output="printed\n"))
    assert Handle("x", Call(handler="echo").read)._result(nothing) == "printed\n"
    assert Handle("x", named("x")[1])._result(nothing) == "printed\n"
    assert Handle("x", named("x")[1])._result(end) == result


@pytest.mark.parametrize(
    ("state", "outcome", "message"),
    [
        ("failed", Outcome(code=3), "x failed: exit status 3"),
        (
            "failed",
            Outcome(code=1, output="Traceback\nValueError: no\n"),
            "x failed: exit status 1: ValueError: no",
        ),
        ("failed", Outcome(code=-9, reason="killed by SIGKILL"), "x failed: killed by SIGKILL"),
        ("failed", Outcome(reason="unknown handler 'y'"), "x failed: unknown handler 'y'"),
        ("failed", Outcome(), "x failed"),
        ("cancelled", Outcome(code=-15), "x was cancelled"),
    ],
)
def test_a_failed_task_says_why(state: str, outcome: Outcome, message: str) -> None:
    end = End("x", state, outcome)
    with pytest.raises(TaskFailedError) as told:
        Handle("x", str)._result(end)
    assert str(told.value) == message
    assert told.value.end is end


def test_what_expires_after_its_time_has_come_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """By this machine's clock."""
    monkeypatch.setattr("mwapp.client.calls.time.time", lambda: 1000.0)
    for at in (900.0, 1009.9):
        assert Call("make", expires=10, at=at).task("k").not_before == at
    with pytest.raises(BadInputError, match=r"^expires: .* for 10 s by this machine's clock$"):
        Call("make", expires=10, at=1010.0).task("k")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"connect": "zk1:x"}, "connect: 'zk1:x' is not HOST[:PORT]"),
        ({"connect": "zk1/a//b"}, "connect: '/a//b' is not a znode's path"),
        ({"connect": "zk1/\udcff"}, "connect: '/\\udcff' is not a znode's path"),
        ({"connect": ["zk1"]}, "connect: ['zk1'] is not text such as 'zk1:2181,zk2:2181'"),
        ({"connect_timeout": 0}, "connect_timeout: 0 is not seconds above 0"),
        ({"connect_timeout": "9"}, "connect_timeout: '9' is not seconds above 0"),
        ({"connect_timeout": math.nan}, "connect_timeout: nan is not seconds above 0"),
        ({"max_tasks": 0}, "max_tasks: 0 is not a number from 1 to 40000"),
        ({"submitter": 7}, "submitter: 7 is not text"),
        ({"submitter": " "}, "submitter: submitter ' ': a submitter is 1 to 100 characters"),
    ],
)
def test_bad_settings_of_a_client(settings: Any, message: str) -> None:
    with pytest.raises(BadInputError) as told:
        Client(**settings)
    assert str(told.value).startswith(message)


def test_the_package_has_what_it_says() -> None:
    assert set(mwapp.__all__) == set(mwapp._HOMES)
    for name in mwapp.__all__:
        assert getattr(mwapp, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Clinet'"):
        mwapp.Clinet  # noqa: B018 - it is the access that fails
