import asyncio
import contextlib
import gc
import os
import socket
import stat
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from allstop.actors.errors import BadInput, Problem, RefusalCode, Refused
from allstop.actors.links import control
from allstop.actors.links.control import ControlFailed, ControlServer, Handler, Message, NoEngine, ask_engine

pytestmark = pytest.mark.loopback


@contextlib.asynccontextmanager
async def engine(
    state_dir: Path, handler: Handler, answer_timeout_s: float = 5.0
) -> AsyncGenerator[ControlServer, None]:
    server = ControlServer(state_dir, handler, answer_timeout_s=answer_timeout_s)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def echo(request: Message) -> Message:
    return {"got": request}


async def raw(state_dir: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(state_dir / "control.sock"))
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(100_000), 5)
    writer.close()
    return answer


async def test_a_request_gets_its_answer(tmp_path: Path):
    async with engine(tmp_path, echo):
        answer = await ask_engine(tmp_path, {"do": "status", "n": 1})
    assert answer == {"ok": True, "got": {"do": "status", "n": 1}}


async def test_the_socket_is_for_its_owner_alone_and_goes_when_the_engine_ends(tmp_path: Path):
    async with engine(tmp_path, echo) as server:
        mode = stat.S_IMODE(server.path.stat().st_mode)
    assert mode == 0o600
    assert not (tmp_path / "control.sock").exists()


async def test_without_an_engine_it_says_so(tmp_path: Path):
    with pytest.raises(NoEngine, match="no engine is running"):
        await ask_engine(tmp_path, {})
    with pytest.raises(NoEngine, match="no engine is running"):
        await ask_engine(tmp_path / "not" / "there", {})


def leave_stale_socket(state_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(state_dir / "control.sock"))


async def test_what_a_dead_engine_left_is_no_engine(tmp_path: Path):
    leave_stale_socket(tmp_path)
    with pytest.raises(NoEngine, match="gone"):
        await ask_engine(tmp_path, {})


async def test_an_engine_starts_over_what_a_dead_one_left(tmp_path: Path):
    leave_stale_socket(tmp_path)
    async with engine(tmp_path, echo):
        assert (await ask_engine(tmp_path, {}))["ok"]


async def test_a_second_engine_is_refused_and_the_first_keeps_its_socket(tmp_path: Path):
    async with engine(tmp_path, echo):
        with pytest.raises(BadInput, match="another engine"):
            await ControlServer(tmp_path, echo).start()
        assert (await ask_engine(tmp_path, {}))["ok"]


@pytest.mark.parametrize(
    "error",
    [Refused(RefusalCode.LEVEL, "halted"), BadInput(Problem("no such path"))],
    ids=["refused", "bad input"],
)
async def test_a_refusal_of_the_handler_is_an_answer(tmp_path: Path, error: Exception):
    async def refuse(request: Message) -> Message:
        raise error

    async with engine(tmp_path, refuse):
        answer = await ask_engine(tmp_path, {})
    assert answer == {"ok": False, "error": type(error).__name__, "message": str(error)}


async def test_a_handler_that_takes_too_long_is_answered_for(tmp_path: Path):
    async def hang(request: Message) -> Message:
        await asyncio.Event().wait()
        return {}

    async with engine(tmp_path, hang, answer_timeout_s=0.05):
        assert (await ask_engine(tmp_path, {}))["error"] == "Timeout"


async def test_an_engine_that_does_not_answer_ends_the_clients_wait(tmp_path: Path):
    async def hang(request: Message) -> Message:
        await asyncio.Event().wait()
        return {}

    async with engine(tmp_path, hang):
        with pytest.raises(ControlFailed, match="no answer"):
            await ask_engine(tmp_path, {}, timeout_s=0.05)


