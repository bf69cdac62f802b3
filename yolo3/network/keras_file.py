"""A `.keras` file: looked over before Keras opens it, then loaded in safe mode.

Safe mode keeps Keras from running code that a file brings. It builds whatever layers the file
describes, though, of any size. So nothing is built here but the layers that this project's networks
consist of, and only as large as a network can be.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras

MAX_BYTES = 1 << 30  # of an unpacked archive, and of all its arrays; YOLOv3 has 250 million
MAX_DESCRIPTION_BYTES = 1 << 24
MAX_NUMBERS = MAX_BYTES // 4  # of all weights, and of the output of one layer

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = {"metadata.json": MAX_DESCRIPTION_BYTES, CONFIG: MAX_DESCRIPTION_BYTES}
LAYERS = frozenset(
    ("InputLayer", "Conv2D", "BatchNormalization", "LeakyReLU", "MaxPooling2D")
    + ("ZeroPadding2D", "UpSampling2D", "Concatenate", "Add")
)
PLAIN_MODULES = ("keras.initializers", "keras.regularizers")
"""What is in these computes numbers, and reads no files."""

Shape = tuple[int, int, int]


def load_network(path: Path) -> keras.Model:
    """Load a network of this project, without compile state.

    Raises ValueError for anything else, whatever it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive)
            _check_description(json.loads(archive.read(CONFIG)))
            with h5py.File(io.BytesIO(archive.read(WEIGHTS)), "r") as arrays:
                check_arrays(arrays)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras and the readers below it raise many kinds
        raise ValueError(f"Keras cannot load it: {error or type(error).__name__}") from error


def check_arrays(group: h5py.Group) -> None:
    """Raise ValueError where a file leads elsewhere, or declares more numbers than are taken.

    A short file may declare any number of them: HDF5 stores no numbers that were never written.
    """
    declared = 0
    for found in objects_in(group):
        if not isinstance(found, h5py.Dataset):
            continue
        if found.external or found.is_virtual:
            raise ValueError(f"{found.name} keeps its numbers in another file, which is not read")
        declared += found.nbytes
        if declared > MAX_BYTES:
            raise ValueError(f"its arrays have more than {MAX_BYTES:,} bytes")


def objects_in(file: h5py.Group, leave_out: str = "") -> Iterator[h5py.Group | h5py.Dataset]:
    """Walk over a file's groups, each once, and its arrays, once for each of their names.

    leave_out: the name of groups that are passed over. Raises ValueError for a link.
    """
    seen, waiting = {_place(file)}, [file]
    while waiting:
        parent = waiting.pop()
        for name in parent:
            if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{parent.name}/{name} is a link, which is not followed")
            found = parent[name]
            if not isinstance(found, h5py.Group):
                yield found
            elif name != leave_out and _place(found) not in seen:
                seen.add(_place(found))
                waiting.append(found)
                yield found


def _place(group: h5py.Group) -> int:
    return h5py.h5o.get_info(group.id).addr


def _check_archive(archive: zipfile.ZipFile) -> None:
    names = [info.filename for info in archive.infolist()]
    if len(set(names)) < len(names) or not {CONFIG, WEIGHTS} <= set(names):
        raise ValueError(f"it holds {', '.join(names)[:200]}, expected {CONFIG} and {WEIGHTS}")
    for info in archive.infolist():
        limit = MEMBERS.get(info.filename, MAX_BYTES if info.filename == WEIGHTS else -1)
        if limit < 0:
            raise ValueError(f"it holds {info.filename!r}, which no network of this project needs")
        if info.file_size > limit:
            raise ValueError(f"{info.filename} has {info.file_size:,} bytes, at most {limit:,}")


def _check_description(config: dict) -> None:
    """Raise ValueError for a description of anything but a network of this project."""
    try:
        if config["class_name"] != "Functional":
            raise ValueError(f"it holds a {config['class_name']!r}, expected a Functional model")
        for node in _objects(config["config"]):
            _check_kind(node)
        _check_sizes(config["config"]["layers"])
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"its description is damaged: {error!r}") from error


def _objects(value: object) -> Iterator[dict]:
    """Seek, at any depth, what Keras would make an object of."""
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)
    elif isinstance(value, dict):
        if "class_name" in value:
            yield value
        for item in value.values():
            yield from _objects(item)


def _check_kind(node: dict) -> None:
    kind, module = node["class_name"], node.get("module")
    known = (
        (module == "keras.layers" and kind in LAYERS)
        or (module == "keras" and kind == "DTypePolicy")
        or module in PLAIN_MODULES
        or (module is None and kind == "__keras_tensor__")
    )
    if not known:
        raise ValueError(f"it holds a {kind!r} of {module}, which no network of this project has")


def _check_sizes(layers: list[dict]) -> None:
    """Follow the shapes through the network; the far edge of a window is taken as inside."""
    shapes: dict[str, Shape] = {}
    numbers = 0
    for layer in layers:
        inputs = [shapes[name] for name in _sources(layer)]
        shape = shapes[layer["name"]] = _shape_after(layer, inputs)
        numbers += _numbers_of(layer, inputs)
        if max(numbers, shape[0] * shape[1] * shape[2]) > MAX_NUMBERS:
            raise ValueError(f"{layer['name']} is too large: over {MAX_NUMBERS:,} numbers")


def _sources(layer: dict) -> list[str]:
    """Name the layers that a layer reads, all of them listed before it."""
    nodes = layer["inbound_nodes"]
    if len(nodes) != (layer["class_name"] != "InputLayer"):
        raise ValueError(f"{layer['name']} is used {len(nodes)} times, expected once")
    return [node["config"]["keras_history"][0] for node in _objects(nodes)]


def _shape_after(layer: dict, inputs: list[Shape]) -> Shape:
    """Give rows, columns and channels of what a layer gives, or somewhat more."""
    kind, config = layer["class_name"], layer["config"]
    if kind == "InputLayer":
        return tuple(_whole(side) for side in config["batch_shape"][1:4])
    rows, columns, channels = inputs[0]
    if kind in ("Conv2D", "MaxPooling2D"):
        down, across = _pair(config["strides"])
        channels = _whole(config["filters"]) if kind == "Conv2D" else channels
        return -(-rows // down), -(-columns // across), channels
    if kind == "ZeroPadding2D":
        (top, bottom), (left, right) = config["padding"]
        sides = (_whole(side, least=0) for side in (top, bottom, left, right))
        top, bottom, left, right = sides
        return rows + top + bottom, columns + left + right, channels
    if kind == "UpSampling2D":
        down, across = _pair(config["size"])
        return rows * down, columns * across, channels
    if kind == "Concatenate":
        return rows, columns, sum(shape[2] for shape in inputs)
    return rows, columns, channels


def _numbers_of(layer: dict, inputs: list[Shape]) -> int:
    """Count the weights of a layer, or somewhat more, as it is built or as it says it was."""
    if layer["class_name"] not in ("Conv2D", "BatchNormalization"):
        return 0
    said = (layer.get("build_config") or {}).get("input_shape") or ()
    widest = max(*inputs[0], *(_whole(side) for side in said if side is not None))
    if layer["class_name"] == "BatchNormalization":
        return 4 * widest
    rows, columns = _pair(layer["config"]["kernel_size"])
    return _whole(layer["config"]["filters"]) * (rows * columns * widest + 1)


def _pair(value: object) -> tuple[int, int]:
    one, other = value if isinstance(value, list) else (value, value)
    return _whole(one), _whole(other)


def _whole(value: object, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"its description has {value!r}, expected a whole number from {least}")
    return value
