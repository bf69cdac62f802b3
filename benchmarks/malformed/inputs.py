"""What is tried: strategies for malformed inputs of seven kinds, each a set of files."""

import base64
import json
from dataclasses import dataclass, field
from functools import cache
from xml.sax.saxutils import escape

import hypothesis
from hypothesis import strategies as st

from benchmarks.malformed import samples
from benchmarks.malformed.damage import (
    VALUES,
    damaged,
    damaged_bytes,
    damaged_tree,
    raw,
    with_number,
)

PICTURE_KINDS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
LAYER_SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 13, 14, 32, 64, 99, 1000, 4096, 50_000, 99_999, 1 << 30]
TEXTS = (
    *("hat", "a.jpg", "b c.png", "", " ", "0", "-1", "30.5", "1e999", "nan", "inf", "1_0", "\t"),
    *("../a.jpg", "/etc/passwd", "C:\\a.jpg", "JPEGImages", "no.jpg", "<b>&amp;", "A" * 5000, "é"),
    *("../../x/a.jpg", "\u2028", "\x85", "'", '"', "$\\frac{", "images/../a.jpg", "9" * 5000),
)
SIDES = (0, 1, 60, 9_999, 65_535, 100_000, 1 << 24, (1 << 31) - 1)


@dataclass(frozen=True)
class Sample:
    """Some files, by name, and how they are to be read: a format of its kind."""

    form: str
    files: dict[str, bytes] = field(default_factory=dict)


def lists() -> st.SearchStrategy[Sample]:
    """Annotation lists, classes, anchors, COCO, YOLO labels and data.yaml."""
    coco = st.one_of(damaged_tree(samples.COCO), damaged(json.dumps(samples.COCO).encode()), raw())
    return st.one_of(
        _files("list", "list.txt", samples.LIST, extra=_lines()),
        _files("list", "classes.txt", samples.CLASSES),
        _files("anchors", "anchors.txt", samples.ANCHORS),
        _files("yolo", "a.txt", samples.YOLO_LABEL),
        _files("yolo", "data.yaml", samples.DATA_YAML, extra=_yaml_bombs()),
        coco.map(lambda data: Sample("coco", {"coco.json": data})),
        coco.map(lambda data: Sample("coco", {"coco.json": data})),
    )


def labels() -> st.SearchStrategy[Sample]:
    """Label files of other tools: JSON, CVAT's XML and CSV."""
    return st.one_of(
        _json_labels("createml"),
        _json_labels("via"),
        _json_labels("label studio"),
        _json_labels("labelme"),
        *(
            _files(form, name, data)
            for form in ("cvat", "csv", "open images")
            for name, data in samples.labels_of(form, "a.jpg").items()
        ),
    )


def _json_labels(form: str) -> st.SearchStrategy[Sample]:
    """Draw a damaged JSON file of labels."""
    [(name, whole)] = samples.labels_of(form, "a.jpg").items()
    drawn = st.one_of(
        damaged_tree(json.loads(whole)), damaged_tree(json.loads(whole)), damaged(whole)
    )
    return drawn.map(lambda data: Sample(form, {name: data}))


def xml() -> st.SearchStrategy[Sample]:
    """Annotations in Pascal VOC."""
    entities = st.sampled_from(samples.ENTITIES).flatmap(
        lambda head: damaged(head + samples.XML.replace(b">hat<", b">&x;&y;<"))
    )
    deep = st.integers(1, 200_000).map(lambda depth: b"<a>" * depth + b"</a>" * depth)
    return _files("voc", "a.xml", samples.XML, extra=st.one_of(entities, deep, _documents()))


def pictures() -> st.SearchStrategy[Sample]:
    """Picture files of every format that is read."""
    valid = st.sampled_from(PICTURE_KINDS).flatmap(lambda kind: damaged_bytes(_picture(kind)))
    sized = st.builds(
        samples.png_of,
        st.sampled_from(SIDES),
        st.sampled_from(SIDES),
        st.sampled_from([1, 8, 16, 3]),
        st.sampled_from([0, 2, 3, 6, 9]),
    )
    text = damaged(b"P6\n60 40\n255\n" + bytes(7200))
    return st.one_of(valid, valid, sized, text, raw()).map(
        lambda data: Sample("picture", {"a.jpg": data})
    )


def cfg() -> st.SearchStrategy[Sample]:
    """Darknet's descriptions of networks."""
    valid = st.sampled_from([samples.CFG, samples.tiny_cfg().encode()])
    sized = valid.flatmap(lambda text: with_number(text, LAYER_SIZES))
    return st.one_of(valid.flatmap(damaged), sized, raw()).map(
        lambda data: Sample("cfg", {"net.cfg": data})
    )


