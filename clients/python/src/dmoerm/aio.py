"""The client for asyncio."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import grpc
import grpc.aio

from . import _wire
from ._connection import Settings, Tls
from ._plan import Attempts, Call, Outcome, read
from .client import CALLS_AT_ONCE
from .coalesce import MAX_BYTES, MAX_ITEMS, WAIT_SECONDS, Waiting, first_batch
from .errors import RewardError, from_rpc, late
from .items import Item
from .outcome import OnError, finish, unwrap
from .results import Model, Score, to_model


class AsyncRewardClient:
    """Scores from coroutines, in any number of event loops; survives fork and pickle. As `RewardClient` otherwise."""

    def __init__(
        self,
        target: str,
        *,
        tls: Tls | None = None,
        token: str | None = None,
        timeout: float = 600.0,
        rpc_timeout: float = 60.0,
        pin: str | bool = False,
    ) -> None:
        self._settings = Settings.make(target, tls=tls, token=token, timeout=timeout, rpc_timeout=rpc_timeout, pin=pin)
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._met = _Met()
        self._pid = os.getpid()

    async def score(self, item: Item, timeout: float | None = None) -> Score:
        """Scores one item, together with those of other tasks of the loop. Raises RewardError; a cancelled caller's item is not sent."""
        seconds = self._seconds(timeout)
        try:
            return unwrap(await asyncio.wait_for(self._here().put(item), seconds))
        except asyncio.TimeoutError:
            raise late(seconds) from None

    async def score_batch(self, items: Sequence[Item], timeout: float | None = None, on_error: OnError = "raise") -> list[Any]:
        """As `RewardClient.score_batch`."""
        return finish(await self._here().outcomes(items, self._seconds(timeout)), on_error)

    async def model(self) -> Model:
        """The model that serves. Raises RewardError."""
        return await self._here().model(time.monotonic() + self._settings.timeout)

    async def close(self) -> None:
        """Gives the connection of this event loop up."""
        with self._lock:
            loop = self._loops.pop(asyncio.get_running_loop(), None)
        if loop is not None:
            await loop.close()

    async def __aenter__(self) -> AsyncRewardClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __getstate__(self) -> Settings:
        return self._settings

    def __setstate__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._loops = {}
        self._met = _Met()
        self._pid = os.getpid()

    def _seconds(self, timeout: float | None) -> float:
        return self._settings.timeout if timeout is None else timeout

    def _here(self) -> _Loop:
        """What belongs to the running loop: a channel works in the loop that made it, and some trainers make a loop a step."""
        running = asyncio.get_running_loop()
        with self._lock:
            if self._pid != os.getpid():
                self._loops, self._pid = {}, os.getpid()
            for loop in [one for one in self._loops if one.is_closed()]:
                del self._loops[loop]
            return self._loops.setdefault(running, _Loop(self._settings, self._met))


class _Met:
    """The model that answered first: what a client knows in all of its loops. A trainer that makes a loop a step must neither pin another
    revision in the next, nor wait for a server that has gone as for one that is yet to come."""

    model: Model | None = None


class _Loop:
    """A client's channel and waiting items in one event loop."""

    def __init__(self, settings: Settings, met: _Met) -> None:
        self._settings = settings
        self._met = met
        self._stamp: tuple[float, ...] | None = None
        self._channel: Any = None
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self._queue: list[Waiting[asyncio.Future[Outcome]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._channel is not None:
            await self._channel.close()

    def put(self, item: Item) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        waiting = Waiting(item, loop.create_future(), loop.time())
        self._queue.append(waiting)
        if len(self._queue) >= MAX_ITEMS or sum(one.item.size for one in self._queue) >= MAX_BYTES:
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(WAIT_SECONDS, self._flush)
        return waiting.future

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            batch, self._queue = first_batch(self._queue)
            self._keep(self._send(batch))

    def _keep(self, sending: Coroutine[Any, Any, None]) -> None:
        """A loop holds its tasks weakly: without this one they could vanish half-way."""
        task = asyncio.get_running_loop().create_task(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, batch: list[Waiting[asyncio.Future[Outcome]]]) -> None:
        async with self._slots:
            wanted = [one for one in batch if not one.future.done()]
            try:
                outcomes: Sequence[Any] = await self.outcomes([one.item for one in wanted], self._settings.timeout)
            except Exception as error:  # whatever it is, nobody may wait for ever
                outcomes = [error] * len(wanted)
        for one, outcome in zip(wanted, outcomes, strict=True):
            if one.future.done():
                continue
            if isinstance(outcome, (Score, RewardError)):
                one.future.set_result(outcome)
            else:
                one.future.set_exception(outcome)

    async def outcomes(self, items: Sequence[Item], seconds: float) -> list[Outcome]:
        if not items:
            return []
        deadline = time.monotonic() + seconds
        model = await self.model(deadline)
        pin = self._settings.pin
        if pin:
            items = [item.pinned(model.revision if pin is True else str(pin)) for item in items]
        attempts = Attempts(items, model.limits, deadline)
        slots = asyncio.Semaphore(CALLS_AT_ONCE)

        async def ask(call: Call) -> None:
            async with slots:
                attempts.take(await self._call(call, attempts.left))

        while True:
            await asyncio.gather(*(ask(call) for call in attempts.calls()))
            pause = attempts.pause()
            if pause is None:
                return attempts.outcomes()
            await asyncio.sleep(pause)

    async def model(self, deadline: float) -> Model:
        if self._met.model is None:
            try:
                response = await self._rpc("GetModel", _wire.GetModelRequest(), _wire.GetModelResponse, deadline - time.monotonic())
            except grpc.RpcError as error:
                raise from_rpc(error) from None
            self._met.model = to_model(response)
        return self._met.model

    async def _call(self, call: Call, left: float) -> dict[int, Any]:
        try:
            return dict(read(call, await self._rpc("BatchScore", call.request, _wire.BatchScoreResponse, left)))
        except grpc.RpcError as error:
            return dict.fromkeys(call.positions, from_rpc(error))

    async def _rpc(self, method: str, request: Any, answer: Any, left: float) -> Any:
        call = self._open().unary_unary(
            _wire.SERVICE + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        first = self._met.model is None
        timeout = max(0.0, left if first else min(left, self._settings.rpc_timeout))
        return await call(request, timeout=timeout, metadata=self._settings.metadata, wait_for_ready=first)

    def _open(self) -> Any:
        tls = self._settings.tls
        stamp = None if tls is None else tls.stamp()
        if self._channel is None or stamp != self._stamp:
            options, target = self._settings.options(), self._settings.target
            self._channel = (
                grpc.aio.insecure_channel(target, options) if tls is None else grpc.aio.secure_channel(target, tls.credentials(), options)
            )
            self._stamp = stamp
        return self._channel
