"""`reflect worker` for a model that is a Python object. With `REFLECT_MODEL` the command itself does."""

import signal

from model import chat_model

from langchain_reflect import Learner, Worker


def main() -> None:
    """Reflect on what becomes due until SIGTERM comes; what was begun then is finished."""
    with Learner(model=chat_model(), reflect="manual") as learner:
        namespace = learner.settings.namespace
        worker = Worker(learner, concurrency=2, poll=0.5, namespace=namespace, on_progress=lambda report: print(report, flush=True))
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        learner.warm_up()
        print("Worked off", worker.run())


if __name__ == "__main__":
    main()