def weights() -> st.SearchStrategy[Sample]:
    """Darknet's weights, Keras 2 and 3 in HDF5, `.keras` archives, and logged models."""
    place = st.integers(0, 1 << 16)
    fault = st.sampled_from(sorted(samples.hdf5_faults()))
    darknet = st.one_of(damaged_bytes(samples.weights("darknet")), raw())
    names = st.sampled_from(["a.weights", "a.conv.15"])
    whole = samples.weights("keras")
    keras2 = st.one_of(
        damaged_bytes(samples.weights("keras2")),
        st.builds(samples.faulty_hdf5, st.just("keras2"), fault, place),
    )
    keras3 = st.one_of(
        damaged_bytes(samples.weights("keras3")),
        st.builds(samples.faulty_hdf5, st.just("keras3"), fault, place),
    )
    return st.one_of(
        st.builds(lambda name, data: Sample("weights", {name: data}), names, darknet),
        keras2.map(lambda data: Sample("weights", {"a.h5": data})),
        keras3.map(lambda data: Sample("weights", {"a.weights.h5": data})),
        _keras_files().map(lambda data: Sample("weights", {"a.keras": data})),
        _keras_files().map(lambda data: Sample("model", {"data/model.keras": data})),
        damaged_tree(_settings()).map(lambda data: Sample("model", {"data/detector.json": data})),
        damaged_tree(_settings()).map(
            lambda data: Sample("weights", {"a.keras": whole, "detector.json": data})
        ),
    )


def requests() -> st.SearchStrategy[Sample]:
    """Bodies of requests to the served model."""
    bodies = st.sampled_from(_bodies())
    row = st.one_of(
        st.sampled_from(VALUES),
        pictures().map(lambda sample: _text(sample.files["a.jpg"])),
        damaged(_text(samples.picture()).encode()).map(lambda data: data.decode("latin-1")),
        st.text(max_size=80),
    )
    params = st.dictionaries(
        st.sampled_from(["score_threshold", "iou_threshold", "max_detections", "image", ""]),
        st.one_of(st.sampled_from(VALUES), st.floats(), st.integers()),
        max_size=3,
    )
    rows = st.lists(row, max_size=6)
    body = st.one_of(
        st.builds(_request, rows, params),
        bodies.flatmap(damaged_tree),
        bodies.flatmap(lambda body: damaged(json.dumps(body).encode())),
        raw(),
    )
    table = st.tuples(rows, params).map(lambda drawn: json.dumps(drawn).encode())
    return st.one_of(
        body.map(lambda data: Sample("request", {"body.json": data})),
        table.map(lambda data: Sample("table", {"rows.json": data})),
    )


KINDS = {
    "lists": lists,
    "labels": labels,
    "XML": xml,
    "pictures": pictures,
    "cfg": cfg,
    "weights": weights,
    "requests": requests,
}


def _files(form: str, name: str, valid: bytes, extra=None) -> st.SearchStrategy[Sample]:
    """Draw one damaged file; what else the format needs is there, whole."""
    drawn = [damaged(valid), damaged(valid), raw()] + ([extra] if extra is not None else [])
    return st.one_of(drawn).map(lambda data: Sample(form, {name: data}))


def _lines() -> st.SearchStrategy[bytes]:
    """Draw an annotation list whose lines have the right form and anything in it."""
    text = st.sampled_from(TEXTS)
    number = st.one_of(st.integers(-9, 99).map(str), st.floats().map(str), text)
    box = st.lists(number, min_size=4, max_size=6).map(",".join)
    name = st.one_of(st.sampled_from(["a.jpg", '"b c.png"', "d.jpg"]), text)
    line = st.builds(lambda name, boxes: " ".join([name, *boxes]), name, st.lists(box, max_size=4))
    return st.lists(line, max_size=4).map(lambda lines: "\n".join(lines).encode())


def _documents() -> st.SearchStrategy[bytes]:
    """Draw XML of the right form with anything in its elements, some of them missing."""
    text = st.one_of(st.sampled_from(TEXTS), st.floats().map(str), st.integers(-9, 99).map(str))

    def element(name):
        wrapped = text.map(lambda inside: f"<{name}>{escape(inside)}</{name}>")
        return st.one_of(wrapped, wrapped, wrapped, st.just(""))

    corners = st.tuples(*map(element, ("xmin", "ymin", "xmax", "ymax"))).map("".join)
    box = corners.map(lambda inside: f"<bndbox>{inside}</bndbox>")
    thing = st.tuples(element("name"), element("difficult"), box).map("".join)
    things = st.lists(thing.map(lambda inside: f"<object>{inside}</object>"), max_size=3)
    size = st.tuples(element("width"), element("height")).map("".join)
    parts = (element("folder"), element("filename"), size.map("<size>{}</size>".format))
    whole = st.tuples(*parts, things.map("".join)).map("".join)
    return whole.map(lambda inside: f"<annotation>{inside}</annotation>".encode())


