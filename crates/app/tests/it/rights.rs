//! The table of permissions is whole and is what the gateway does: every operation of the OpenAPI
//! document has a row, and is called as everybody.

use domain::permissions;
use http::Method;

use crate::openapi;

#[test]
fn every_operation_of_the_document_has_a_row_and_every_row_an_operation() {
    let document = openapi::document();
    let mut differing = Vec::new();
    for (method, path, operation) in openapi::operations(&document) {
        let method: Method = method.parse().expect("a method");
        let has_row = match operation["tags"][0] == "calls" {
            true => permissions::find_call(&openapi::filled(&path)).is_some(),
            false => permissions::find(&method, &path).is_some(),
        };
        if !has_row {
            differing.push(format!("{method} {path} has no row in domain::permissions"));
        }
    }
    let documented: Vec<(String, String)> = openapi::operations(&document)
        .map(|(method, path, _)| (method, path))
        .collect();
    for row in permissions::rows() {
        let mut documented = documented.iter();
        let is_documented = match row.method {
            "*" => documented.any(|(_, path)| {
                let found = permissions::find_call(&openapi::filled(path));
                found.is_some_and(|found| found.path == row.path)
            }),
            method => documented.any(|(other, path)| other == method && path == row.path),
        };
        if !is_documented {
            differing.push(format!("{} {} is no operation", row.method, row.path));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
