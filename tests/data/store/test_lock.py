from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from radboost.data.store import store_lock
from radboost.errors import UserError


def test_a_second_writer_is_refused_and_the_first_unharmed(tmp_path):
    with store_lock(tmp_path):
        with pytest.raises(UserError, match="another extract"), store_lock(tmp_path):
            pass
        # The refusal must not have let go of the first one's lock.
        with pytest.raises(UserError, match="another extract"), store_lock(tmp_path):
            pass
    with store_lock(tmp_path):
        pass


def test_a_killed_writer_leaves_no_claim(tmp_path):
    code = (
        "import os, sys, signal; from pathlib import Path; from radboost.data.store.lock import store_lock\n"
        "with store_lock(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / ".lock").exists()
    with store_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="cannot be written"), store_lock(tmp_path / "none"):
        pass
