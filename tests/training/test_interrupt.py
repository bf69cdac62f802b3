import signal
import subprocess
import sys
import threading

from job_cases import PROJECT

from yolo3.training.interrupt import stop_on_signals

START = """
import os, signal
from signal import SIGINT, SIGTERM
from yolo3.training.interrupt import stop_on_signals

def send(number):
    os.kill(os.getpid(), number)

"""


def ran(script):
    """Run a script in a process of its own, since it gets signals; returns what it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", START + script],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_one_ctrl_c_is_a_request():
    done = ran("""
with stop_on_signals() as asked_to_stop:
    print(asked_to_stop())
    send(SIGINT)
    print(asked_to_stop())
    send(SIGTERM)  # as `mlflow run` sends right after it
    print(asked_to_stop())
""")
    assert done.stdout.split() == ["False", "True", "True"]
    assert "ends at the next step, saves and logs" in done.stderr


def test_sigterm_alone_is_a_request_too():
    done = ran("""
with stop_on_signals() as asked_to_stop:
    send(SIGTERM)
    print(asked_to_stop())
""")
    assert done.stdout.split() == ["True"]


def test_ctrl_c_again_ends_at_once():
    done = ran("""
try:
    with stop_on_signals():
        send(SIGINT)
        print("once")
        send(SIGINT)
        print("twice")
except KeyboardInterrupt:
    print("ended")
""")
    assert done.stdout.split() == ["once", "ended"]


def test_afterwards_signals_mean_what_they_meant():
    done = ran("""
before = signal.getsignal(SIGINT), signal.getsignal(SIGTERM)
with stop_on_signals():
    print(signal.getsignal(SIGINT) != before[0])
print((signal.getsignal(SIGINT), signal.getsignal(SIGTERM)) == before)
""")
    assert done.stdout.split() == ["True", "True"]


def test_another_thread_trains_without_handlers():
    asked, before = [], signal.getsignal(signal.SIGTERM)

    def train():
        with stop_on_signals() as asked_to_stop:
            asked.append(asked_to_stop())
            asked.append(signal.getsignal(signal.SIGTERM) == before)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert asked == [False, True]
