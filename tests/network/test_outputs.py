from dataclasses import replace

import pytest
from network_cases import PUBLISHED_MASK, TINY_ANCHORS, USUAL_MASK, network_of, spec_of
from numpy.testing import assert_array_equal

from yolo3.network.formats import Weights
from yolo3.network.outputs import match_outputs

SPEC = replace(spec_of(), class_names=("hat", "bare", "helmet"))


@pytest.fixture(scope="module")
def network():
    return network_of(1)


def weights_of(network, **known):
    arrays = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    return Weights(arrays, "Keras", **known)


def known(spec):
    return {
        "mask": spec.mask,
        "anchors_wh": spec.anchors_wh,
        "class_names": spec.class_names,
    }


def test_outputs_of_the_same_anchors_and_classes_stay(network):
    weights = weights_of(network, **known(SPEC))
    matched = match_outputs(weights, network, SPEC)
    assert (matched.mask, matched.notes) == (USUAL_MASK, ())
    assert_moved(matched.arrays, weights, [0, 1, 2])


def test_outputs_of_unknown_anchors_and_classes_stay(network):
    assert match_outputs(weights_of(network), network, SPEC).mask == USUAL_MASK
    matched = match_outputs(weights_of(network, mask=PUBLISHED_MASK), network, SPEC)
    assert (matched.mask, matched.notes) == (PUBLISHED_MASK, ())


def test_outputs_of_other_anchors_are_left_out(network):
    others = (*TINY_ANCHORS[:5], (50.0, 53.0))
    matched = match_outputs(
        weights_of(network, **known(replace(SPEC, anchors_wh=others))), network, SPEC
    )
    assert not {"output_32", "output_16"} & set(matched.arrays)
    assert len(matched.arrays) == 22 and matched.mask == USUAL_MASK
    [note] = matched.notes
    assert "other anchors (5,7, 9,12, 14,11, 22,30, 31,24, 50,53)" in note
    assert "random values" in note and "for the classes" not in note
    others = replace(SPEC, anchors_wh=others, class_names=("x", "y", "z"))
    [note] = match_outputs(weights_of(network, **known(others)), network, SPEC).notes
    assert "), for the classes x, y, z; give these anchors" in note


def test_an_anchor_that_no_output_uses_may_differ(network):
    others = ((1.0, 1.0), *TINY_ANCHORS[1:])
    weights = weights_of(network, mask=PUBLISHED_MASK, anchors_wh=others)
    assert match_outputs(weights, network, SPEC).mask == PUBLISHED_MASK


def test_the_same_anchors_in_another_order_give_their_mask(network):
    weights = weights_of(network, mask=USUAL_MASK, anchors_wh=TINY_ANCHORS[::-1])
    matched = match_outputs(weights, network, SPEC)
    assert matched.mask == ((2, 1, 0), (5, 4, 3)) and matched.notes == ()
    for scale, anchors in enumerate(weights.mask):
        own = [weights.anchors_wh[anchor] for anchor in anchors]
        assert own == [SPEC.anchors_wh[anchor] for anchor in matched.mask[scale]]


def channels(arrays, name):
    """Give an output's kernel (1, 1, I, A, 5 + C) and bias (A, 5 + C)."""
    kernel, bias = arrays[name]
    return kernel.reshape(1, 1, -1, 3, 8), bias.reshape(3, 8)


def assert_moved(found, weights, order):
    """Check that the classes' channels are those of the weights in this order, others as before."""
    for name in ("output_32", "output_16"):
        pairs = zip(channels(found, name), channels(weights.arrays, name), strict=True)
        for new, old in pairs:
            assert_array_equal(new[..., :5], old[..., :5])
            assert_array_equal(new[..., 5:], old[..., 5:][..., order])
    assert found["conv_1"] is weights.arrays["conv_1"]


def test_classes_in_another_order_are_matched_by_name(network):
    weights = weights_of(network, class_names=("helmet", "hat", "bare"))
    matched = match_outputs(weights, network, SPEC)
    assert_moved(matched.arrays, weights, [1, 2, 0])
    assert matched.notes == ("classes: in another order in the weights, matched by name",)


