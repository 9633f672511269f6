// SPDX-License-Identifier: MIT
//! Prints the tensors of each file that is named: "FILE", then "NAME TYPE [SHAPE] HEX" for each tensor, a tab between; or "FILE" and
//! "refused" and the reason.

use pytorch_reader::PytorchReader;

fn main() {
    for path in std::env::args().skip(1) {
        println!("{path}");
        let file = match PytorchReader::new(&path) {
            Ok(file) => file,
            Err(error) => {
                println!("refused\t{}", error.to_string().replace('\n', " "));
                continue;
            }
        };
        for (name, tensor) in file.tensors() {
            let bytes = tensor.read().expect(name);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{name}\t{:?}\t{:?}\t{hex}", tensor.dtype(), tensor.shape());
        }
    }
}
