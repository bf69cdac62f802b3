"""The logged model: one MLflow model with two flavours, `keras` and `python_function`.

    MLmodel, conda.yaml, python_env.yaml, requirements.txt, constraints.txt, input_example.json
    data/model.keras     the network, float32, without compile state; built-in Keras layers only
    data/detector.json   classes, anchors, mask, input size, thresholds, engine
    data/detector.xml    the network with its decoding, for the OpenVINO engine; and detector.bin
    code/yolo3/          the modules that turn pictures into detections, and no others
    SHA256SUMS           the checksum of each of these files

Nothing is pickled, and nothing in it names the machine that saved it.
"""

import base64
import io
import platform
import shutil
import tempfile
from pathlib import Path

import keras
import mlflow.keras
import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME, ModelInfo
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array, Object, Property
from packaging.requirements import Requirement
from PIL import Image

from yolo3.detector.checksums import write_sums
from yolo3.detector.engines import OPENVINO, EngineChoice, choose_engine, write_engine
from yolo3.detector.load import DATA_FOLDER, LOADER_MODULE, ModelError
from yolo3.detector.pyfunc import IMAGE, Settings, write_settings
from yolo3.network.postprocess import DEFAULT_THRESHOLDS, Thresholds
from yolo3.network.spec import NetworkSpec

CODE_FOLDER = "code"
CODE_FILES = (
    "__init__.py",
    "data/__init__.py",
    "data/decoding.py",
    "data/file_checks.py",
    "data/images.py",
    "network/__init__.py",
    "network/boxes.py",
    "network/decoding.py",
    "network/grid.py",
    "network/keras_file.py",
    "network/owners.py",
    "network/postprocess.py",
    "network/spec.py",
    "detector/__init__.py",
    "detector/ahead.py",
    "detector/checksums.py",
    "detector/cores.py",
    "detector/decode_process.py",
    "detector/detector.py",
    "detector/drawing.py",
    "detector/engines.py",
    "detector/fair_semaphore.py",
    "detector/keras_engine.py",
    "detector/limits.py",
    "detector/openvino_engine.py",
    "detector/pyfunc.py",
    "detector/reading.py",
    "detector/service.py",
)
"""What serving imports, and no more; a test loads the model in a process that has nothing else."""

SERVING_PACKAGES = ("mlflow", "openvino", "keras", "tensorflow", "numpy", "pandas", "pillow")
EXAMPLE_SIDE = 256  # pixels; keeps the example, which every model carries as text, small


def save_detector(
    network: keras.Model,
    spec: NetworkSpec,
    path: Path,
    *,
    lock: Path,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    engine: EngineChoice | None = None,
    built: Path | None = None,
    example: Image.Image | None = None,
    metadata: dict | None = None,
    mlflow_model: Model | None = None,
) -> Model:
    """Save a detector as an MLflow model in a folder that does not exist yet, or is empty.

    lock: the requirements.txt with exact versions; the serving packages are taken from it, and all
    of it binds the rest as constraints.
    engine: what the model detects with, OpenVINO if not given. built: the folder with that
    engine's files, where `build_engine` has written them already.
    example: a picture for the input example.
    Raises ModelError when the folder holds something or the lock lacks a serving package.
    """
    folder = Path(path)
    if folder.exists() and any(folder.iterdir()):
        raise ModelError(f"{folder} exists and is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    model = Model() if mlflow_model is None else mlflow_model
    exact = as_float32(network)
    mlflow.keras.save_model(
        exact,
        str(folder),
        mlflow_model=model,
        signature=_network_signature(spec),
        input_example=_example_table(example),
        conda_env=_environment(Path(lock)),
        metadata=metadata,
    )
    chosen = choose_engine(OPENVINO) if engine is None else engine
    write_settings(folder / DATA_FOLDER, Settings(spec, thresholds, chosen))
    if built:
        shutil.copytree(built, folder / DATA_FOLDER, dirs_exist_ok=True)
    else:
        write_engine(chosen, exact, spec, folder / DATA_FOLDER)
    _copy_code(folder / CODE_FOLDER)
    _add_pictures_flavor(model, thresholds)
    model.model_size_bytes = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    model.save(str(folder / MLMODEL_FILE_NAME))
    write_sums(folder)
    return model


def log_detector(
    network: keras.Model,
    spec: NetworkSpec,
    *,
    name: str,
    lock: Path,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    engine: EngineChoice | None = None,
    built: Path | None = None,
    example: Image.Image | None = None,
    tags: dict | None = None,
    step: int = 0,
) -> ModelInfo:
    """Log a detector to the active run; arguments as in `save_detector`.

    step: the training step that it is the output of.
    `Model.log` would link every metric of that step to the model, although a stage keeps the
    weights of an earlier epoch. The metrics of this model are logged with its id.
    """
    client, run_id = MlflowClient(), mlflow.active_run().info.run_id
    params = client.get_run(run_id).data.params
    logged = mlflow.initialize_logged_model(name, source_run_id=run_id, tags=tags, params=params)
    model = Model(
        artifact_path=f"models:/{logged.model_id}",
        run_id=run_id,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
    )
    with tempfile.TemporaryDirectory() as temporary:
        save_detector(
            network,
            spec,
            Path(temporary),
            lock=lock,
            thresholds=thresholds,
            engine=engine,
            built=built,
            example=example,
            mlflow_model=model,
        )
        client.log_model_artifacts(logged.model_id, temporary)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step)])
    return model.get_model_info(mlflow.finalize_logged_model(logged.model_id, "READY"))


