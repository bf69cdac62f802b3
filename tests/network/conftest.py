import pytest
from network_cases import OWN_SPECS, network_of, randomise, scale_kernels

from yolo3.network.model import build_network


@pytest.fixture(scope="session")
def tiny():
    return _network_of(OWN_SPECS["tiny"])


@pytest.fixture(scope="session")
def full():
    """YOLOv3 takes seconds to build and 250 MB: tests share it, and none may change it."""
    return _network_of(OWN_SPECS["full"])


@pytest.fixture(scope="module")
def other():
    network = network_of(2)
    return network, network.get_weights()


@pytest.fixture
def target(other):
    """A network of other weights, which each test finds as they were."""
    network, weights = other
    network.set_weights(weights)
    return network


def _network_of(spec):
    network = build_network(spec)
    randomise(network, seed=1)
    scale_kernels(network)
    return network
