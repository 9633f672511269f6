#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/python/stet.py with Keras: models, checkpoints of a training by the callback, restored training, and what the command reads.

    python_stet_keras.py STET FOLDER SOURCE     FOLDER is made anew; SOURCE is the source tree of stet
"""
import json
import os
import pathlib
import shutil
import sys

sys.dont_write_bytecode = True
STET, FOLDER, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
sys.path.insert(0, str(SOURCE / "examples" / "python"))
import stet  # noqa: E402

HAD_KERAS = "keras" in sys.modules  # stet must not import it by itself

import keras  # noqa: E402
import numpy  # noqa: E402

from stet_command import Stet, Tally, run  # noqa: E402

tally = Tally()
random = numpy.random.default_rng(16)
INPUTS = random.normal(size=(64, 5)).astype("float32")
TARGETS = (INPUTS @ random.normal(size=(5, 2))).astype("float32")


def network():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, activation="relu", name="hidden"),
                              keras.layers.BatchNormalization(name="norm"), keras.layers.Dense(2, name="answer")])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def values(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def is_equal(variables, others):
    found, expected = values(variables), values(others)
    return len(found) == len(expected) and all(numpy.array_equal(a, b) for a, b in zip(found, expected))


def same_file_again(path):
    run(STET, "verify", path)
    run(STET, "convert", path, FOLDER / "again.stet")
    tally.check((FOLDER / "again.stet").read_bytes() == path.read_bytes(), f"{path.name}: the C++ writer writes other bytes")


def models():
    tally.check(not HAD_KERAS, "stet imports keras only if it is used")
    model, path = network(), FOLDER / "model.stet"
    stet.save_file(model, path, {"epochs": 0})
    same_file_again(path)
    read = Stet(STET, path)
    names = [f"{layer}/{name}" for layer, names in [("hidden", ["kernel", "bias"]), ("norm", ["gamma", "beta", "moving_mean", "moving_variance"]),
                                                    ("answer", ["kernel", "bias"])] for name in names]
    tally.check(list(read.tensors) == names, f"names {list(read.tensors)}")
    for name, array in zip(names, values(model.weights)):
        tally.check(read.stored_bytes(name) == array.tobytes(), f"{name}: other bytes")
    manifest = json.loads(run(STET, "manifest", path))
    tally.check([manifest["tensors"][name].get("trainable") for name in ("norm/gamma", "norm/moving_mean")] == [True, False], "trainable")
    other = network()
    stet.load_keras(other, path)
    tally.check(is_equal(other.weights, model.weights), "load_keras: other weights")
    inputs = keras.Input((5,))
    functional = keras.Model(inputs, keras.layers.Dense(2, name="answer")(keras.layers.Dense(8, name="hidden")(inputs)))
    stet.save_file(functional, FOLDER / "functional.stet")
    names = sorted(Stet(STET, FOLDER / "functional.stet").tensors)
    tally.check(names == ["answer/bias", "answer/kernel", "hidden/bias", "hidden/kernel"], f"names of a functional model: {names}")


def refused():
    model = network()
    stet.save_file(model, FOLDER / "model.stet")
    before = values(model.weights)
    for title, change in [("not_found", lambda tensors: tensors.pop("answer/bias")), ("bad_shape", lambda tensors: tensors.update({"answer/bias": numpy.ones(3)}))]:
        tensors = {name: array + 1 for name, array in stet.load_file(FOLDER / "model.stet").items()}
        change(tensors)
        stet.save_file(tensors, FOLDER / "wrong.stet")
        try:
            stet.load_keras(model, FOLDER / "wrong.stet")
            tally.check(False, f"{title}: accepted")
        except stet.Error as failure:
            tally.check(failure.code == title and failure.subject == "answer/bias", f"{title}: {failure}")
        tally.check(all(numpy.array_equal(a, b) for a, b in zip(before, values(model.weights))), f"{title}: a variable was assigned")


def training():
    keras.utils.set_random_seed(1)
    model = network()
    save = stet.keras_checkpoint(FOLDER / "run-{epoch:02}.stet", every_epochs=2)
    tally.check(isinstance(save, keras.callbacks.Callback), "a callback of Keras")
    model.fit(INPUTS, TARGETS, epochs=4, batch_size=16, shuffle=False, verbose=0, callbacks=[save])
    tally.check(sorted(path.name for path in FOLDER.glob("run-*")) == ["run-02.stet", "run-04.stet"], "every second epoch")
    same_file_again(FOLDER / "run-04.stet")
    with stet.open(FOLDER / "run-04.stet") as store:
        tally.check(store.state["global_step"] == 16 and store.state["user"]["epoch"] == 4, f"state {store.state}")
        tally.check(set(store.state["user"]["logs"]) == {"loss"}, "logs")
        tally.check(store.attributes("norm/moving_mean") == {"trainable": False}, "trainable")
        tally.check(any(name.startswith("optimizer/") for name in store), "variables of the optimizer")

    # Two epochs, restored into another model, and two more are the four epochs.
    other = network()
    stet.load_keras(other, FOLDER / "run-02.stet")
    other.fit(INPUTS, TARGETS, initial_epoch=2, epochs=4, batch_size=16, shuffle=False, verbose=0)
    worst = max(float(numpy.abs(a - b).max()) for a, b in zip(values(other.weights), values(model.weights)))
    tally.check(worst < 1e-5, f"a restored training differs by {worst}")
    stet.load_keras(other, FOLDER / "run-04.stet")
    tally.check(is_equal(other.weights, model.weights), "restored after training")
    tally.check(is_equal(other.optimizer.variables, model.optimizer.variables), "the optimizer")


def best_only():
    class Worse(keras.callbacks.Callback):
        """Replaces the loss by a list of losses."""

        def on_epoch_end(self, epoch, logs=None):
            logs["loss"] = [3.0, 1.0, 2.0, float("nan"), 0.5][epoch]

    model = network()
    save = stet.keras_checkpoint(str(FOLDER / "best-{epoch}.stet"), monitor="loss", optimizer=False, durable=False)
    model.fit(INPUTS, TARGETS, epochs=5, verbose=0, callbacks=[Worse(), save])
    tally.check(sorted(path.name for path in FOLDER.glob("best-*")) == ["best-1.stet", "best-2.stet", "best-5.stet"], "only the best")
    with stet.open(FOLDER / "best-5.stet") as store:
        tally.check(not any(name.startswith("optimizer/") for name in store), "without the optimizer")
    try:
        model.fit(INPUTS, TARGETS, verbose=0, callbacks=[stet.keras_checkpoint(FOLDER / "x.stet", monitor="accuracy")])
        tally.check(False, "a value that the logs lack")
    except stet.Error as failure:
        tally.check(failure.code == "not_found", f"{failure}")


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for title, body in [("models", models), ("refused", refused), ("training", training), ("best only", best_only)]:
        tally.case(title, body)
    print(f"Keras {keras.__version__}, {keras.backend.backend()}")
    return tally.finish()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