async def test_an_engine_that_dies_over_a_request_is_a_clear_error(tmp_path: Path):
    entered = asyncio.Event()

    async def hang(request: Message) -> Message:
        entered.set()
        await asyncio.Event().wait()
        return {}

    async with engine(tmp_path, hang) as server:
        asking = asyncio.ensure_future(ask_engine(tmp_path, {}))
        await asyncio.wait_for(entered.wait(), 5)
        await server.close()
        with pytest.raises(ControlFailed, match="no usable answer"):
            await asking


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[1]\n", b"\xff\n", b"\n", b'{"a":' + b"[" * 100_000 + b"\n"]
)
async def test_what_is_no_json_object_is_refused_and_the_connection_lives_on(tmp_path: Path, line: bytes):
    async with engine(tmp_path, echo):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
        writer.write(line + b'{"n":1}\n')
        answers = [await asyncio.wait_for(reader.readline(), 5) for _ in range(2)]
        writer.close()
    assert b"BadRequest" in answers[0]
    assert answers[1] == b'{"ok":true,"got":{"n":1}}\n'


async def test_a_line_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "LINE_BYTES_MAX", 1000)
    async with engine(tmp_path, echo):
        assert b"LineTooLong" in await raw(tmp_path, b"x" * 3000)


async def test_a_client_that_says_nothing_loses_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "IDLE_S", 0.05)
    async with engine(tmp_path, echo):
        assert await raw(tmp_path, b"") == b""


async def test_a_client_that_sends_a_byte_now_and_then_loses_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(control, "IDLE_S", 0.2)
    async with engine(tmp_path, echo):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.01)

        dripping = asyncio.ensure_future(drip())
        assert await asyncio.wait_for(reader.read(), 5) == b""
        dripping.cancel()
        writer.close()


async def test_a_client_that_never_reads_loses_its_place_and_nothing_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    troubles: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: troubles.append(context))
    monkeypatch.setattr(control, "IDLE_S", 0.2)
    many = "x" * 500_000

    async def handler(_: Message) -> Message:
        return {"much": many}

    async with engine(tmp_path, handler) as server:
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            client.connect(str(tmp_path / "control.sock"))
            client.send(b"{}\n" * 100)
            await served(server, 1)
            transport = next(iter(server._connections.values())).transport  # pyright: ignore[reportPrivateUsage]
            await served(server, 0)
            await asyncio.sleep(0)
            assert transport.get_write_buffer_size() == 0  # its answers are not kept for it
        assert (await ask_engine(tmp_path, {}))["ok"]
    gc.collect()
    await asyncio.sleep(0)
    assert troubles == []


async def test_after_a_thousand_connections_the_next_one_is_served(tmp_path: Path):
    troubles: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: troubles.append(context))
    async with engine(tmp_path, echo) as server:
        before = len(os.listdir("/proc/self/fd"))
        for wave in range(20):
            clients = [socket.socket(socket.AF_UNIX) for _ in range(50)]
            for client in clients:
                client.setblocking(False)
                client.connect(str(tmp_path / "control.sock"))
            await served(server, control.CONNECTIONS_MAX)
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send([b"", b"{", b"nonsense\n", b"\0" * 1000][wave % 4])
                client.close()
            await served(server, 0)
        assert await ask_engine(tmp_path, {"n": 1}) == {"ok": True, "got": {"n": 1}}
        await served(server, 0)
        assert len(os.listdir("/proc/self/fd")) <= before
    assert troubles == []


async def served(server: ControlServer, clients: int) -> None:
    """So many have a place."""
    async with asyncio.timeout(10):
        while len(server._connections) != clients:  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0.002)


async def test_too_many_clients_are_turned_away_and_the_others_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(control, "CONNECTIONS_MAX", 1)
    async with engine(tmp_path, echo):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
        writer.write(b"{}\n")
        assert await asyncio.wait_for(reader.readline(), 5)
        assert await raw(tmp_path, b"") == b""
        writer.write(b"{}\n")
        assert await asyncio.wait_for(reader.readline(), 5)
        writer.close()


async def test_a_state_directory_with_a_long_path_works(tmp_path: Path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    async with engine(deep, echo):
        assert (await ask_engine(deep, {}))["ok"]
        with pytest.raises(BadInput, match="another engine"):
            await ControlServer(deep, echo).start()
    assert not os.path.exists(deep / "control.sock")