def test_classes_of_other_names_are_told(network):
    weights = weights_of(network, class_names=("x", "y", "z"))
    matched = match_outputs(weights, network, SPEC)
    assert_moved(matched.arrays, weights, [0, 1, 2])
    [note] = matched.notes
    assert note.endswith("x becomes hat, y becomes bare, z becomes helmet")


def test_classes_of_the_same_name_keep_it_and_the_others_follow(network):
    weights = weights_of(network, class_names=("bare", "cap", "hat"))
    matched = match_outputs(weights, network, SPEC)
    assert_moved(matched.arrays, weights, [2, 0, 1])
    renamed, order = matched.notes
    assert renamed.endswith(": cap becomes helmet") and "matched by name" in order


def test_names_that_are_not_one_to_a_class_say_nothing(network):
    weights = weights_of(network, class_names=("x", "y"))
    assert match_outputs(weights, network, SPEC).notes == ()


def test_of_another_number_of_classes_boxes_objectness_and_the_same_names_are_kept(network):
    few = replace(spec_of(2), class_names=("cap", "bare"))
    weights = weights_of(network_of(2, classes=2), **known(few))
    matched = match_outputs(weights, network, SPEC)
    assert matched.mask == USUAL_MASK
    for name in ("output_32", "output_16"):
        start = {name: network.get_layer(name).get_weights()}
        old = (array.reshape(*array.shape[:-1], 3, 7) for array in weights.arrays[name])
        for new, own, given in zip(
            channels(matched.arrays, name), channels(start, name), old, strict=True
        ):
            assert_array_equal(new[..., :5], given[..., :5])
            assert_array_equal(new[..., 6], given[..., 6])  # bare
            assert_array_equal(new[..., [5, 7]], own[..., [5, 7]])
    [note] = matched.notes
    assert note == (
        "outputs: boxes and objectness are kept, and of the classes bare; the others start from "
        "random values"
    )


def test_unknown_names_of_another_number_are_none_of_the_classes(network):
    few = network_of(2, classes=2)
    weights = weights_of(few, mask=USUAL_MASK, anchors_wh=TINY_ANCHORS)
    matched = match_outputs(weights, network, SPEC)
    for new, own in zip(
        channels(matched.arrays, "output_32"),
        channels({"output_32": network.get_layer("output_32").get_weights()}, "output_32"),
        strict=True,
    ):
        assert_array_equal(new[..., 5:], own[..., 5:])
    assert matched.notes == (
        "outputs: boxes and objectness are kept; classes start from random values",
    )


def test_outputs_of_another_number_of_classes_and_unknown_anchors_are_left_to_fill(network):
    weights = weights_of(network_of(2, classes=2))
    assert match_outputs(weights, network, SPEC).arrays is weights.arrays


@pytest.mark.parametrize(
    "damage",
    [
        lambda kernel, bias: [kernel[:, :, 1:], bias],  # fewer input channels
        lambda kernel, bias: [kernel, bias[:-1]],
        lambda kernel, bias: [kernel[..., :-1], bias[:-1]],  # not the same for each anchor
        lambda kernel, bias: [kernel[..., :15], bias[:15]],  # no class at all
        lambda kernel, bias: [kernel],
    ],
)
def test_outputs_of_another_shape_are_left_to_fill(network, damage):
    weights = weights_of(network)
    weights.arrays["output_16"] = damage(*weights.arrays["output_16"])
    assert match_outputs(weights, network, SPEC).arrays is weights.arrays


def test_another_number_of_anchors_per_scale_is_left_to_fill(network):
    weights = weights_of(network, mask=((3, 4), (0, 1)))
    assert match_outputs(weights, network, SPEC).arrays is weights.arrays


def test_weights_without_outputs_are_left_alone(network):
    weights = weights_of(network, **known(replace(SPEC, anchors_wh=TINY_ANCHORS[::-1])))
    for name in ("output_32", "output_16"):
        del weights.arrays[name]
    matched = match_outputs(weights, network, SPEC)
    assert matched.arrays is weights.arrays and matched.mask == USUAL_MASK
