from yolo3.tracking.note import training_note

MODELS = {"first_": "one", "": "two"}


def test_the_worst_classes_are_told_and_the_rest_counted():
    metrics = {"first_AP50": 0.1, "first_AP": 0.2, "AP50": 0.3, "AP": 0.4}
    metrics |= {f"AP50_{'n' * 245}{number}": 0.5 + number / 100 for number in range(30)}
    note = training_note("abc", MODELS, metrics, 7)
    assert "| `one` | 0.100 | 0.200 |\n| `two` | 0.300 | 0.400 |" in note
    assert "n0 0.500, " in note and "n19 0.690 and 10 better ones." in note and "n20" not in note
    assert len(note) < 8000  # MLflow's limit of a tag
    assert "--model runs:/abc/two " in note


def test_classes_without_a_true_box_are_no_figures():
    metrics = {"first_AP50": 0.1, "first_AP": 0.2, "AP50": 0.3, "AP": 0.4, "AP50_hat": 1.0}
    assert "lowest first: hat 1.000." in training_note("abc", MODELS, metrics, 7)


def test_a_note_of_one_model_names_its_own_figures():
    metrics = {"frozen_AP50": 0.1, "frozen_AP": 0.2, "frozen_AP50_hat": 0.3, "AP50_hat": 1.0}
    note = training_note("abc", {"frozen_": "one"}, metrics, 7)
    assert "lowest first: hat 0.300." in note and "`evaluation/frozen/gallery`" in note
