"""Valid files of every kind that the project reads, small, to be damaged."""

import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

CLASSES = b"hat\nhelmet\nbare\n"
ANCHORS = b"10,14, 23,27, 37,58, 81,82, 135,169, 344,319\n"
LIST = b'# a list\na.jpg 1,2,30,40,0 5,5,20,20,2\n"b c.png" 0,0,60.5,40,1\n\nd.jpg\n'
YOLO_LABEL = b"0 0.5 0.5 0.25 0.5\n2 0.1 0.2 0.1 0.1\n1 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n"
DATA_YAML = b"path: .\ntrain: images\nval:\nnames:\n  0: hat\n  1: helmet\n  2: bare\nnc: 3\n"

XML = b"""<?xml version="1.0" encoding="utf-8"?>
<annotation>
  <folder>JPEGImages</folder>
  <filename>a.jpg</filename>
  <size><width>60</width><height>40</height><depth>3</depth></size>
  <object>
    <name>hat</name>
    <difficult>0</difficult>
    <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30.5</xmax><ymax>40</ymax></bndbox>
  </object>
  <object>
    <name>bare</name>
    <bndbox><xmin>5</xmin><ymin>5</ymin><xmax>20</xmax><ymax>20</ymax></bndbox>
  </object>
</annotation>
"""

COCO = {
    "info": {},
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 60, "height": 40},
        {"id": 2, "file_name": "d.jpg", "width": 60, "height": 40},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 20], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [[1, 1, 9, 1, 9, 9]]},
        {"id": 3, "image_id": 2, "category_id": 2, "bbox": [0, 0, 5.5, 5.5], "iscrowd": 1},
    ],
    "categories": [
        {"id": 1, "name": "hat", "supercategory": "head"},
        {"id": 2, "name": "bare", "supercategory": "head"},
    ],
}


def _coco_of(names: Sequence[str]) -> dict:
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    boxes = [{"image_id": n, "category_id": 1, "bbox": [1, 2, 9, 9]} for n in range(len(names))]
    return COCO | {"images": images, "annotations": boxes}


def _createml_of(names: Sequence[str]) -> list:
    place = {"x": 9, "y": 9.5, "width": 8, "height": 7}
    return [
        {"image": name, "annotations": [{"label": "hat", "coordinates": place}]} for name in names
    ]


def _via_of(names: Sequence[str]) -> dict:
    shapes = [
        {"name": "rect", "x": 1, "y": 2, "width": 9, "height": 9},
        {"name": "ellipse", "cx": 20, "cy": 20, "rx": 5, "ry": 4, "theta": 0.5},
        {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]},
    ]
    regions = [{"shape_attributes": one, "region_attributes": {"class": "hat"}} for one in shapes]
    return {"_via_img_metadata": {name: {"filename": name, "regions": regions} for name in names}}


def _label_studio_of(names: Sequence[str]) -> list:
    value = {"x": 10, "y": 10, "width": 30.5, "height": 20, "rotation": 15}
    result = {
        "type": "rectanglelabels",
        "value": value | {"rectanglelabels": ["hat"]},
        "original_width": 60,
        "original_height": 40,
    }
    return [
        {"data": {"image": f"/data/upload/1/{name}"}, "annotations": [{"result": [result]}]}
        for name in names
    ]


