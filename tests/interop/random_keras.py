#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random nested Keras models, saved by Keras in every form, by stet from each to every form, and opened by the frameworks again.

    random_keras.py STET FOLDER NODE_FOLDER [SEED [SECONDS]]     FOLDER is made anew; SEED 0, the default, is that of the clock

What stet writes must load and predict the same. What it cannot express it refuses, and names the layer or tensor: these are
counted. Where a framework refuses its own file of a model and that of stet with the same words, stet is not to blame: these are
counted, too. TensorFlow.js is left out, which is said, where Node.js or its packages cannot be had.
"""
import gc
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time
import warnings

import keras
import numpy
import tf_keras
from keras import layers

from stet_command import Tally
from tensorflow_js import TensorFlowJs

tally = Tally()
warnings.simplefilter("ignore")
STEPS, WIDTH = 5, 3


class Builder:
    """Builds a random model, the same each time for the same seed. Tensors are sequences or vectors."""

    def __init__(self, seed, kit):
        self.random, self.kit, self.layers, self.count = random.Random(seed), kit, kit.layers, 0
        self.is_keras_2 = kit is tf_keras

    def name(self):
        """None, for the name that Keras gives, or one of any kind, '/' and figures among them."""
        self.count += 1
        kinds = [None, None, f"block.{self.count}", f"layer-{self.count}", f"dense_{50 - self.count}", f"{self.count}", f"vars_{self.count}"]
        return self.random.choice(kinds + [f"conv{self.count}/bn", f"a/b/{self.count}"] * self.is_keras_2)

    def cell(self):
        make = self.random.choice([self.layers.LSTMCell, self.layers.GRUCell, self.layers.SimpleRNNCell])
        return make(self.random.randint(2, 4), use_bias=self.random.random() < 0.8)

    def recurrent(self, sequences, name=None):
        kind = self.random.choice(["LSTM", "GRU", "SimpleRNN"])
        options = {"reset_after": self.random.random() < 0.5} if kind == "GRU" else {}
        return getattr(self.layers, kind)(self.random.randint(2, 4), return_sequences=sequences, name=name, **options)

    def dense(self, name=None):
        return self.layers.Dense(self.random.randint(2, 5), activation=self.random.choice([None, "tanh", "relu", "silu"]),
                                 use_bias=self.random.random() < 0.8, name=name)

    def changed(self, layer, x):
        """A Dense of Keras 3, perhaps with LoRA or int8."""
        y = layer(x)
        change = self.random.random()
        if not self.is_keras_2 and isinstance(layer, self.layers.Dense):
            if change < 0.12:
                layer.enable_lora(2)
            elif change < 0.24:
                layer.quantize("int8")
        return y

    def step(self, x, depth):
        """One more layer behind `x`."""
        is_sequence, name = len(x.shape) == 3, self.name()
        new, chosen = self.layers, self.random.random()
        if depth > 0 and chosen < 0.25:
            return self.model(depth - 1, tuple(x.shape[1:]), name)(x)
        if chosen < 0.35:
            both = self.dense(name)
            return new.Add()([both(x), both(new.Activation("tanh")(x))])
        if not is_sequence:
            return self.random.choice([
                lambda: self.changed(self.dense(name), x), lambda: new.BatchNormalization(name=name)(x),
                lambda: new.LayerNormalization(name=name)(x), lambda: new.Dropout(0.2, name=name)(x), lambda: new.LeakyReLU(name=name)(x),
                lambda: new.RepeatVector(STEPS, name=name)(x), lambda: new.PReLU(name=name)(x)])()
        return self.random.choice([
            lambda: new.TimeDistributed(self.dense(), name=name)(x), lambda: new.Bidirectional(self.recurrent(True), name=name)(x),
            lambda: new.Bidirectional(self.recurrent(False, self.name() if not self.is_keras_2 else None), name=name)(x),
            lambda: new.RNN([self.cell() for _ in range(self.random.randint(1, 3))], return_sequences=True, name=name)(x),
            lambda: new.RNN(self.cell(), name=name)(x), lambda: self.recurrent(False, name)(x), lambda: self.recurrent(True, name)(x),
            lambda: new.Conv1D(3, 2, padding="same", name=name)(x), lambda: new.MultiHeadAttention(2, 2, name=name)(x, x),
            lambda: new.GlobalAveragePooling1D(name=name)(x), lambda: new.Flatten(name=name)(x), lambda: self.changed(self.dense(name), x),
            lambda: new.TimeDistributed(new.BatchNormalization(), name=name)(x),
            lambda: new.Bidirectional(new.RNN(self.cell()), name=name)(x)])()

    def model(self, depth, shape, name=None):
        inputs = x = self.layers.Input(shape)
        if self.random.random() < 0.4:  # layers alone, in a chain
            chain = [self.dense(self.name()) for _ in range(self.random.randint(1, 3))]
            if len(shape) == 2:
                chain.append(self.random.choice([self.recurrent(False), self.layers.TimeDistributed(self.dense(), name=self.name()),
                                                 self.layers.Bidirectional(self.recurrent(True), name=self.name())]))
            if self.random.random() < 0.3:
                inner = (shape[:-1] + (chain[0].units,))
                chain.insert(1, self.kit.Sequential([self.layers.Input(inner), self.dense(self.name())]))
            return self.kit.Sequential([self.layers.Input(shape), *chain], name=name)
        for _ in range(self.random.randint(1, 4)):
            x = self.step(x, depth)
        return self.kit.Model(inputs, x, name=name)

    def whole(self):
        if self.random.random() < 0.25:
            inputs = self.layers.Input((STEPS,), dtype="int32")
            x = self.layers.Embedding(20, WIDTH, mask_zero=self.random.random() < 0.3)(inputs)
        else:
            inputs = x = self.layers.Input((STEPS, WIDTH))
        for _ in range(self.random.randint(1, 3)):
            x = self.step(x, 2)
        return self.kit.Model(inputs, x)


def fill(model, seed):
    """Gives every weight numbers of its own."""
    numbers = numpy.random.default_rng(seed)
    for weight in model.weights:
        if "float" in str(weight.dtype) and "seed" not in weight.name:
            weight.assign(numpy.abs(numbers.normal(size=weight.shape)).astype("float32") * 0.4)


def example(model, seed):
    numbers = numpy.random.default_rng(seed)
    each = model.inputs[0]
    shape = (2, *each.shape[1:])
    return numbers.integers(0, 20, shape).astype("int32") if "int" in str(each.dtype) else numbers.normal(size=shape).astype("float32")


def outputs_of(model, inputs):
    found = model(inputs, training=False)
    return [numpy.asarray(each) for each in (found if isinstance(found, (list, tuple)) else [found])]


def same(found, expected, tolerance):
    return len(found) == len(expected) and all(
        a.shape == b.shape and bool(numpy.all(numpy.abs(a - b) <= tolerance)) for a, b in zip(found, expected))


def words_of(failure):
    return f"{type(failure).__name__}: {failure}"


class Case:
    """One model, with its files and what each must predict."""

    def __init__(self, stet, folder, seed, kit, tfjs):
        self.stet, self.folder, self.seed, self.kit, self.tfjs = stet, folder, seed, kit, tfjs
        self.refused = self.compared = self.unreadable = 0
        self.own_failures = {}  # by the file's ending: what the framework says of its own file
        kit.backend.clear_session()
        kit.utils.set_random_seed(seed)
        self.model = Builder(seed, kit).whole()
        fill(self.model, seed)
        self.inputs = example(self.model, seed)
        self.expected = outputs_of(self.model, self.inputs)

    def rebuilt(self):
        """The same model with other weights."""
        self.kit.backend.clear_session()
        made = Builder(self.seed, self.kit).whole()
        fill(made, self.seed + 1)
        return made

    def load(self, path, kind):
        """What the model in `path` predicts."""
        if kind == "tfjs":
            return self.tfjs.predict(path, [self.inputs])
        if kind == "weights":
            made = self.rebuilt()
            made.load_weights(str(path))
            return outputs_of(made, self.inputs)
        self.kit.backend.clear_session()
        return outputs_of(self.kit.models.load_model(path, compile=False), self.inputs)

    def sources(self):
        """The files that the framework writes and reads itself, with how: those that it cannot are no test of stet.

        All are made before the first is used: what stet writes from one has the form of another.
        """
        made = []
        kinds = {"m.keras": "model", "m.weights.h5": "weights", "m.h5": "model"}
        if self.kit is tf_keras:
            kinds = {"m.h5": "model", "w.h5": "weights", "w": "weights"}
        for name, kind in kinds.items():
            path = self.folder / name
            try:
                self.model.save(path) if kind == "model" else self.model.save_weights(str(path))
                if same(self.load(path, kind), self.expected, 1e-5):
                    made.append((path, kind))
            except Exception as failure:  # whatever Keras cannot do with its own model
                self.own_failures[(kind, path.suffix)] = words_of(failure)
        return made

    def targets(self, source, kind):
        """What stet is to write, and how it is opened."""
        if kind == "model":
            yield "again.h5", "keras-legacy", "model"
            if self.kit is keras:
                yield "again.keras", "keras", "model"
            if self.tfjs.is_there:
                yield "js/model.json", "tfjs", "tfjs"
        if self.kit is keras:
            yield "again.weights.h5", "keras-weights", "weights"
        elif kind == "weights":
            yield "again_w.h5", "keras-legacy", "weights"
            if not source.suffix:
                yield "again", "tensorflow-objects", "weights"

    def run(self):
        for source, kind in self.sources():
            for way in ("straight", "stet"):
                start = source
                if way == "stet":
                    start = self.folder / "kept.stet"
                    if not self.convert(source, start, "stet"):
                        continue
                for name, form, opened_as in self.targets(source, kind):
                    made = self.folder / f"{source.name}_{way}" / name
                    made.parent.mkdir(parents=True, exist_ok=True)
                    if self.convert(start, made, form):
                        self.compare(made, opened_as, f"{source.name} → {way} → {name}")

    def convert(self, source, into, form):
        done = subprocess.run([self.stet, "convert", source, into, "--to", form], capture_output=True, text=True)
        if done.returncode == 0:
            return True
        said = done.stderr.strip()
        is_named = any(each in said for each in ("layer ", "/", "model "))
        is_refusal = "cannot express this" in said or "no conversion exists" in said
        tally.check(done.returncode == 1 and is_refusal and is_named and not into.exists(), f"seed {self.seed}: {source.name} to {form}: {said}")
        self.refused += 1
        return False

    def compare(self, path, kind, what):
        self.compared += 1
        try:
            found = self.load(path, kind)
            is_same = same(found, self.expected, 1e-3 if kind == "tfjs" else 1e-5)
            tally.check(is_same, f"seed {self.seed}: {what}: predictions differ")
        except Exception as failure:  # whatever the framework says
            if self.own_failures.get((kind, path.suffix)) == words_of(failure):
                self.unreadable += 1
            else:
                tally.check(False, f"seed {self.seed}: {what}: {words_of(failure)[:300]}")


def main():
    stet, folder, node_folder = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 40
    seed = seed or int(time.time()) % 1000000 * 100
    print(f"seed {seed}", flush=True)
    tfjs = TensorFlowJs(node_folder)
    end, refused, compared, unreadable, cases = time.monotonic() + seconds, 0, 0, 0, 0
    while time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        kit = tf_keras if cases % 4 == 3 else keras
        try:
            case = Case(stet, folder, seed + cases, kit, tfjs)
        except Exception:  # a model that Keras itself refuses
            case = None
        if case is not None:
            case.run()
            refused, compared, unreadable = refused + case.refused, compared + case.compared, unreadable + case.unreadable
        cases += 1
        gc.collect()
    tfjs.close()
    tally.check(compared > 0, "nothing was compared")
    print(f"{cases} models, {compared} conversions compared, {refused} refused by name, {unreadable} unreadable for the framework itself")
    return tally.finish()


sys.exit(main())
