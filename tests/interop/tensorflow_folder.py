#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A C++ program and TensorFlow take turns in one folder of checkpoints.

    tensorflow_folder.py STET FOLDER SHARE     FOLDER is made anew; SHARE is the program share_folder
"""
import pathlib
import shutil
import subprocess
import sys

import tensorflow as tf

from stet_command import Tally

tally = Tally()


def restored(share, folder):
    """What the C++ program restores: the step, and the first number."""
    return subprocess.run([share, str(folder), "restore"], check=True, capture_output=True, text=True).stdout.split()


def names(folder):
    return sorted(each.name for each in folder.iterdir() if each.name.startswith("ckpt"))


def main():
    _, _, folder, share = sys.argv
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([share, str(folder), "save"], check=True)

    tally.check(tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-300"), "latest_checkpoint")
    state = tf.train.get_checkpoint_state(str(folder))
    tally.check([pathlib.Path(each).name for each in state.all_model_checkpoint_paths] == ["ckpt-200", "ckpt-300"], "what is kept")
    reader = tf.train.load_checkpoint(str(folder))
    key = "dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    tally.check((reader.get_tensor(key) == 300).all(), "load_checkpoint of the folder")
    print("stet saved three, two stayed, TensorFlow finds the newest", flush=True)

    dense = tf.Module()
    dense.kernel = tf.Variable(tf.zeros([2, 3]))
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(dense=dense, global_step=step)
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=2)
    tally.check([pathlib.Path(each).name for each in manager.checkpoints] == ["ckpt-200", "ckpt-300"], "CheckpointManager adopts")
    checkpoint.restore(manager.latest_checkpoint).assert_existing_objects_matched()
    tally.check(step.numpy() == 300 and (dense.kernel.numpy() == 300).all(), "Checkpoint.restore")
    dense.kernel.assign(tf.fill([2, 3], 400.0))
    step.assign(400)
    manager.save(checkpoint_number=400)
    tally.check("ckpt-200.index" not in names(folder) and "ckpt-400.index" in names(folder), f"kept by its manager: {names(folder)}")
    print("TensorFlow's CheckpointManager went on in the folder, and removed the oldest", flush=True)

    tally.check(restored(share, folder) == ["400", "400"], f"stet restores {restored(share, folder)}")
    (folder / "checkpoint").unlink()
    subprocess.run([share, str(folder), "save"], check=True)
    tally.check(restored(share, folder) == ["300", "300"], f"after going back: {restored(share, folder)}")
    print("stet went on with what TensorFlow saved", flush=True)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
