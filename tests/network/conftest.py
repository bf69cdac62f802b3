import pytest
from network_cases import OWN_SPECS, randomise, scale_kernels

from yolo3.network.model import build_network


@pytest.fixture(scope="session")
def tiny():
    return _network_of(OWN_SPECS["tiny"])


@pytest.fixture(scope="session")
def full():
    """YOLOv3 takes seconds to build and 250 MB: tests share it, and none may change it."""
    return _network_of(OWN_SPECS["full"])


def _network_of(spec):
    network = build_network(spec)
    randomise(network, seed=1)
    scale_kernels(network)
    return network