def _yaml_bombs() -> st.SearchStrategy[bytes]:
    """Draw a data.yaml whose aliases stand for exponentially many texts, in one of its entries."""

    def bomb(key, depth):
        lines = ["b0: &b0 [x, x, x]"]
        lines += [f"b{n}: &b{n} [*b{n - 1}, *b{n - 1}, *b{n - 1}]" for n in range(1, depth)]
        return "\n".join([*lines, f"train: images\n{key}: *b{depth - 1}\n"]).encode()

    deep = st.integers(1, 20_000).map(lambda depth: b"train: images\nnames: " + b"[" * depth)
    keys = st.sampled_from(["names", "train", "path", "nc", "kpt_shape", "val"])
    return st.one_of(st.builds(bomb, keys, st.integers(2, 40)), deep)


@cache
def _picture(kind: str) -> bytes:
    return samples.picture(kind)


def _keras_files() -> st.SearchStrategy[bytes]:
    members = samples.keras_members()
    config = json.loads(members["config.json"])
    fault = st.sampled_from(sorted(samples.hdf5_faults()))
    inner = st.builds(samples.faulty_hdf5, st.just("keras"), fault, st.integers(0, 1 << 16))
    described = st.one_of(damaged_tree(config), damaged_tree(config), _sizes(config))
    return st.one_of(
        damaged_bytes(samples.weights("keras")),
        described.map(lambda data: samples.zipped(members | {"config.json": data})),
        inner.map(lambda data: samples.zipped(members | {"model.weights.h5": data})),
        st.sampled_from(["../out.txt", "/out.txt", "assets/x", "model.weights.npz", "x.pkl"]).map(
            lambda name: samples.zipped(members | {name: b"cos\nsystem\n."})
        ),
        st.just(samples.zipped(members | {"config.json": b" " * (1 << 25)}, packed=True)),
        raw(),
    )


def _sizes(config: dict) -> st.SearchStrategy[bytes]:
    """Draw a description of a network with one size in it out of all measure."""
    layers = range(len(config["config"]["layers"]))
    keys = ["filters", "kernel_size", "strides", "size", "pool_size", "padding", "batch_shape"]
    keys += ["axis", "groups", "dilation_rate", "input_shape"]
    values = [10**9, [10**6, 10**6], [[10**6, 0], [0, 10**6]], [None, 10**6, 10**6, 3], 10**5, -1]
    values += [0, [0, 0], "same", None, [None, 64, 64, 10**9], True, [1], 1.5]

    def change(number, key, value):
        changed = json.loads(json.dumps(config))
        layer = changed["config"]["layers"][number]
        holder = layer.get("build_config", {}) if key == "input_shape" else layer["config"]
        holder[key] = value
        return json.dumps(changed).encode()

    return st.builds(
        change, st.sampled_from(layers), st.sampled_from(keys), st.sampled_from(values)
    )


@cache
def _settings() -> dict:
    _, spec, _ = samples.tiny_network()
    thresholds = {"score_threshold": 0.25, "iou_threshold": 0.45, "max_detections": 100}
    return {"network": json.loads(spec.to_json()), "thresholds": thresholds}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@cache
def _bodies() -> tuple[dict, ...]:
    text = _text(samples.picture())
    return (
        {"dataframe_split": {"columns": ["image"], "data": [[text], ["broken"]]}},
        {"dataframe_records": [{"image": text}, {"image": f"data:image/jpeg;base64,{text}"}]},
        {"instances": [{"image": text}]},
        {"inputs": {"image": [text]}, "params": {"score_threshold": 0.5, "max_detections": 3}},
    )


def _request(rows: list, params: dict) -> bytes:
    table = {"columns": ["image"], "data": [[row] for row in rows]}
    body = {"dataframe_split": table} | ({"params": params} if params else {})
    return json.dumps(body).encode()


def for_each(strategy: st.SearchStrategy, attempt, examples: int, seed: int) -> None:
    """Call `attempt` with each input that a strategy draws, the same ones for the same seed."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def draw(drawn):
        attempt(drawn)

    draw()
