"""The demo's model: llama.cpp in this process, spoken to like any hosted model.

`local_model` starts an OpenAI-compatible server on a free port of the loopback interface, guarded by a key of its own, and stops it at the
end.
"""

import gc
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from langchain_core.language_models import BaseChatModel

from langchain_reflect.errors import MissingExtra, ModelMissing

NAME: Final = "qwen2.5-coder-0.5b"
CONCURRENCY: Final = 2
"""Prompts that are worked on at the same time."""
_SLOTS: Final = 4
"""Prompts that are kept: the next one that begins like one of them is read from where it differs."""
_SLOT_TOKENS: Final = 4096
_CACHE_MIB: Final = 256
_MAX_THREADS: Final = 8
_STAT: Final = Path("/proc/stat")


@contextmanager
def local_model(weights: Path, *, seed: int = 7, temperature: float = 0.7, max_tokens: int = 300) -> Iterator[BaseChatModel]:
    """A chat model from a GGUF file, for as long as the context is open.

    Args:
        weights: The file.
        seed: Of the sampling.
        temperature: Of the sampling, 0 or more.
        max_tokens: Most tokens of an answer.

    Raises:
        MissingExtra: The packages of the extra `demo` are not installed.
        ModelMissing: The file cannot be loaded.
    """
    try:
        import httpx
        import xllamacpp
        from langchain_openai import ChatOpenAI
    except ImportError as error:
        raise MissingExtra(f"the demo's own model needs {error.name!r}: pip install 'langchain-reflect[demo]'") from error
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_parallel, params.n_ctx, params.cache_ram_mib = _SLOTS, _SLOTS * _SLOT_TOKENS, _CACHE_MIB
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [key := secrets.token_hex(16)]
    params.ui, params.warmup, params.verbosity = False, False, -1
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = free_cores()
    try:
        server = xllamacpp.Server(params)
    except Exception as error:
        raise ModelMissing(
            f"llama.cpp cannot load {str(weights)!r}: {error}. Use another model: `reflect demo --model provider:name`."
        ) from error
    # A client of our own, so that no proxy of the environment is asked for the loopback address, and so that it is closed.
    with httpx.Client(trust_env=False) as client:
        address = f"{server.listening_address}/v1"
        try:
            yield ChatOpenAI(
                model=NAME,
                base_url=address,
                api_key=lambda: key,
                temperature=temperature,
                seed=seed,
                max_completion_tokens=max_tokens,
                max_retries=1,
                timeout=300,
                http_client=client,
            )
        finally:
            del server
            gc.collect()  # the server stops when it is collected


def free_cores() -> int:
    """Threads to compute with: the cores that are not busy now.

    The threads of a model wait for one another at each layer, so one that shares its core makes all of them slower: on two busy cores two
    threads took five times as long as one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MAX_THREADS, cores - round(busy_cores())))


def busy_cores(seconds: float = 0.3) -> float:
    """Cores that are computing at this moment; the load average would still count what has just ended, such as an installation.

    Args:
        seconds: How long to watch.

    Returns:
        0 where the system does not tell.
    """
    try:
        before = _ticks()
        time.sleep(seconds)
        after = _ticks()
    except (OSError, ValueError, IndexError):  # no Linux
        return 0.0
    total = sum(after) - sum(before)
    idle = sum(after[3:5]) - sum(before[3:5])
    return (os.cpu_count() or 1) * (1.0 - idle / total) if total > 0 else 0.0


def _ticks() -> list[int]:
    """What all cores did since the start, by kind: user, nice, system, idle, waiting for a disk, interrupts, stolen."""
    return [int(ticks) for ticks in _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
