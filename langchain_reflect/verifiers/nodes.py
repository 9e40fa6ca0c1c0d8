"""A test of the user's as a verifier: it runs in a process of its own, so that one that hangs or crashes only fails.

The test reads what it judges with `given()`:

    from langchain_reflect.verifiers.nodes import given

    def test_total():
        assert given()["outputs"]["total"] == 42
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from langchain_reflect.errors import InvalidInput
from langchain_reflect.verifiers.verdicts import Verdict, Verifier, answer_text

FILE_VARIABLE: Final = "REFLECT_GIVEN"
"""Environment variable with the path of a JSON file: `inputs`, `outputs`, `reference_outputs`, and `answer`, the output's text."""
_PASSED, _FAILED = 0, 1
_UNFIT: Final = {
    2: "pytest could not collect it",
    3: "pytest itself failed",
    4: "pytest does not understand it",
    5: "there is no such test",
}
_MOST: Final = 4_000
"""Most characters of a test's output that become feedback: its end, where pytest tells what failed."""


def given() -> dict[str, Any]:
    """What a test that runs as a verifier judges: `inputs`, `outputs`, `reference_outputs` and `answer`.

    Raises:
        InvalidInput: The test does not run as a verifier.
    """
    path = os.environ.get(FILE_VARIABLE)
    if not path:
        raise InvalidInput(f"{FILE_VARIABLE} is not set: this test judges a result, so it runs under `pytest_node`")
    found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found


def pytest_node(
    node: str,
    *,
    folder: str | Path | None = None,
    timeout: float = 60.0,
    arguments: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Verifier:
    """A verifier that runs one test, or several: 1 if it passes, 0 with pytest's output as feedback if it fails or takes too long.

    What the test judges is in the JSON file that `REFLECT_GIVEN` names; `verifiers.nodes.given()` reads it.

    Args:
        node: As on pytest's command line, such as `tests/test_answer.py::test_total`.
        folder: Where pytest runs; default here.
        timeout: Seconds; then the test and what it started are killed.
        arguments: Further ones for pytest.
        env: Further environment variables.
        python: Which Python runs it; it needs pytest.

    Returns:
        A verifier. It raises `InvalidInput` if pytest cannot run the test: a wrong name, or an error while collecting it.

    Raises:
        InvalidInput: The file of the node is not there, or the timeout is not positive.
    """
    where = Path(folder or ".").resolve()
    if not node.strip() or node.startswith("-") or not (where / node.split("::", 1)[0]).exists():
        raise InvalidInput(f"node={node!r}: no such file in {str(where)!r}; expected a test such as 'tests/test_answer.py::test_total'")
    if not timeout > 0:
        raise InvalidInput(f"timeout={timeout!r}; expected seconds above 0")
    command = [python, "-m", "pytest", "-q", "--no-header", "--color=no", "-p", "no:cacheprovider", *arguments, node]

    def verify(*, inputs: Any, outputs: Any, reference_outputs: Any = None) -> Verdict:
        said = {"inputs": inputs, "outputs": outputs, "reference_outputs": reference_outputs, "answer": answer_text(outputs)}
        code, output = _run(command, where, said, env or {}, timeout)
        return _verdict(code, output, node, timeout)

    return verify


def _run(command: Sequence[str], where: Path, said: Mapping[str, Any], env: Mapping[str, str], timeout: float) -> tuple[int | None, str]:
    """Exit code, None if it took too long, and the end of the output."""
    with tempfile.TemporaryDirectory(prefix="reflect-") as scratch, tempfile.TemporaryFile() as output:
        path = Path(scratch) / "given.json"
        path.write_text(json.dumps(said, default=_plain, ensure_ascii=False), encoding="utf-8")
        process = subprocess.Popen(  # noqa: S603 - the user's own test
            command,
            cwd=where,
            env={**os.environ, **env, FILE_VARIABLE: str(path)},
            stdin=subprocess.DEVNULL,
            stdout=output,  # a file: a pipe stays open as long as anything that the test started
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
        return code, _end_of(output)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill it and all that it started in its session."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _verdict(code: int | None, output: str, node: str, timeout: float) -> Verdict:
    detail: JsonValue = {"node": node, "exit_code": code}
    if code is None:
        return Verdict(0.0, f"{node} did not end within {timeout:g} s. Its output ended with:\n{output}".strip(), detail)
    if code == _PASSED:
        return Verdict(1.0, None, detail)
    if code == _FAILED:
        return Verdict(0.0, output or f"{node} failed without output", detail)
    if code in _UNFIT:
        raise InvalidInput(f"{node}: {_UNFIT[code]} (exit code {code}); read what it judges inside the test:\n{output}")
    return Verdict(0.0, f"{node} ended with exit code {code}. Its output ended with:\n{output}".strip(), detail)


def _end_of(output: Any) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 4 * _MOST))
    text: str = output.read().decode("utf-8", "replace").strip()
    return text if len(text) <= _MOST else "..." + text[-_MOST:]


def _plain(value: Any) -> Any:
    """What is no JSON: messages and other models by their fields, else their text."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        with suppress(Exception):
            return dump(mode="json")
    return str(value)
