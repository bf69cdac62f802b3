import os
import signal
import threading

import pytest

from yolo3.training.interrupt import stop_on_signals


def test_one_ctrl_c_is_a_request(capfd):
    with stop_on_signals() as asked_to_stop:
        assert not asked_to_stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert asked_to_stop()
        os.kill(os.getpid(), signal.SIGTERM)  # as `mlflow run` sends right after it
        assert asked_to_stop()
    assert "ends at the next step, saves and logs" in capfd.readouterr().err


def test_sigterm_alone_is_a_request_too():
    with stop_on_signals() as asked_to_stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked_to_stop()


def test_ctrl_c_again_ends_at_once():
    with stop_on_signals(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_afterwards_signals_mean_what_they_meant():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_another_thread_trains_without_handlers():
    asked = []

    def train():
        with stop_on_signals() as asked_to_stop:
            asked.append(asked_to_stop())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert asked == [False]
