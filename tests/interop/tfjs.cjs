#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// TensorFlow.js writes, stet reads; stet writes, TensorFlow.js loads with its own loaders and predicts the same.
//
//     tfjs.cjs STET FOLDER     FOLDER is made anew
const childProcess = require('child_process');
const fs = require('fs');
const path = require('path');

const quiet = console.warn;
console.warn = () => {}; // which tells to install the native backend
const tf = require('@tensorflow/tfjs');
console.warn = quiet;

const [stet, root] = process.argv.slice(2);
let checks = 0, failures = 0;

function check(holds, what) {
  ++checks;
  if (!holds) {
    ++failures;
    console.log(`  FAILED: ${what}`);
  }
}

async function testCase(title, body) {
  const before = [checks, failures];
  try {
    await body();
  } catch (failure) {
    check(false, failure.stack);
  }
  console.log(`${failures === before[1] ? 'ok  ' : 'BAD '} ${title}: ${checks - before[0]} checks`);
}

const run = (...given) => childProcess.execFileSync(stet, given, {maxBuffer: 1 << 30});
const list = (file) => new Map(JSON.parse(run('ls', '--json', file)).tensors.map((each) => [each.name, each]));
const equal = (a, b) => Buffer.compare(Buffer.from(a.buffer, a.byteOffset, a.byteLength), Buffer.from(b.buffer, b.byteOffset, b.byteLength)) === 0;

/// The loader that browsers use, with files in place of a server.
function loader(file) {
  return tf.io.http(`http://models/${encodeURIComponent(file)}/../` + path.basename(file), {
    fetchFunc: async (url) => {
      const name = path.join(path.dirname(file), decodeURIComponent(path.basename(url)));
      return new Response(fs.readFileSync(name), {headers: {'content-type': 'application/octet-stream'}});
    },
  });
}

/// Saves a model as TensorFlow.js does, its weights cut after every `shardSize` bytes.
async function save(model, folder, shardSize, options) {
  fs.mkdirSync(folder, {recursive: true});
  await model.save(tf.io.withSaveHandler(async (artifacts) => {
    const data = Buffer.from(tf.io.CompositeArrayBuffer ? tf.io.CompositeArrayBuffer.join(artifacts.weightData) : artifacts.weightData);
    const paths = [];
    for (let at = 0; at < data.length; at += shardSize) {
      paths.push(`group1-shard${paths.length + 1}.bin`);
      fs.writeFileSync(path.join(folder, paths[paths.length - 1]), data.subarray(at, at + shardSize));
    }
    const {modelTopology, format, generatedBy, convertedBy, trainingConfig} = artifacts;
    fs.writeFileSync(path.join(folder, 'model.json'), JSON.stringify(
        {modelTopology, format, generatedBy, convertedBy, trainingConfig, weightsManifest: [{paths, weights: artifacts.weightSpecs}]}));
    return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
  }), options);
  return path.join(folder, 'model.json');
}

/// Compares every weight of a layers model with what stet finds in the file.
async function compareWeights(model, file) {
  const tensors = list(file);
  for (const weight of model.weights) {
    const row = tensors.get(weight.originalName);
    check(row !== undefined, `${file}: ${weight.originalName} is not listed`);
    if (row === undefined) continue;
    const values = await weight.read().data();
    check(JSON.stringify(row.shape) === JSON.stringify(weight.shape), `${weight.originalName}: shape ${row.shape}`);
    check(equal(run('cat', file, weight.originalName), values), `${weight.originalName}: bytes differ`);
  }
}

/// Predicts with both models; the results are the same to the last bit.
async function comparePredictions(one, other, inputs) {
  for (const each of [].concat(await Promise.all([].concat(one.predict(inputs)).map((t, i) =>
      Promise.all([t.data(), [].concat(other.predict(inputs))[i].data()]))))) {
    check(equal(each[0], each[1]), 'predictions differ');
  }
}

