"""Make the files that the OpenVINO engine runs.

    python -m yolo3.detector.openvino_model NETWORK.keras SPEC.json FOLDER

is how another process makes them, where Keras computes without TensorFlow in this one.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import openvino as ov

from yolo3.detector.openvino_engine import FILE, OUTPUTS
from yolo3.network.decoding import with_decoding
from yolo3.network.keras_file import load_network
from yolo3.network.spec import NetworkSpec


def write_openvino(network: keras.Model, spec: NetworkSpec, folder: Path) -> None:
    """Write network and decoding, float32, for one picture at a time, into a folder.

    Raises ValueError when the network's outputs are not those that the spec describes.
    """
    if keras.backend.backend() == "tensorflow":
        _write(network, spec, folder)
    else:
        write_in_other_process(network, spec, folder)


def write_in_other_process(network: keras.Model, spec: NetworkSpec, folder: Path) -> None:
    """Write the same files in a process whose Keras has TensorFlow, on the processor alone."""
    with tempfile.TemporaryDirectory() as temporary:
        saved, told = Path(temporary) / "network.keras", Path(temporary) / "spec.json"
        network.save(saved)
        told.write_text(spec.to_json(), "utf-8")
        project = str(Path(__file__).resolve().parents[2])
        paths = [project, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "-1",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        command = [sys.executable, "-m", __spec__.name, str(saved), str(told), str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise ValueError(f"OpenVINO's files could not be made: {''.join(last)}")


def _write(network, spec, folder):
    width, height = spec.input_wh
    with tempfile.TemporaryDirectory() as temporary:
        # Read by OpenVINO's runtime: its converter for Python would report its use to its makers.
        with_decoding(network, spec).export(temporary, format="tf_saved_model", verbose=False)
        model = ov.Core().read_model(temporary)
        model.reshape([1, height, width, 3])
        for number, name in enumerate(OUTPUTS):
            model.output(f"output_{number}").tensor.set_names({name})
        ov.save_model(model, folder / FILE, compress_to_fp16=False)


if __name__ == "__main__":
    given, told, target = map(Path, sys.argv[1:])
    _write(load_network(given), NetworkSpec.from_json(told.read_text("utf-8")), target)
