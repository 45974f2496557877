"""The client for threads."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import grpc

from . import _wire
from ._connection import Settings, Tls
from ._plan import Attempts, Call, Outcome, read
from .coalesce import MAX_BYTES, MAX_ITEMS, WAIT_SECONDS, Waiting, first_batch
from .errors import RewardError, from_rpc, late
from .items import Item
from .outcome import OnError, finish, unwrap
from .results import Model, Score, to_model

CALLS_AT_ONCE = 4


class RewardClient:
    """Scores from any number of threads; survives fork and pickle.

    ``score`` calls of many threads become few calls of the server; ``score_batch`` folds equal prompts into one request. All failures are
    `RewardError`; a score is always finite.
    """

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
        """``target``: ``host:port`` or ``dns:///host:port``; the others as in `Settings`. Connects at the first call."""
        self._settings = Settings.make(target, tls=tls, token=token, timeout=timeout, rpc_timeout=rpc_timeout, pin=pin)
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def score(self, item: Item, timeout: float | None = None) -> Score:
        """Scores one item, together with those of other threads. Raises RewardError."""
        seconds = self._seconds(timeout)
        future = self._here().coalescer.put(item)
        try:
            return unwrap(future.result(seconds))
        except FutureTimeoutError:
            future.cancel()
            raise late(seconds) from None

    def score_batch(self, items: Sequence[Item], timeout: float | None = None, on_error: OnError = "raise") -> list[Any]:
        """One score per item, in their order.

        With ``on_error`` other than ``raise`` a failed item gives ``None`` (``skip``), or a `Score` of NaN (``nan``) or 0 (``zero``).
        Raises RewardError with ``item_errors`` otherwise, and always if the server cannot be reached.
        """
        return finish(self._here().outcomes(items, self._seconds(timeout)), on_error)

    def model(self) -> Model:
        """The model that serves. Raises RewardError."""
        return self._here().model(time.monotonic() + self._settings.timeout)

    def close(self) -> None:
        """Gives the connection up; calls under way are finished first."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None and process.pid == os.getpid():
            process.close()

    def __enter__(self) -> RewardClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> Settings:
        return self._settings

    def __setstate__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._process = None

    def _seconds(self, timeout: float | None) -> float:
        return self._settings.timeout if timeout is None else timeout

    def _here(self) -> _Process:
        """What belongs to this process: channels made before a fork are unsafe after it."""
        with self._lock:
            if self._process is None or self._process.pid != os.getpid():
                self._process = _Process(self._settings)
            return self._process


class _Process:
    """A client's channel, threads and what it knows of the server, in one process."""

    def __init__(self, settings: Settings) -> None:
        self.pid = os.getpid()
        self._settings = settings
        self._lock = threading.Lock()
        self._stamp: tuple[float, ...] | None = None
        self._channel: Any = None
        self._known: Model | None = None
        self._met = False
        self._pool = ThreadPoolExecutor(CALLS_AT_ONCE, "dmoerm-call")
        self.coalescer = _Coalescer(self)

    def close(self) -> None:
        self.coalescer.close()
        self._pool.shutdown(wait=True)
        if self._channel is not None:
            self._channel.close()

    def outcomes(self, items: Sequence[Item], seconds: float) -> list[Outcome]:
        if not items:
            return []
        deadline = time.monotonic() + seconds
        model = self.model(deadline)
        pin = self._settings.pin
        if pin:
            items = [item.pinned(model.revision if pin is True else str(pin)) for item in items]
        attempts = Attempts(items, model.limits, deadline)
        while True:
            calls = attempts.calls()
            run = self._pool.map if len(calls) > 1 else map
            for outcomes in run(lambda call: self._call(call, attempts.left), calls):
                attempts.take(outcomes)
            pause = attempts.pause()
            if pause is None:
                return attempts.outcomes()
            time.sleep(pause)

    def model(self, deadline: float) -> Model:
        """Asked once: a run keeps the limits and the revision that it began with."""
        if self._known is None:
            try:
                response = self._rpc("GetModel", _wire.GetModelRequest(), _wire.GetModelResponse, deadline - time.monotonic())
            except grpc.RpcError as error:
                raise from_rpc(error) from None
            self._known = to_model(response)
        return self._known

    def _call(self, call: Call, left: float) -> dict[int, Any]:
        try:
            return dict(read(call, self._rpc("BatchScore", call.request, _wire.BatchScoreResponse, left)))
        except grpc.RpcError as error:
            return dict.fromkeys(call.positions, from_rpc(error))

    def _rpc(self, method: str, request: Any, answer: Any, left: float) -> Any:
        call = self._open().unary_unary(
            _wire.SERVICE + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        # A trainer often starts before its reward model does; later on, being away is an error that passes or does not.
        timeout = max(0.0, left if not self._met else min(left, self._settings.rpc_timeout))
        response = call(request, timeout=timeout, metadata=self._settings.metadata, wait_for_ready=not self._met)
        self._met = True
        return response

    def _open(self) -> Any:
        """The channel; a new one when certificates have changed, which a live one would not notice."""
        tls = self._settings.tls
        with self._lock:
            stamp = None if tls is None else tls.stamp()
            if self._channel is None or stamp != self._stamp:
                options = self._settings.options()
                target = self._settings.target
                # An old channel ends with its last call: whoever uses it holds it.
                self._channel = (
                    grpc.insecure_channel(target, options) if tls is None else grpc.secure_channel(target, tls.credentials(), options)
                )
                self._stamp = stamp
            return self._channel


class _Coalescer:
    """Collects the items of many threads for some milliseconds and sends them together."""

    def __init__(self, process: _Process) -> None:
        self._process = process
        self._queue: list[Waiting[Future[Outcome]]] = []
        self._changed = threading.Condition()
        self._slots = threading.BoundedSemaphore(CALLS_AT_ONCE)
        self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, item: Item) -> Future[Outcome]:
        waiting = Waiting(item, Future[Outcome](), time.monotonic())
        with self._changed:
            if self._closed:
                raise RewardError("CANCELLED", "CLOSED", "the client was closed")
            self._queue.append(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="dmoerm-coalescer", daemon=True)
                self._thread.start()
            self._changed.notify()
        return waiting.future

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    return
                full = self._queue[0].since + WAIT_SECONDS
                while (left := full - time.monotonic()) > 0 and not self._closed and not self._is_full():
                    self._changed.wait(left)
                batch, self._queue = first_batch(self._queue)
            self._slots.acquire()
            threading.Thread(target=self._send, args=(batch,), name="dmoerm-batch", daemon=True).start()

    def _is_full(self) -> bool:
        return len(self._queue) >= MAX_ITEMS or sum(one.item.size for one in self._queue) >= MAX_BYTES

    def _send(self, batch: list[Waiting[Future[Outcome]]]) -> None:
        wanted = [one for one in batch if one.future.set_running_or_notify_cancel()]
        try:
            outcomes: Sequence[Any] = self._process.outcomes([one.item for one in wanted], self._process._settings.timeout)
        except Exception as error:  # whatever it is, nobody may wait for ever
            outcomes = [error] * len(wanted)
        finally:
            self._slots.release()
        for one, outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, (Score, RewardError)):
                one.future.set_result(outcome)
            else:
                one.future.set_exception(outcome)
