"""What mypy makes of a program that has a client: checked by `make lint`, never run."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from mwapp import (
    AsyncClient,
    AsyncTable,
    AsyncTask,
    Call,
    Client,
    End,
    ShardState,
    Table,
    TableState,
    Task,
    handler,
)


@handler
def add(x: int, y: int = 2) -> int:
    return x + y


@handler(retries=3)
def fails(why: str) -> list[str]:
    raise ValueError(why)


def threads(client: Client) -> None:
    assert_type(client.submit("true", retries=2, name="x", env={"A": "b"}, labels=["gpu"]), Task[str])
    assert_type(client.submit(add, 1, y=2), Task[int])
    assert_type(client.submit(add, 1).result(), int)
    assert_type(client.submit(add.call(1).options(retries=2)), Task[int])
    assert_type(client.submit(fails, "x").result(5), list[str])
    assert_type(client.submit(Call("true", retries=1)), Task[str])
    assert_type(client.submit(Call(handler="echo", argument=1)), Task[Any])
    assert_type(client.task("x"), Task[Any])
    assert_type(client.task(7, add), Task[int])
    assert_type(client.submit_many([add.call(1), add.call(2)]), list[Task[int]])
    assert_type(client.submit_many(["true", Call("false", retries=1)]), list[Task[str]])
    assert_type(client.submit("true", timeout=5, retries=2), Task[str])
    assert_type(client.submit(add.call(1), timeout=5), Task[int])
    assert_type(client.submit_many([add.call(1)], timeout=5), list[Task[int]])
    assert_type(client.task(7).existed, bool | None)
    assert_type(client.wait([client.task(7)], timeout=1.5), list[End])
    assert_type(client.as_completed([client.task(7, add)]), Iterator[Task[int]])
    assert_type(add(1, 2), int)
    client.submit(add, "1")  # type: ignore[call-overload]
    client.submit(add)  # type: ignore[call-overload]
    client.submit("true", retry=2)  # type: ignore[call-overload]
    add.call(1, z=2)  # type: ignore[call-arg]
    Call("true", labels="gpu")  # type: ignore[call-overload]
    table = client.table("t")
    assert_type(table, Table)
    table.create(shards=12, replicas=3, spread="zone", handler="stores:Region", timeout=30)
    assert_type(table.show(), list[ShardState])
    assert_type(table.shard(7).address, str)
    assert_type(table.shard(7).members["w1"].state, str)
    assert_type(client.tables(), list[TableState])
    table.create(replicas=3)  # type: ignore[call-arg]
    table.create(shards=12, replica=3)  # type: ignore[call-arg]
    table.move(7, 2)  # type: ignore[arg-type]


async def asyncio(client: AsyncClient) -> None:
    assert_type(await client.submit("true", retries=2), AsyncTask[str])
    task = await client.submit(add, 1, y=2)
    assert_type(task, AsyncTask[int])
    assert_type(await task.result(timeout=5), int)
    assert_type(await client.submit_many([add.call(1)]), list[AsyncTask[int]])
    assert_type(client.as_completed([task]), AsyncIterator[AsyncTask[int]])
    assert_type(await client.wait([task]), list[End])
    assert_type(await task.wait(), End)
    client.task(7, add)
    assert_type(client.table("t"), AsyncTable)
    await client.table("t").create(shards=12, command="serve")
    assert_type(await client.table("t").show(), list[ShardState])
    assert_type(await client.tables(timeout=5), list[TableState])
    assert_type(await client.submit(add.call(1), timeout=5), AsyncTask[int])
