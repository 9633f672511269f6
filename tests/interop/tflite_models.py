# SPDX-License-Identifier: MIT
"""TFLite models that TensorFlow makes: stet lists what LiteRT's interpreter has, and models with new weights run in it and give the
outputs of those.

    tflite_models.py STET FOLDER
"""
import json
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

STET, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
FOLDER.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(20)
tf.keras.utils.set_random_seed(20)


def stet(*arguments):
    done = subprocess.run([STET, *map(str, arguments)], capture_output=True)
    assert done.returncode == 0, (arguments, done.returncode, done.stderr.decode())
    return done.stdout


def tensors_of(path):
    return json.loads(stet("ls", "--json", path))["tensors"]


def run(model, inputs):
    """The outputs of the interpreter for float inputs, whatever the types of its ports."""
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    port, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for each in inputs:
        value = each[None]
        if port["dtype"] != np.float32:
            scale, zero = port["quantization"]
            value = np.clip(np.round(value / scale) + zero, -128, 127).astype(port["dtype"])
        interpreter.set_tensor(port["index"], value)
        interpreter.invoke()
        made = interpreter.get_tensor(result["index"])
        if result["dtype"] != np.float32:
            scale, zero = result["quantization"]
            made = (made.astype(np.float32) - zero) * scale
        outputs.append(made[0])
    return np.array(outputs)


def converted(model, samples=None):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if samples is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([each[None]] for each in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def dense_model():
    return tf.keras.Sequential([tf.keras.Input((6,)), tf.keras.layers.Dense(9, activation="relu", name="hidden"),
                                tf.keras.layers.Dense(4, name="scores")])


def conv_model():
    return tf.keras.Sequential([tf.keras.Input((8, 7, 3)), tf.keras.layers.Conv2D(5, (3, 2), activation="relu", name="conv"),
                                tf.keras.layers.Flatten(), tf.keras.layers.Dense(4, name="scores")])


def check_listing(path, model):
    """Every constant that stet lists has the bytes that the interpreter has."""
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    for each in tensors_of(path):
        number = int(each["name"].split(":")[1])
        value = np.ascontiguousarray(interpreter.get_tensor(number))
        assert stet("cat", path, each["name"]) == value.tobytes(), each["name"]
        assert model[each["offset_bytes"]:each["offset_bytes"] + each["size_bytes"]] == value.tobytes(), each["name"]


def check_patch(name, build, samples, is_quantized):
    old, new = build(), build()
    for a, b in zip(old.weights, new.weights):
        # Weights near the old ones, so that the scales of a quantized model fit.
        a.assign(rng.uniform(-1, 1, a.shape))
        b.assign(a * rng.uniform(0.3, 0.95, a.shape))
    phone, trained, patched = FOLDER / f"{name}.tflite", FOLDER / f"{name}.keras", FOLDER / f"{name}-new.tflite"
    model = converted(old, samples if is_quantized else None)
    phone.write_bytes(model)
    check_listing(phone, model)
    new.save(trained)

    # The tensor of the model for each weight: that of the same number of elements and layer.
    options = []
    listed = tensors_of(phone)
    for layer in new.layers:
        for kind, weight in zip(("kernel", "bias"), layer.weights):
            order = {4: (3, 0, 1, 2), 2: (1, 0), 1: (0,)}[len(weight.shape)]
            shape = [weight.shape[axis] for axis in order]
            found = [each for each in listed if each["shape"] == shape and each["dtype"] in ("float32", "int8", "int32")
                     and (kind != "bias" or each["dtype"] != "int8")]
            assert len(found) == 1, (layer.name, kind, shape, [(each["name"], each["shape"]) for each in listed])
            target = found[0]["name"]
            options += ["--rename", f"{layer.name}/{kind}={target}"]
            if len(order) > 1:
                options += ["--axes", target + "=" + ",".join(map(str, order))]
    stet("patch", phone, trained, patched, *options)
    assert phone.read_bytes() == model
    bytes_now = patched.read_bytes()
    changed = {i for i in range(len(model)) if model[i] != bytes_now[i]}
    ranges = [range(each["offset_bytes"], each["offset_bytes"] + each["size_bytes"]) for each in listed]
    assert len(bytes_now) == len(model) and all(any(i in each for each in ranges) for i in changed)

    wanted, had, got = new.predict(samples, verbose=0), run(model, samples), run(bytes_now, samples)
    spread = np.abs(wanted).max()
    error, before = np.abs(got - wanted).max(), np.abs(had - wanted).max()
    tolerance = 0.05 * spread if is_quantized else 1e-5 * max(spread, 1)
    assert error <= tolerance, (name, error, tolerance)
    assert before > 4 * tolerance, (name, before, tolerance)
    print(f"{name}: {len(options) // 2} options; largest error {error:.3g} of {spread:.3g}, {before:.3g} before")

    # In place: the old file stays with the interpreter that has it.
    stet("patch", phone, trained, phone, *options)
    assert phone.read_bytes() == bytes_now


def check_refusals():
    model = FOLDER / "dense.tflite"
    wrong = FOLDER / "wrong.npz"
    np.savez(wrong, **{"nothing": np.zeros(3, np.float32)})
    done = subprocess.run([STET, "patch", model, wrong, FOLDER / "none.tflite"], capture_output=True, text=True)
    assert done.returncode == 1 and "no tensor has the name" in done.stderr, done.stderr
    first = tensors_of(model)[0]["name"]
    np.savez(wrong, w=np.zeros((2, 2, 2), np.float32))
    done = subprocess.run([STET, "patch", model, wrong, FOLDER / "none.tflite", "--rename", f"w={first}"],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "float32 [2, 2, 2] in the weights" in done.stderr, done.stderr
    assert not (FOLDER / "none.tflite").exists()


check_patch("dense", dense_model, rng.uniform(-1, 1, (40, 6)).astype(np.float32), False)
check_patch("dense_int8", dense_model, rng.uniform(-1, 1, (40, 6)).astype(np.float32), True)
check_patch("conv", conv_model, rng.uniform(-1, 1, (20, 8, 7, 3)).astype(np.float32), False)
check_patch("conv_int8", conv_model, rng.uniform(-1, 1, (20, 8, 7, 3)).astype(np.float32), True)
check_refusals()

# A .keras file itself gets the weights of another: Keras loads it, and its archive stays valid.
first, second = dense_model(), dense_model()
first.save(FOLDER / "first.keras")
second.save(FOLDER / "second.keras")
stet("patch", FOLDER / "first.keras", FOLDER / "second.keras", FOLDER / "both.keras")
for a, b in zip(tf.keras.models.load_model(FOLDER / "both.keras").get_weights(), second.get_weights()):
    assert np.array_equal(a, b)
stet("verify", FOLDER / "both.keras")
print("ok")
