//! The API document: structure, references and problems. What it says of single routes is in `routes`.

use std::collections::BTreeSet;

use app::Code;
use consentry::http::{Access, openapi, routes};
use serde_json::Value;

use crate::harness::{Backend, TestGateway};

/// Every value in a document with its JSON pointer.
fn walk<'a>(value: &'a Value, at: &str, visit: &mut dyn FnMut(&str, &'a Value)) {
    visit(at, value);
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                walk(member, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), visit);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{at}/{index}"), visit);
            }
        }
        _ => {}
    }
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| (path.clone(), method.clone(), operation))
        })
        .collect()
}

#[test]
fn it_is_openapi_3_1_and_every_reference_resolves() {
    let document = openapi::document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    for member in ["title", "version", "description", "license"] {
        assert!(!document["info"][member].is_null(), "info.{member}");
    }
    let mut references = BTreeSet::new();
    walk(&document, "", &mut |at, value| {
        if at.ends_with("/$ref") {
            let target = value.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(target).is_some(), "{at} leads nowhere: {target}");
            references.insert(target.to_owned());
        }
        // 3.1 is JSON Schema 2020-12: what was special in 3.0 is gone.
        assert!(!at.ends_with("/nullable"), "{at}");
    });
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let unused: Vec<_> =
        schemas.keys().filter(|name| !references.contains(&format!("/components/schemas/{name}"))).collect();
    assert!(unused.is_empty(), "nothing refers to {unused:?}");
}

#[test]
fn every_operation_is_named_described_and_has_its_parameters() {
    let document = openapi::document();
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        assert!(
            names.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{place}: the name is there twice"
        );
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{place}");
        assert!(
            operation["tags"].as_array().unwrap().iter().all(|tag| tags.contains(tag.as_str().unwrap())),
            "{place}"
        );
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path: BTreeSet<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        let named: BTreeSet<_> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(str::to_owned)
            .collect();
        assert_eq!(in_path, named, "{place}");
        let mut seen = BTreeSet::new();
        for parameter in &parameters {
            assert!(
                parameter["schema"].is_object()
                    && seen.insert(format!("{} {}", parameter["in"], parameter["name"])),
                "{place}"
            );
            assert!(parameter["in"] != "path" || parameter["required"] == true, "{place}");
        }
        // What the path says is all that there is to say.
        let is_bodiless = path == "/v1/imports/{id}/apply";
        assert!(!is_bodiless || operation["requestBody"].is_null(), "{place}");
        if method == "post" && !is_bodiless {
            let content = operation["requestBody"]["content"].as_object().unwrap();
            assert!(!content.is_empty() && content.values().all(|media| media["schema"].is_object()), "{place}");
        }
    }
    assert_eq!(names.len(), routes().iter().map(|route| route.endpoints.len()).sum::<usize>());
}

#[test]
fn every_operation_has_its_problems_and_its_security() {
    let document = openapi::document();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        // A form that was sent leads on to another page.
        let leads_on = path.starts_with("/console") && responses.contains_key("303");
        assert!(leads_on || responses.keys().any(|status| status.starts_with('2')), "{place}");
        let resolve = |response: &Value| match response["$ref"].as_str() {
            Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap().clone(),
            None => response.clone(),
        };
        let problems: BTreeSet<_> = responses
            .iter()
            .filter(|(_, response)| resolve(response)["content"]["application/problem+json"]["schema"].is_object())
            .map(|(status, _)| status.as_str())
            .collect();
        assert!(
            problems.iter().any(|status| status.starts_with('4') || *status == "default"),
            "{place}: {problems:?}"
        );
        for (status, response) in responses {
            assert!(!resolve(response)["description"].as_str().unwrap_or_default().is_empty(), "{place} {status}");
        }
        let route = routes().iter().find(|route| route.path == path).unwrap();
        let access = route.access(&method.to_uppercase()).unwrap();
        match access {
            Access::Public => {
                let security = &operation["security"];
                assert!(
                    security.is_null() || security.as_array().is_some_and(Vec::is_empty),
                    "{place}: {security}"
                );
            }
            Access::Staff => assert!(operation["security"].to_string().contains("\"session\""), "{place}"),
            Access::Scope(scope) => {
                for status in ["401", "403"] {
                    assert!(responses.contains_key(status), "{place}: {status}");
                }
                let security = operation["security"].to_string();
                assert!(security.contains(&format!("\"{scope}\"")), "{place}: {security}");
            }
        }
    }
}

#[test]
fn every_named_scheme_and_every_problem_code_is_there() {
    let document = openapi::document();
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    for (path, method, operation) in operations(&document) {
        for requirement in operation["security"].as_array().into_iter().flatten() {
            for name in requirement.as_object().unwrap().keys() {
                assert!(schemes.contains_key(name), "{method} {path}: {name}");
            }
        }
    }
    let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), Code::ALL.len());
    let is_code =
        |code: &&str| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    assert!(codes.iter().all(is_code));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_served_document_is_the_printed_one() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    let served = gateway.get("/openapi.json").await.expect(200);
    assert_eq!(served.content_type(), "application/json");
    assert_eq!(served.json(), openapi::document());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_a_consent_is_of_the_shape_that_is_taken() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    let document = openapi::document();
    let schema =
        document.pointer("/paths/~1v1~1consents/post/requestBody/content/application~1json/schema/$ref").unwrap();
    let schema = document.pointer(schema.as_str().unwrap().trim_start_matches('#')).unwrap();
    let mut example = schema["example"].clone();
    if example.is_null() {
        example = schema["examples"][0].clone();
    }
    example["notice"] = gateway.notice("newsletter", "en").into();
    example["captured_at"] = "2026-11-22T11:59:00Z".into();
    gateway.post("/v1/consents", &example).await.expect(201);
}