def _labelme_of(names: Sequence[str]) -> dict:
    shapes = [
        {"label": "hat", "points": [[1, 2], [30.5, 20]], "shape_type": "rectangle"},
        {"label": "bare", "points": [[20, 20], [25, 22]], "shape_type": "circle"},
        {"label": "hat", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"},
    ]
    return {"imagePath": names[0], "imageWidth": 60, "imageHeight": 40, "shapes": shapes}


def _cvat_of(names: Sequence[str]) -> bytes:
    shapes = (
        '<box label="hat" xtl="1" ytl="2" xbr="30" ybr="20" rotation="9"/>'
        '<polygon label="bare" points="1,1;9,1;9,9"/><tag label="hat"/>'
        '<ellipse label="hat" cx="20" cy="20" rx="5" ry="4"/>'
    )
    images = "".join(
        f'<image id="{n}" name="{name}" width="60" height="40">{shapes}</image>'
        for n, name in enumerate(names)
    )
    return f"<annotations><version>1.1</version>{images}</annotations>".encode()


def _csv_of(names: Sequence[str]) -> bytes:
    head = "filename,width,height,class,xmin,ymin,xmax,ymax"
    return "\n".join([head, *(f"{name},60,40,hat,1,2,30.5,20" for name in names)]).encode()


def _open_images_of(names: Sequence[str]) -> bytes:
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf"
    rows = (f"{Path(name).stem},xclick,/m/01,1,0.1,0.5,0.1,0.5,0" for name in names)
    return "\n".join([head, *rows]).encode()


def _voc_of(names: Sequence[str]) -> bytes:
    return XML.replace(b"a.jpg", names[0].encode())


def _yolo_of(names: Sequence[str]) -> bytes:
    return YOLO_LABEL


LABELS = {  # form -> format, label file, what makes it of the names of images
    "coco": ("coco", "{}.json", _coco_of),
    "createml": ("createml", "{}.json", _createml_of),
    "via": ("via", "{}.json", _via_of),
    "label studio": ("label-studio", "{}.json", _label_studio_of),
    "labelme": ("labelme", "{}.json", _labelme_of),
    "cvat": ("cvat", "{}.xml", _cvat_of),
    "csv": ("csv", "{}.csv", _csv_of),
    "open images": ("csv", "{}.csv", _open_images_of),
    "voc": ("voc", "{}.xml", _voc_of),
    "yolo": ("yolo", "{}.txt", _yolo_of),
}


def labels_of(form: str, name: str) -> dict[str, bytes]:
    """Give the label file of one image, whole, by its name."""
    _, file, make = LABELS[form]
    made = make((name,))
    data = made if isinstance(made, bytes) else json.dumps(made).encode()
    return {file.format(Path(name).stem): data}


CFG = b"""[net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
batch_normalize=1
filters=4
size=3
stride=1
pad=1
activation=leaky
[convolutional]
filters=4
size=1
activation=linear
[shortcut]
from=-2
activation=linear
[convolutional]
filters=14
size=1
stride=1
activation=linear
[yolo]
mask=1,2
anchors=4,6, 10,8, 15,20
classes=2
num=3
[route]
layers=2
[upsample]
stride=2
[route]
layers=-1,0
[convolutional]
filters=7
size=1
activation=linear
[yolo]
mask=0
anchors=4,6, 10,8, 15,20
classes=2
num=3
"""

ENTITIES = (
    b'<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;&x;">]>\n',
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n',
    b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x.dtd"> %x;]>\n',
    b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd">\n',
)


@cache
def picture(kind: str = "JPEG") -> bytes:
    """Give a picture of 60x40 in one of Pillow's formats."""
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (5, 8, 3), np.uint8)).resize((60, 40))
    options: dict = {}
    if kind == "GIF":
        options = {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}
    if kind in ("JPEG", "WEBP"):
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "a description"
        options = {"exif": exif}
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_of(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    """Give a PNG whose header is right and says any size, over a few bytes of pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


@cache
def tiny_cfg() -> str:
    """Give a cfg of Tiny YOLOv3's layers, of two filters each, for three classes."""

    def conv(filters=2, size=3, **more):
        said = {"batch_normalize": 1, "filters": filters, "size": size, "stride": 1, "pad": 1}
        said |= {"activation": "leaky"} | more
        return "[convolutional]\n" + "".join(f"{k}={v}\n" for k, v in said.items() if v != "")

    output = conv(24, 1, batch_normalize="", pad="", activation="linear")
    anchors = "anchors=10,14, 23,27, 37,58, 81,82, 135,169, 344,319\nclasses=3\nnum=6\n"
    pool = "[maxpool]\nsize=2\nstride=2\n"
    parts = ["[net]\nwidth=64\nheight=64\nchannels=3\n", (conv() + pool) * 5, conv()]
    parts += ["[maxpool]\nsize=2\nstride=1\n", conv(), conv(2, 1), conv(), output]
    parts += [f"[yolo]\nmask=3,4,5\n{anchors}", "[route]\nlayers=-4\n", conv(2, 1)]
    parts += ["[upsample]\nstride=2\n", "[route]\nlayers=-1,8\n", conv(), output]
    return "".join([*parts, f"[yolo]\nmask=0,1,2\n{anchors}"])


@cache
def tiny_network():
    """Give the network of `tiny_cfg`, and its spec."""
    import keras

    from yolo3.network.darknet.build import build_from_cfg
    from yolo3.network.darknet.cfg import read_cfg, spec_of

    keras.utils.set_random_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.cfg"
        path.write_text(tiny_cfg())
        cfg = read_cfg(path)
    return build_from_cfg(cfg, "yolov3_tiny"), spec_of(cfg, ("hat", "helmet", "bare")), cfg


@cache
def weights(kind: str) -> bytes:
    """Give the tiny network's weights as a file: darknet, keras, keras3 or keras2."""
    from yolo3.network.darknet.weights import write_darknet_weights

    network, _, cfg = tiny_network()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / {"keras3": "a.weights.h5", "keras": "a.keras"}.get(kind, "a.bin")
        if kind == "darknet":
            write_darknet_weights(path, cfg, network)
        elif kind == "keras2":
            _write_keras_2(path, network)
        elif kind == "keras3":
            network.save_weights(path)
        else:
            network.save(path)
        return path.read_bytes()


def _write_keras_2(path, network):
    """Write what Keras 2 wrote of a tiny network, in Darknet's order."""
    names = [*(f"conv_{n}" for n in range(1, 10)), "output_32", "conv_11", "conv_12", "output_16"]
    layers, norms = {}, 0
    for number, name in enumerate(names, 1):
        values = map(np.asarray, network.get_layer(name).get_weights())
        layers[f"conv2d_{number}"] = dict(zip(("kernel:0", "bias:0"), values, strict=False))
        if name.startswith("conv_"):
            norms += 1
            values = map(np.asarray, network.get_layer(f"{name}_bn").get_weights())
            named = ("gamma:0", "beta:0", "moving_mean:0", "moving_variance:0")
            layers[f"batch_normalization_{norms}"] = dict(zip(named, values, strict=True))
    told = {"class_name": "BatchNormalization", "config": {"epsilon": 1e-3}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = np.bytes_(json.dumps({"config": {"layers": [told]}}))
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array(list(layers), "S")
        for name, arrays in layers.items():
            folder = group.create_group(name)
            folder.attrs["weight_names"] = np.array([f"{name}/{a}" for a in arrays], "S")
            for array, values in arrays.items():
                folder[f"{name}/{array}"] = values


def hdf5_faults() -> dict:
    """Name what can be wrong in an HDF5 file that opens; each changes an open one."""
    return {
        "huge": lambda file, name: _replaced(file, name, shape=(1 << 40,), chunks=(1 << 10,)),
        "large": lambda file, name: _replaced(file, name, shape=(1 << 26, 64), chunks=(64, 64)),
        "integers": lambda file, name: _replaced(file, name, data=np.zeros((3, 3), "int32")),
        "texts": lambda file, name: _replaced(file, name, data=["a", "b"]),
        "nothing": lambda file, name: _replaced(file, name, data=h5py.Empty("f4")),
        "a record": lambda file, name: _replaced(file, name, data=np.zeros(3, "f4,i4")),
        "one number": lambda file, name: _replaced(file, name, data=np.float32(1)),
        "not finite": lambda file, name: _replaced(
            file, name, data=np.full(file[name].shape, np.nan, "f4")
        ),
        "half": lambda file, name: _replaced(file, name, data=file[name][()].astype("f2")),
        "a group": lambda file, name: (_deleted(file, name), file.create_group(name)),
        "removed": _deleted,
        "soft link": lambda file, name: _linked(file, name, h5py.SoftLink("/none")),
        "link elsewhere": lambda file, name: _linked(
            file, name, h5py.ExternalLink("/etc/passwd", "/x")
        ),
        "kept elsewhere": lambda file, name: _replaced(
            file, name, shape=(3, 3, 3, 2), dtype="f4", external=[("/etc/passwd", 0, 216)]
        ),
        "a circle": lambda file, name: _linked(file, f"{name}_circle", file["/"]),
        "many names": _many_names,
        "no attributes": _without_attributes,
        "other attributes": _other_attributes,
    }


def _deleted(file, name):
    del file[name]


def _replaced(file, name, **options):
    del file[name]
    file.create_dataset(name, **({"dtype": "f4"} if "data" not in options else {}) | options)


def _linked(file, name, link):
    if name in file:
        del file[name]
    file[name] = link


def _many_names(file, name):
    """Let each of forty groups stand twice in the one before: 2 ** 40 ways to the last."""
    inner = file.create_group("layers/g0") if "layers" in file else file.create_group("g0")
    for _ in range(40):
        deeper = inner.create_group("a")
        inner["b"] = deeper
        inner = deeper


def _without_attributes(file, name):
    place = file[name].parent
    for key in [*place.attrs, *place.parent.attrs]:
        for holder in (place, place.parent):
            if key in holder.attrs:
                del holder.attrs[key]


def _other_attributes(file, name):
    holder = file[name].parent
    while holder.name != "/" and not len(holder.attrs):
        holder = holder.parent
    for key in list(holder.attrs):
        holder.attrs[key] = 3


@cache
def dataset_names(kind: str) -> tuple[str, ...]:
    """Name all arrays in an HDF5 file of weights."""
    names: list[str] = []
    with h5py.File(io.BytesIO(_hdf5_of(kind)), "r") as file:
        file.visititems(lambda name, found: _keep(names, name, found))
    return tuple(names)


def _keep(names, name, found):
    if isinstance(found, h5py.Dataset):
        names.append(name)


def _hdf5_of(kind: str) -> bytes:
    if kind != "keras":
        return weights(kind)
    return keras_members()["model.weights.h5"]


def faulty_hdf5(kind: str, fault: str, place: int) -> bytes:
    """Give weights with one fault of `hdf5_faults` at one of the arrays."""
    names = dataset_names(kind)
    file = io.BytesIO(_hdf5_of(kind))
    with h5py.File(file, "r+") as opened:
        hdf5_faults()[fault](opened, names[place % len(names)])
    return file.getvalue()


@cache
def keras_members() -> dict[str, bytes]:
    """Unpack the tiny network's `.keras` file."""
    with zipfile.ZipFile(io.BytesIO(weights("keras"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes], packed: bool = False) -> bytes:
    """Write an archive."""
    file = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()
