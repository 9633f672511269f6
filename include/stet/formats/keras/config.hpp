// SPDX-License-Identifier: MIT
// The configuration of a Keras model ⇄ graph: layers as nodes, calls of layers as their inputs.
#ifndef STET_FORMATS_KERAS_CONFIG_HPP
#define STET_FORMATS_KERAS_CONFIG_HPP

#include "config/read.hpp"
#include "config/variables.hpp"
#include "config/write.hpp"

// A Keras model as a graph
// ========================
//
// Keras describes a model as JSON: {"class_name": "Sequential" | "Functional" | "Model" …, "config": {"name":
// …, "layers": [{"class_name": "Dense", "config": {"units": 10, …}, "name": …, "inbound_nodes": …}, …],
// "input_layers": …, "output_layers": …}}, perhaps in an object as its "model_config". As a graph
// (manifest/graph.hpp):
//
//   node         a call of a layer; the first has the layer's name, the next one NAME:1 and so on
//     op         the layer's class, "Dense"
//     attributes the layer's config as it is; of a further call, {"layer": NAME} alone
//     inputs     the tensors it is called with, in order. An endpoint's further fields shape and dtype are
//     those
//                that Keras 3 writes there
//     variables  what name_keras_variables finds in the store: {"kernel": "dense/kernel"}
//     call       further field, only where the call is more than one tensor or a list of them:
//                {"args": …, "kwargs": …}, in which {"$input": 0} stands for the first input
//     first_call further field: 1 where the calls of a model within the model are counted from 1
//     unnamed    further field of a layer whose configuration has no name: it has that of its class
//     module, registered_name, build_config …   further fields of Keras, as they are
//   inputs, outputs  the model's, by the names of their nodes
//   functions    models within the model; the node that calls one has the attributes {"function": NAME} alone
//   metadata     {"keras": the rest of the description}; of a function, its attributes hold the same. What
//   stood around
//                the description is "keras_file"
//
// A Sequential model is the chain of its layers. Where it has no layer for its input, as old ones, a node of
// op InputLayer stands for it, with the further field "implicit".

#endif
