"""Several ledgers in one process, and other processes beside them, on one file."""

import subprocess
import sys
from uuid import UUID, uuid4

from langchain_reflect import Ledger


def elsewhere(folder, *lines):
    """Run lines in another process, with the ledger of the folder as `ledger`."""
    start = f"from langchain_reflect import Ledger\nledger = Ledger({str(folder)!r})\n"
    done = subprocess.run([sys.executable, "-c", start + "\n".join(lines)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_second_ledger_of_the_process_takes_no_locks_from_the_first(tmp_path):
    first = Ledger(tmp_path)
    first.record_outcome(uuid4(), reward=1.0)
    second = Ledger(tmp_path)
    elsewhere(tmp_path, "ledger.close()")  # were the first one's locks gone, this would throw its log away
    episode_id = UUID(int=7)
    first.record_outcome(episode_id, reward=0.5)
    second.record_outcome(episode_id, reward=0.5, source="judge")
    assert elsewhere(tmp_path, f"print(len(ledger.outcomes({str(episode_id)!r})))") == "2"
    first.close()
    second.close()


def test_a_closed_ledger_opens_again(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.close()
    assert ledger.record_outcome(uuid4(), reward=1.0).reward == 1.0
    ledger.close()
