import h5py
import numpy as np
import pytest
from keras2_cases import in_darknets_order, with_epsilon, write_keras_2, write_layers
from network_cases import FULL_ANCHORS, TINY_ANCHORS, randomise
from numpy.testing import assert_array_equal

from yolo3.network.formats import read_file
from yolo3.network.keras2 import KERAS_2_EPSILON
from yolo3.network.model import build_network
from yolo3.network.spec import make_spec
from yolo3.network.weights import WeightsError, fill, outputs_filled

NAMES = ("hat", "helmet", "bare")


def network_of(seed, anchors=TINY_ANCHORS, names=NAMES):
    """Make a network in which the epsilon matters: some channels hardly vary."""
    network = build_network(make_spec(names, anchors, (64, 64)))
    randomise(network, seed)
    rng = np.random.default_rng(seed)
    for layer in network.layers:
        if layer.name.endswith("_bn"):
            gamma, beta, mean, variance = layer.get_weights()
            chosen = rng.random(len(variance)) < 0.2
            variance = np.where(chosen, np.geomspace(1e-5, 1e-2, len(variance)), variance)
            gamma = np.where(chosen, gamma * np.sqrt(variance), gamma)
            layer.set_weights([gamma, beta, mean, variance])
        elif layer.weights:
            kernel, *bias = layer.get_weights()
            layer.set_weights([kernel * 20 / np.sqrt(kernel[..., 0].size), *bias])
    return network


def outputs(network):
    pixels = np.random.default_rng(7).random((2, 64, 64, 3), np.float32)
    return [np.asarray(raw) for raw in network(pixels)]


def assert_same_outputs(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert np.isfinite(b).all() and np.abs(b).max() > 0.1
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()


@pytest.fixture(scope="module")
def source():
    """A tiny network as it was in Keras 2, and what it gave there."""
    network = with_epsilon(network_of(1), KERAS_2_EPSILON)
    return network, outputs(network)


@pytest.fixture(scope="module")
def other():
    network = network_of(2)
    return network, network.get_weights()


def load(network, path):
    weights = read_file(path, network)
    return weights, fill(network, weights.arrays, path.name)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("first", [0, 1, 8, 95])
def test_file_gives_what_it_gave_where_it_was_made(source, target, tmp_path, first, whole):
    made, expected = source
    path = write_keras_2(made, tmp_path / "yolov3-tiny.h5", first=first, whole=whole)
    weights, report = load(target, path)
    assert_same_outputs(outputs(target), expected)
    assert len(report.filled) == 24 and report.parameters == target.count_params()
    assert not report.skipped and not report.left and not report.unused
    assert (weights.kind, weights.mask) == ("Keras 2", ((3, 4, 5), (1, 2, 3)))


def test_the_epsilon_matters_in_these_tests(source, target, tmp_path):
    """Without the change of gamma the outputs would be others, so the test above can fail."""
    made, expected = source
    for ours, theirs in zip(in_darknets_order(target), in_darknets_order(made), strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            if mine is not None:
                mine.set_weights(other.get_weights())
    found = outputs(target)[0]
    assert np.abs(found - expected[0]).max() > 0.01 * np.abs(expected[0]).max()


def test_description_of_a_whole_model_tells_its_epsilon(tmp_path, target):
    made = with_epsilon(network_of(3), 1e-5)
    path = write_keras_2(made, tmp_path / "other.h5", whole=True, epsilon=1e-5)
    load(target, path)
    assert_same_outputs(outputs(target), outputs(made))


def test_training_goes_on_where_it_was(source, target, tmp_path):
    """In training a normalisation gives the same too, where a batch varies as is stored."""
    made, _ = source
    load(target, write_keras_2(made, tmp_path / "tiny.h5"))
    mine, theirs = (network.get_layer("conv_1_bn") for network in (target, made))
    rng = np.random.default_rng(0)
    gamma, _, mean, variance = theirs.get_weights()
    batch = rng.normal(size=(4096, len(gamma)))
    batch = (batch - batch.mean(0)) / batch.std(0) * np.sqrt(variance) + mean
    pixels = batch.reshape(16, 16, 16, -1).astype("float32")
    found, expected = (np.asarray(layer(pixels, training=True)) for layer in (mine, theirs))
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def test_full_network(tmp_path):
    made = with_epsilon(network_of(4, FULL_ANCHORS), KERAS_2_EPSILON)
    expected = outputs(made)
    path = write_keras_2(made, tmp_path / "yolo_weights.h5", first=3)
    target = build_network(make_spec(NAMES, FULL_ANCHORS, (64, 64)))
    weights, report = load(target, path)
    assert len(report.filled) == 147 and not report.left and not report.skipped
    assert weights.mask is None  # the usual one
    assert_same_outputs(outputs(target), expected)


def test_other_classes_fill_all_but_the_outputs(source, tmp_path):
    made, _ = source
    target = network_of(2, names=("one", "two"))
    before = target.get_layer("output_16").get_weights()
    path = write_keras_2(made, tmp_path / "tiny.h5")
    _, report = load(target, path)
    assert [str(layer) for layer in report.skipped] == [
        "output_32: expected (1, 1, 512, 21), found (1, 1, 512, 24)",
        "output_16: expected (1, 1, 256, 21), found (1, 1, 256, 24)",
    ]
    assert len(report.filled) == 22 and not outputs_filled(target, report)
    assert_array_equal(target.get_layer("output_16").get_weights()[0], before[0])
    assert_array_equal(
        target.get_layer("conv_12").get_weights()[0], made.get_layer("conv_12").kernel
    )


def test_body_without_outputs(source, target, tmp_path):
    path = write_keras_2(source[0], tmp_path / "body.h5", only=8)
    _, report = load(target, path)
    assert len(report.filled) == 16 and len(report.left) == 8
    assert "conv_8_bn" in report.filled and "conv_9" in report.left and "output_16" in report.left


def test_model_within_a_model(source, target, tmp_path):
    """Training on several GPUs wrapped the model: all weights lie in one layer."""
    made, expected = source
    plain = write_keras_2(made, tmp_path / "plain.h5")
    with h5py.File(plain) as file, h5py.File(tmp_path / "nested.h5", "w") as nested:
        names = [name for layer in file.values() for name in layer.attrs["weight_names"]]
        nested.attrs["layer_names"] = np.array(["input_1", "model_1"], "S")
        nested.create_group("input_1").attrs["weight_names"] = np.array([], "S")
        folder = nested.create_group("model_1")
        folder.attrs["weight_names"] = np.array(names)
        for name in names:
            layer = name.decode().split("/")[0]
            folder[name.decode()] = file[layer][name.decode()][()]
    load(target, tmp_path / "nested.h5")
    assert_same_outputs(outputs(target), expected)


def test_tiny_file_does_not_fit_the_full_network(source, full, tmp_path):
    path = write_keras_2(source[0], tmp_path / "tiny.h5")
    with pytest.raises(
        WeightsError, match=r"tiny\.h5 does not fit this network \(yolov3\).*conv_1"
    ):
        load(full, path)


def kernel(*shape):
    return {"kernel:0": np.zeros(shape or (3, 3, 3, 16), "float32")}


def norm(channels=16):
    return {name: np.ones(channels, "float32") for name in ("gamma:0", "beta:0")} | {
        name: np.ones(channels, "float32") for name in ("moving_mean:0", "moving_variance:0")
    }


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({}, "has 0 convolutions"),
        (
            {"conv2d_1": kernel()},
            "has 1 convolutions, of which 0 with a bias, and 0 normalisations",
        ),
        ({"conv2d_1": {**kernel(), "bias:0": np.zeros(16, "float32")}}, "1 with a bias"),
        ({"dense_1": kernel(4, 4)}, "layer dense_1 holds dense_1/kernel:0; expected the classic"),
        (
            {"conv2d_1": {"depthwise:0": np.zeros(3, "float32")}},
            "conv2d_1 holds depthwise; expected",
        ),
        (
            {"conv2d_1": kernel(), "batch_normalization_1": {"gamma:0": np.ones(16, "float32")}},
            "batch_normalization_1 holds gamma; expected gamma, beta, moving_mean, moving_variance",
        ),
        ({"conv2d_1": {"kernel:0": np.zeros((3, 3, 3, 16), "int8")}}, "holds int8, expected float"),
        (
            {f"conv2d_{n}": kernel() for n in range(1, 4)}
            | {"batch_normalization_1": norm(), "batch_normalization_2": norm()},
            "has 3 convolutions, of which 0 with a bias, and 2 normalisations",
        ),
    ],
)
def test_other_graphs_are_named(target, tmp_path, layers, message):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        write_layers(file, layers)
    with pytest.raises(WeightsError, match=message) as caught:
        read_file(tmp_path / "other.h5", target)
    assert "other.h5" in str(caught.value)