def as_float32(network: keras.Model) -> keras.Model:
    """Copy a network: same layers, names and weights, all float32, no compile state."""

    def copy_layer(layer):
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    copy = keras.models.clone_model(network, clone_function=copy_layer)
    copy.set_weights(network.get_weights())
    return copy


def _network_signature(spec: NetworkSpec) -> ModelSignature:
    """Describe the network's input as mlflow.keras wants it; the pictures' signature follows."""
    width, height = spec.input_wh
    pixels = TensorSpec(np.dtype(np.float32), (-1, height, width, 3), name=IMAGE)
    return ModelSignature(inputs=Schema([pixels]))


def _pictures_signature(thresholds: Thresholds) -> ModelSignature:
    found = Object(
        [
            Property("label", DataType.string),
            Property("class_id", DataType.long),
            Property("score", DataType.double),
            Property("xmin", DataType.double),
            Property("ymin", DataType.double),
            Property("xmax", DataType.double),
            Property("ymax", DataType.double),
        ]
    )
    outputs = [
        ColSpec(Array(found), "detections"),
        ColSpec(DataType.long, "width"),
        ColSpec(DataType.long, "height"),
        ColSpec(DataType.string, "error"),
    ]
    params = [
        ParamSpec("score_threshold", DataType.double, float(thresholds.score_threshold)),
        ParamSpec("iou_threshold", DataType.double, float(thresholds.iou_threshold)),
        ParamSpec("max_detections", DataType.long, int(thresholds.max_detections)),
    ]
    inputs = [ColSpec(DataType.string, IMAGE)]
    return ModelSignature(Schema(inputs), Schema(outputs), ParamSchema(params))


def _add_pictures_flavor(model: Model, thresholds: Thresholds) -> None:
    """Put pictures in, detections out in place of the tensors that mlflow.keras would serve."""
    environment = model.flavors[mlflow.pyfunc.FLAVOR_NAME][mlflow.pyfunc.ENV]
    mlflow.pyfunc.add_to_model(
        model,
        loader_module=LOADER_MODULE,
        data=DATA_FOLDER,
        code=CODE_FOLDER,
        conda_env=environment["conda"],
        python_env=environment["virtualenv"],
    )
    model.signature = _pictures_signature(thresholds)


def _copy_code(folder: Path) -> None:
    package = Path(__file__).resolve().parents[1]
    for name in CODE_FILES:
        target = folder / package.name / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package / name, target)


def _environment(lock: Path) -> dict:
    """Write the conda environment that serves the model; MLflow derives its other files from it."""
    python = f"python={platform.python_version()}"
    dependencies = [python, "pip", {"pip": _requirements(lock)}]
    return {"name": "detector", "channels": ["conda-forge"], "dependencies": dependencies}


def _requirements(lock: Path) -> list[str]:
    """Pin the serving packages as the lock does, and bind all others by it."""
    pins = {}
    for line in lock.read_text("utf-8").splitlines():
        words = line.split("#")[0].strip()
        if words and not words.startswith("-"):
            requirement = Requirement(words)
            pins[requirement.name.lower()] = f"{requirement.name}{requirement.specifier}"
    if missing := [name for name in SERVING_PACKAGES if name not in pins]:
        raise ModelError(f"{lock} does not pin {', '.join(missing)}, which serving needs")
    return [*(pins[name] for name in SERVING_PACKAGES), f"-c {lock.resolve()}"]


def _example_table(example: Image.Image | None) -> pd.DataFrame:
    """Make a table of one small JPEG; without a picture, of plain colours."""
    picture = Image.linear_gradient("L").convert("RGB") if example is None else example.copy()
    picture.thumbnail((EXAMPLE_SIDE, EXAMPLE_SIDE))
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=80)
    return pd.DataFrame({IMAGE: [base64.b64encode(file.getvalue()).decode("ascii")]})