function sequential() {
  const model = tf.sequential();
  model.add(tf.layers.conv2d({inputShape: [8, 8, 2], filters: 5, kernelSize: 3, name: 'conv'}));
  model.add(tf.layers.batchNormalization());
  model.add(tf.layers.flatten());
  model.add(tf.layers.dense({units: 3, activation: 'softmax', name: 'last'}));
  return [model, tf.randomNormal([4, 8, 8, 2], 0, 1, 'float32', 7)];
}

function functional() {
  const x = tf.input({shape: [6], name: 'x'}), side = tf.input({shape: [4], name: 'side'});
  const embedded = tf.layers.embedding({inputDim: 10, outputDim: 3, name: 'emb'}).apply(x);
  const shared = tf.layers.dense({units: 4, name: 'shared'});
  const a = shared.apply(tf.layers.lstm({units: 4, name: 'lstm'}).apply(embedded)), b = shared.apply(side);
  const inner = tf.sequential({name: 'inner', layers: [tf.layers.dense({units: 2, inputShape: [4], name: 'within'})]});
  const sum = tf.layers.add().apply([a, b]);
  const model = tf.model({inputs: [x, side], outputs: [inner.apply(sum), b]});
  return [model, [tf.randomUniform([5, 6], 0, 10, 'int32', 1).toFloat(), tf.randomNormal([5, 4], 0, 1, 'float32', 2)]];
}

async function layersModel(make, shardSize) {
  const [model, inputs] = make();
  const folder = path.join(root, `${make.name}-${shardSize}`);
  const theirs = await save(model, path.join(folder, 'theirs'), shardSize);
  await compareWeights(model, theirs);
  check(run('graph', theirs).length > 0, 'no graph');
  // Back to TensorFlow.js: at once, and by way of stet's own format.
  const native = path.join(folder, 'model.stet');
  run('convert', theirs, native);
  for (const [from, name] of [[theirs, 'direct'], [native, 'native']]) {
    fs.mkdirSync(path.join(folder, name));
    const ours = path.join(folder, name, 'model.json');
    run('convert', from, ours, '--to', 'tfjs');
    const loaded = await tf.loadLayersModel(loader(ours));
    await compareWeights(model, ours);
    await comparePredictions(model, loaded, inputs);
  }
}

/// A store that was written by hand, with a graph of its own, as a program without TensorFlow has it.
async function ownModel() {
  const folder = path.join(root, 'own');
  fs.mkdirSync(folder, {recursive: true});
  const kernel = Float32Array.from({length: 12}, (_, i) => Math.sin(i)), bias = Float32Array.of(1, -1, 0.5);
  fs.writeFileSync(path.join(folder, 'weights.bin'), Buffer.concat([Buffer.from(kernel.buffer), Buffer.from(bias.buffer)]));
  fs.writeFileSync(path.join(folder, 'own.json'), JSON.stringify({
    stet: {version: 1, minimum_reader: 1}, data: ['weights.bin'],
    tensors: {W: {dtype: 'float32', shape: [4, 3], offset_bytes: 0, size_bytes: 48}, b: {dtype: 'float32', shape: [3], offset_bytes: 48, size_bytes: 12}},
    graph: {
      nodes: [{name: 'pixels', op: 'Placeholder'},
        {name: 'dense', op: 'Dense', inputs: ['pixels'], attributes: {units: 3, activation: 'relu'}, variables: {kernel: 'W', bias: 'b'}}],
      inputs: {pixels: {node: 'pixels', dtype: 'float32', shape: [4]}}, outputs: {scores: 'dense'},
    },
  }));
  fs.mkdirSync(path.join(folder, 'out'));
  const ours = path.join(folder, 'out', 'model.json');
  run('convert', path.join(folder, 'own.json'), ours, '--to', 'tfjs');
  const model = await tf.loadLayersModel(loader(ours));
  const x = tf.tensor2d([[1, 2, 3, 4], [-1, 0.5, 0, 2]]);
  const expected = tf.relu(x.matMul(tf.tensor2d(kernel, [4, 3])).add(tf.tensor1d(bias)));
  check(equal(await model.predict(x).data(), await expected.data()), 'predictions differ');
  check(model.inputs[0].shape.join() === ',4', `input ${model.inputs[0].shape}`);
}

