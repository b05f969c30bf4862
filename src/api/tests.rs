//! That the OpenAPI document says what there is.

use std::{collections::BTreeSet, time::Instant};

use serde_json::Value;

use super::*;

fn document() -> Value {
    serde_json::from_str(include_str!("openapi.json")).unwrap()
}

#[test]
fn every_path_is_in_the_openapi_document_with_its_method_and_no_other() {
    let document = document();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())))
        .collect();
    let there = ENDPOINTS.map(|(path, endpoint)| (path.to_owned(), endpoint.method().as_str().to_lowercase()));
    assert_eq!(described, BTreeSet::from(there));
    for (path, endpoint) in ENDPOINTS {
        let method = endpoint.method().as_str().to_lowercase();
        let has_key = document["paths"][path][&method]["responses"].get("401").is_some();
        assert_eq!(has_key, endpoint.is_locked(), "{path}");
    }
}

#[test]
fn every_reference_of_the_openapi_document_leads_somewhere() {
    let text = include_str!("openapi.json");
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    for name in schemas.keys() {
        assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "nothing refers to {name}");
    }
}

#[test]
fn every_member_of_a_request_is_in_the_openapi_document_and_counts() {
    // Each with a value that it cannot have: what counts is refused by its name.
    let requests = [
        (ApiVersion::Unversioned, "TeiRequest"),
        (ApiVersion::Unversioned, "Request"),
        (ApiVersion::V1, "Request"),
        (ApiVersion::V1, "VoyageRequest"),
        (ApiVersion::V2, "Request"),
    ];
    for (version, name) in requests {
        let schema = document()["components"]["schemas"][name]["properties"].clone();
        for member in schema.as_object().unwrap().keys() {
            let list = if name == "TeiRequest" { "texts" } else { "documents" };
            let mut body = serde_json::json!({"query": "q", list: ["a"]});
            if name == "VoyageRequest" {
                body["truncation"] = Value::Null;
            }
            body[member] = serde_json::json!({"no": "such"});
            let limits = call::Limits { documents: 1, windows: 1 };
            let (_waiting, waited) = waiting::until(Instant::now() + Duration::from_mins(10));
            let refused = call::read(version, body.to_string().as_bytes(), limits, &waited);
            let is_left_alone = version == ApiVersion::V2 && member == "return_documents";
            match refused {
                Err((_, fault)) => assert!(fault.to_string().contains(&format!("`{member}`")), "{member}: {fault}"),
                Ok(_) => assert!(is_left_alone, "{name}: {member} does not count"),
            }
        }
    }
}
