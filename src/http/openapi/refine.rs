//! What the attributes of operations and schemas cannot say, said of all of them alike.

use serde_json::{Map, Value, json};

use crate::http::lines::NDJSON;

/// The largest number of entries that may be asked for: what every JSON reader holds exactly (RFC 8259 §6).
const MOST_COUNT: u64 = crate::http::query::MOST_COUNT;
/// A key, bare or as a structured-field string (RFC 9651 §3.3.3).
const IDEMPOTENCY_KEY: &str = r#"^("([!#-\[\]-~]|\\["\\]){1,255}"|[!#-+\--:<-~]{1,255})$"#;

/// The inputs of the console's forms. The secret of the form comes with each.
const CONSOLE: [(&str, &[&str]); 7] = [
    ("/console/login", &["name", "password"]),
    ("/console/second-factor", &["code"]),
    ("/console/join/{token}", &["name", "password"]),
    ("/console/authenticator", &["code"]),
    ("/console/account", &["end", "end_others", "change", "password", "new_password"]),
    ("/console/staff", &["act", "staff", "name", "role"]),
    ("/console/sign-out", &[]),
];

/// Says it of one operation.
pub(super) fn operation(path: &str, operation: &mut Map<String, Value>) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        self::parameter(parameter);
    }
    let inputs = CONSOLE.iter().find(|(known, _)| *known == path).map(|(_, inputs)| form(inputs));
    let is_batch = matches!(path, "/v1/records" | "/v1/events");
    let bodies = operation.get_mut("requestBody").and_then(|body| body.get_mut("content"));
    for (media_type, content) in bodies.and_then(Value::as_object_mut).into_iter().flatten() {
        let Some(schema) = content.get_mut("schema") else { continue };
        if let Some(inputs) = &inputs {
            *schema = inputs.clone();
        }
        // A body is left out, not sent as `null`.
        let present = schema.get("oneOf").and_then(Value::as_array).and_then(|choices| {
            let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
            let mut present = choices.iter().filter(|choice| !is_null(choice));
            present.next().filter(|_| choices.iter().any(|choice| is_null(&choice))).cloned()
        });
        if let Some(present) = present {
            *schema = present;
        }
        match path {
            "/forms/{form}" => *schema = form_of_policy(),
            "/v1/imports" => *schema = json!({"type": "string", "minLength": 1}),
            _ => {}
        }
        if is_batch {
            let line = if media_type == NDJSON { Some(schema) } else { schema.get_mut("items") };
            if let Some(line) = line {
                let about =
                    "Every line is judged by itself: one that is not of the first form is rejected by itself";
                *line = json!({"description": about, "anyOf": [line.take(), {}]});
            }
        }
    }
    for (status, response) in operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten() {
        self::response(status, response);
    }
}

/// A header is there or not; a parameter of the query is never empty; a count is one that databases and JSON know.
fn parameter(parameter: &mut Value) {
    let is =
        |parameter: &Value, member: &str, text: &str| parameter.get(member).is_some_and(|value| value == text);
    let (is_header, is_query) = (is(parameter, "in", "header"), is(parameter, "in", "query"));
    let is_key = is(parameter, "name", "Idempotency-Key");
    let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) else { return };
    if is_header {
        schema.insert("type".to_owned(), json!("string"));
    }
    if is_key {
        schema.insert("pattern".to_owned(), json!(IDEMPOTENCY_KEY));
    }
    let is_text = schema.get("type").is_some_and(|kind| kind == "string");
    if is_query && is_text && !["pattern", "format"].iter().any(|member| schema.contains_key(*member)) {
        schema.entry("minLength").or_insert(json!(1));
        // No control character.
        schema.insert("pattern".to_owned(), json!(r"^[^\u0000-\u001f\u007f-\u009f]*$"));
    }
    if schema.get("format").is_some_and(|format| format == "int64") {
        schema.entry("maximum").or_insert(json!(MOST_COUNT));
    }
}

/// Browsers get a page, and programs a problem.
fn response(status: &str, response: &mut Value) {
    let is_failure = status.starts_with(['4', '5']);
    let content = response.get_mut("content").and_then(Value::as_object_mut);
    if let Some(content) = content.filter(|content| is_failure && content.contains_key("text/html")) {
        let problem = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
        content.entry("application/problem+json").or_insert(problem);
    }
}

fn form(inputs: &[&str]) -> Value {
    let names = inputs.iter().chain(&["csrf"]);
    let properties: Map<String, Value> =
        names.map(|name| ((*name).to_owned(), json!({"type": "string", "maxLength": 1024}))).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// The inputs that every form of a policy has. Which others it has, and which of its purposes, the policy says.
fn form_of_policy() -> Value {
    let text = |about: &str, most: u32| json!({"type": "string", "description": about, "maxLength": most});
    json!({
        "type": "object",
        "required": ["notice"],
        "properties": {
            "notice": {
                "type": "string",
                "description": "The digest of the notice that was shown",
                "pattern": "^sha256:[0-9a-f]{64}$",
            },
            "locale": text("The language it was shown in (BCP 47)", 35),
            "region": text("The region the person declared (ISO 3166)", 6),
            "showing": text("What the gateway's own page says of when it was opened", 256),
        },
        "propertyNames": {"pattern": r"^[a-z][a-z0-9_.-]*$"},
        "additionalProperties": {"type": "string"},
    })
}

/// Says it of the schemas that several operations share.
pub(super) fn schemas(document: &mut Value) {
    let about_tokens = [
        ("/properties/client_assertion_type/enum", json!([crate::http::oauth::credentials::BY_ASSERTION])),
        // What a server of tokens does not know it does not mind (RFC 6749 §3.2), but nothing may be there twice.
        ("/additionalProperties", json!({"type": "string"})),
    ];
    // Of a token that is not active nothing is said but that: none of what an active one says is always there.
    if let Some(claims) = document.pointer_mut("/components/schemas/TokenStatus/allOf/0") {
        let choices = claims.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let said = choices.filter_map(Value::as_object).find(|choice| choice.contains_key("properties")).cloned();
        if let Some(mut said) = said {
            said.remove("required");
            *claims = Value::Object(said);
        }
    }
    let least = [("/minProperties", json!(1))];
    let rules: [(&str, &[(&str, Value)]); 5] = [
        ("TokenQuestion", &about_tokens),
        ("TokenRequest", &about_tokens),
        ("Subject", &least),
        ("RecordSubject", &least),
        ("RightsSubject", &least),
    ];
    for (name, members) in rules {
        for (pointer, value) in members {
            let Some((parent, member)) = pointer.rsplit_once('/') else { continue };
            let schema = document.pointer_mut(&format!("/components/schemas/{name}{parent}"));
            if let Some(schema) = schema.and_then(Value::as_object_mut) {
                schema.insert(member.to_owned(), value.clone());
            }
        }
    }
}