/// A graph model whose weights are quantized in every way; loaded before and after it went through stet.
async function graphModel() {
  const folder = path.join(root, 'graph');
  fs.mkdirSync(folder, {recursive: true});
  const shape = (...sizes) => ({dim: sizes.map((size) => ({size: String(size)}))});
  const constant = (name, dtype, ...sizes) => ({name, op: 'Const', attr: {dtype: {type: dtype}, value: {tensor: {dtype, tensorShape: shape(...sizes)}}}});
  const float = {T: {type: 'DT_FLOAT'}};
  const node = [
    constant('k8', 'DT_FLOAT', 2, 2), constant('k16', 'DT_FLOAT', 2), constant('half', 'DT_FLOAT', 2), constant('plain', 'DT_FLOAT', 2),
    {name: 'x', op: 'Placeholder', attr: {dtype: {type: 'DT_FLOAT'}, shape: {shape: shape(-1, 2)}}},
    {name: 'mm', op: 'MatMul', input: ['x', 'k8'], attr: {...float, transpose_a: {b: false}, transpose_b: {b: false}}},
    {name: 'a', op: 'AddV2', input: ['mm', 'k16'], attr: float}, {name: 'b', op: 'Mul', input: ['a', 'half'], attr: float},
    {name: 'y', op: 'AddV2', input: ['b', 'plain'], attr: float}];
  const data = Buffer.alloc(4 + 4 + 4 + 8);
  data.set([0, 128, 255, 7], 0);
  data.writeUInt16LE(65535, 4), data.writeUInt16LE(1, 6);
  data.writeUInt16LE(0x3555, 8), data.writeUInt16LE(0xc000, 10);
  data.writeFloatLE(0.1, 12), data.writeFloatLE(-3, 16);
  fs.writeFileSync(path.join(folder, 'a.bin'), data.subarray(0, 7)); // which cuts k16
  fs.writeFileSync(path.join(folder, 'b.bin'), data.subarray(7));
  const theirs = path.join(folder, 'model.json');
  fs.writeFileSync(theirs, JSON.stringify({
    format: 'graph-model', generatedBy: 'test', convertedBy: null,
    signature: {inputs: {x: {name: 'x:0', dtype: 'DT_FLOAT', tensorShape: shape(-1, 2)}}, outputs: {y: {name: 'y:0', dtype: 'DT_FLOAT', tensorShape: shape(-1, 2)}}},
    modelTopology: {node, versions: {producer: 1}},
    weightsManifest: [{paths: ['a.bin', 'b.bin'], weights: [
      {name: 'k8', shape: [2, 2], dtype: 'float32', quantization: {dtype: 'uint8', scale: 0.0583068754158768, min: -3.789946902031992}},
      {name: 'k16', shape: [2], dtype: 'float32', quantization: {dtype: 'uint16', scale: 7.562500175207733e-5, min: -2.09655192357284}},
      {name: 'half', shape: [2], dtype: 'float32', quantization: {dtype: 'float16'}}, {name: 'plain', shape: [2], dtype: 'float32'}]}],
  }));
  const before = await tf.loadGraphModel(loader(theirs));
  const weights = before.executor.weightMap;
  for (const [name, [weight]] of Object.entries(weights))
    check(equal(run('cat', '--dequantize', theirs, name), await weight.data()), `${name}: numbers differ`);
  const x = tf.tensor2d([[0.3, -1.7], [2, 5]]);
  const native = path.join(folder, 'model.stet');
  run('convert', theirs, native);
  for (const [from, name] of [[theirs, 'direct'], [native, 'native']]) {
    fs.mkdirSync(path.join(folder, name));
    const ours = path.join(folder, name, 'model.json');
    run('convert', from, ours, '--to', 'tfjs');
    const after = await tf.loadGraphModel(loader(ours));
    check(equal(await before.predict(x).data(), await after.predict(x).data()), 'predictions differ');
    check(JSON.stringify(after.inputs.map((each) => each.name)) === '["x"]', 'inputs differ');
  }
}

