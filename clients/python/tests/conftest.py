"""A real mesh for all tests, and a server that does what a real one never should."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from dmoerm import _wire

ROOT = Path(__file__).resolve().parents[3]
CLI = ROOT / "apps" / "cli" / "bin" / "dmoerm.js"


class Mesh:
    """``dmoerm serve`` with the small default bundle, always at the same port."""

    def __init__(self, folder: Path) -> None:
        self._ready = folder / "ready.json"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.target = "127.0.0.1:0"
        self.http = ""
        self.start()

    def start(self) -> None:
        self._ready.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            command = ["node", str(CLI), "serve", "--listen", self.target, "--http", "127.0.0.1:0", "--ready-file", str(self._ready)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        while not self._ready.exists() or not self._ready.read_text():
            if self._process.poll() is not None:
                pytest.fail(f"the mesh did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)
        addresses = json.loads(self._ready.read_text())
        self.target = addresses["router"]
        self.http = f"http://{addresses['gateway']}"

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)

    def kill(self) -> None:
        """Every process of the mesh, without a word."""
        assert self._process is not None
        children = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False).stdout.split()
        self._process.kill()
        self._process.wait(30)
        subprocess.run(["kill", "-9", *children], check=False)


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    if not (ROOT / "apps" / "cli" / "dist" / "main.js").exists():
        pytest.skip("the mesh is not built: npm run build")
    running = Mesh(tmp_path_factory.mktemp("mesh"))
    yield running
    running.stop()


Answer = Callable[[Any, grpc.ServicerContext], Any]


class FaultServer:
    """Speaks the API with answers that tests write; remembers the requests."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.models = 0
        self.answer: Answer = lambda request, _: scores(request)
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        handlers = {
            "BatchScore": grpc.unary_unary_rpc_method_handler(
                self._batch, _wire.BatchScoreRequest.FromString, _wire.BatchScoreResponse.SerializeToString
            ),
            "GetModel": grpc.unary_unary_rpc_method_handler(
                self._model, _wire.GetModelRequest.FromString, _wire.GetModelResponse.SerializeToString
            ),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("dmoerm.reward.v1.RewardService", handlers),))
        self.target = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def _model(self, *_: Any) -> Any:
        self.models += 1
        return model()

    def _batch(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append(request)
        return self.answer(request, context)


@pytest.fixture
def faulty() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.server.stop(None)


def model() -> Any:
    limits = {"max_items": 8, "max_candidates": 4, "max_tokens": 100, "max_message_bytes": 1 << 20}
    return _wire.GetModelResponse(name="fault", revision="f" * 64, limits=limits, tasks=[{"name": "chat", "capabilities": ["logic"]}])


def scores(request: Any) -> Any:
    """The reward of a response is its length."""

    def result(text: str) -> Any:
        return {
            "score": {
                "reward": len(text),
                "capabilities": [{"name": "logic", "score": len(text), "contribution": 0}],
                "uncertainty": {"experts": 0, "heads": 0},
                "route": {"task": "chat", "probability": 1},
            }
        }

    return _wire.BatchScoreResponse(
        results=[{"response": {"results": [result(text) for text in item.candidates], "revision": "f" * 64}} for item in request.items]
    )


def abort(code: grpc.StatusCode, reason: str, retry_s: float | None = None) -> Answer:
    """Fails calls as the server does, with details."""

    def answer(_: Any, context: grpc.ServicerContext) -> Any:
        details = [detail("ErrorInfo", reason=reason, domain="dmoerm")]
        if retry_s is not None:
            details.append(detail("RetryInfo", retry_delay={"nanos": int(retry_s * 1e9)}))
        status = _wire._Status(code=code.value[0], message=reason.lower(), details=details)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, reason.lower())

    return answer


def detail(name: str, **fields: Any) -> dict[str, Any]:
    return {"type_url": f"type.googleapis.com/google.rpc.{name}", "value": _wire._DETAILS[name](**fields).SerializeToString()}