def test_theano_files_and_mixed_epsilons_are_refused(source, target, tmp_path):
    path = write_keras_2(source[0], tmp_path / "tiny.h5", whole=True)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = np.bytes_(
            '[{"class_name": "BatchNormalization", "config": {"epsilon": 1e-3}},'
            ' {"class_name": "BatchNormalizationV1", "config": {"epsilon": 1e-5}}]'
        )
    with pytest.raises(WeightsError, match="several epsilons"):
        read_file(path, target)
    with h5py.File(path, "r+") as file:
        file["model_weights"].attrs["backend"] = np.bytes_("theano")
    with pytest.raises(WeightsError, match="Theano wrote it"):
        read_file(path, target)


def test_nothing_is_read_from_elsewhere(source, target, tmp_path):
    """A file cannot bring another file's contents into the model."""
    path = write_keras_2(source[0], tmp_path / "plain.h5")
    kernel_name = "conv2d_1/conv2d_1/kernel:0"
    (tmp_path / "secret").write_bytes(bytes(10_000))
    layout = h5py.VirtualLayout((3, 3, 3, 16), "float32")
    layout[:] = h5py.VirtualSource(path, kernel_name, (3, 3, 3, 16))
    links = {
        "external": lambda file: h5py.ExternalLink(str(path), kernel_name),
        "soft": lambda file: h5py.SoftLink("/conv2d_2/conv2d_2/kernel:0"),
    }
    for number, link in enumerate(links.values()):
        other = tmp_path / f"linked{number}.h5"
        other.write_bytes(path.read_bytes())
        with h5py.File(other, "r+") as file:
            del file[kernel_name]
            file[kernel_name] = link(file)
        with pytest.raises(WeightsError, match="is a link, which is not followed"):
            read_file(other, target)
    for number, stored in enumerate(("virtual", "outside")):
        other = tmp_path / f"stored{number}.h5"
        other.write_bytes(path.read_bytes())
        with h5py.File(other, "r+") as file:
            del file[kernel_name]
            if stored == "virtual":
                file.create_virtual_dataset(kernel_name, layout)
            else:
                where = [(str(tmp_path / "secret"), 0, 1728)]
                file.create_dataset(kernel_name, (3, 3, 3, 16), "float32", external=where)
        with pytest.raises(WeightsError, match="keeps its numbers in another file"):
            read_file(other, target)
