// SPDX-License-Identifier: MIT
// Loads models with TensorFlow.js and predicts with them, for a script of Python.
//
//     node tfjs_predict.cjs      reads a line {"path": …, "inputs": [{"shape", "dtype", "data"}, …]} for each model from the
//                                standard input; writes a line {"outputs": [{"shape", "data"}, …]} or {"error": …} for each
'use strict';
const fs = require('fs'), path = require('path'), readline = require('readline');
const tf = require('@tensorflow/tfjs');

function loader(file) {
  return {load: async () => {
    const json = JSON.parse(fs.readFileSync(file));
    const specs = [].concat(...json.weightsManifest.map((group) => group.weights));
    const data = Buffer.concat([].concat(...json.weightsManifest.map(
        (group) => group.paths.map((each) => fs.readFileSync(path.join(path.dirname(file), each))))));
    return {modelTopology: json.modelTopology, format: json.format, weightSpecs: specs,
      weightData: data.buffer.slice(data.byteOffset, data.byteOffset + data.length)};
  }};
}

async function answer({path: file, inputs}) {
  const model = await tf.loadLayersModel(loader(file));
  const tensors = inputs.map(({shape, dtype, data}) => tf.tensor(data, shape, dtype));
  const outputs = [].concat(model.predict(tensors.length === 1 ? tensors[0] : tensors));
  const made = await Promise.all(outputs.map(async (each) => ({shape: each.shape, data: Array.from(await each.data())})));
  tf.dispose([tensors, outputs]);
  model.dispose();
  return {outputs: made};
}

async function main() {
  console.log = console.error; // of TensorFlow.js; the standard output is for answers
  await tf.setBackend('cpu');
  for await (const line of readline.createInterface({input: process.stdin})) {
    let made;
    try {
      made = await answer(JSON.parse(line));
    } catch (failure) {
      made = {error: String(failure.message).slice(0, 400)};
    }
    process.stdout.write(JSON.stringify(made, (key, value) => Number.isNaN(value) ? 'NaN' : value) + '\n');
  }
}

main();