/// Every dtype, as encodeWeights writes it; and as decodeWeights reads what stet writes.
async function dtypes() {
  const folder = path.join(root, 'dtypes');
  fs.mkdirSync(path.join(folder, 'out'), {recursive: true});
  const tensors = {s: tf.tensor1d(['ab', '', 'é'], 'string'), b: tf.tensor1d([true, false], 'bool'), c: tf.complex([1, 3], [2, 4]),
    i: tf.tensor2d([[1, -2]], undefined, 'int32'), f: tf.scalar(0.1), none: tf.zeros([0, 3])};
  const {data, specs} = await tf.io.encodeWeights(tensors);
  fs.writeFileSync(path.join(folder, 'w'), Buffer.from(data));
  const theirs = path.join(folder, 'weights_manifest.json');
  fs.writeFileSync(theirs, JSON.stringify([{paths: ['w'], weights: specs}]));
  const bytes = (values) => Buffer.concat([].concat(...values.map((each) => [Buffer.from(BigUint64Array.of(BigInt(each.length)).buffer), each])));
  check(run('cat', theirs, 's').equals(bytes(['ab', '', 'é'].map((each) => Buffer.from(each)))), 'strings differ');
  for (const name of ['b', 'i', 'f', 'none'])
    check(equal(run('cat', theirs, name), await tensors[name].data()), `${name}: bytes differ`);
  check(equal(run('cat', theirs, 'c'), Float32Array.of(1, 2, 3, 4)), 'complex numbers differ');
  const ours = path.join(folder, 'out', 'model.json');
  run('convert', theirs, ours, '--to', 'tfjs');
  const [group] = JSON.parse(fs.readFileSync(ours)).weightsManifest;
  const joined = Buffer.concat(group.paths.map((each) => fs.readFileSync(path.join(folder, 'out', each))));
  const decoded = tf.io.decodeWeights(joined.buffer.slice(joined.byteOffset, joined.byteOffset + joined.length), group.weights);
  for (const [name, tensor] of Object.entries(tensors)) {
    const [wanted, found] = [await tensor.data(), await decoded[name].data()];
    check(name === 's' ? JSON.stringify(wanted) === JSON.stringify(found) : equal(wanted, found), `${name}: decoded values differ`);
  }
}

/// A model with the state of its optimizer: what is in that group stays there.
async function optimizer() {
  const model = tf.sequential({layers: [tf.layers.dense({units: 2, inputShape: [3], name: 'd'})]});
  model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
  await model.fit(tf.ones([4, 3]), tf.ones([4, 2]), {epochs: 1, verbose: 0});
  const folder = path.join(root, 'optimizer');
  const theirs = await save(model, path.join(folder, 'theirs'), 1 << 22, {includeOptimizer: true});
  fs.mkdirSync(path.join(folder, 'ours'));
  const ours = path.join(folder, 'ours', 'model.json');
  run('convert', theirs, ours, '--to', 'tfjs');
  const loaded = await tf.loadLayersModel(loader(ours));
  const [wanted, found] = [await model.optimizer.getWeights(), await loaded.optimizer.getWeights()];
  check(wanted.length === found.length && wanted.length > 3, `${found.length} weights of the optimizer`);
  for (let i = 0; i < wanted.length; ++i)
    check(equal(await wanted[i].tensor.data(), await found[i].tensor.data()), `${wanted[i].name} differs`);
}

async function main() {
  fs.rmSync(root, {recursive: true, force: true});
  await tf.setBackend('cpu');
  for (const shardSize of [64, 1 << 22]) {
    await testCase(`Sequential model in shards of ${shardSize}`, () => layersModel(sequential, shardSize));
    await testCase(`functional model in shards of ${shardSize}`, () => layersModel(functional, shardSize));
  }
  await testCase('model of a program of its own', ownModel);
  await testCase('quantized graph model', graphModel);
  await testCase('every dtype', dtypes);
  await testCase('state of an optimizer', optimizer);
  console.log(`${checks} checks, ${failures} failed`);
  process.exitCode = failures ? 1 : 0;
}

main();
