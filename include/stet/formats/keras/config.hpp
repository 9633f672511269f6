// SPDX-License-Identifier: MIT
// Converts the configuration of a Keras model to a graph and back: layers are nodes, calls of layers are their inputs.
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
//     attributes the layer's config, unchanged; of a further call only {"layer": NAME}
//     inputs     the tensors of the call, in order. The additional fields shape and dtype of an endpoint are those of
//                Keras 3
//     variables  the tensors that name_keras_variables finds in the store: {"kernel": "dense/kernel"}
//     call       additional field, unless the call is one tensor or a list of tensors:
//                {"args": …, "kwargs": …}, in which {"$input": 0} is the first input
//     first_call additional field: 1 if the calls of a model within the model are counted from 1
//     unnamed    additional field of a layer without a name in its configuration; it gets the name of its class
//     module, registered_name, build_config …   additional fields of Keras, unchanged
//   inputs, outputs  the model's, by the names of their nodes
//   functions    models within the model; the node that calls one has only the attributes {"function": NAME}
//   metadata     {"keras": the rest of the description}; the attributes of a function hold the same. "keras_file" is
//                the object around the description
//
// A Sequential model is the chain of its layers. If it has no layer for its input, as in old files, a node of op
// InputLayer with the additional field "implicit" represents it.

#endif
