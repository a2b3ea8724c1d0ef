//! The rows that the product answers for, as `docs/law-rows.toml` lists them.

use std::fs;
use std::path::Path;

use serde::Deserialize;

const FILE: &str = "docs/law-rows.toml";

/// The rows and the conflict vectors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    /// The rows, in the order of the document.
    #[serde(rename = "row")]
    pub(crate) rows: Vec<Row>,
    /// The conflict vectors.
    #[serde(default, rename = "vector")]
    pub(crate) vectors: Vec<Vector>,
}

/// One rule of law.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// Its id, such as `CAP-01`.
    pub(crate) id: String,
    /// Where it comes from.
    pub(crate) source: String,
    /// What it asks for.
    pub(crate) requires: String,
    /// The vectors that prove it as well.
    #[serde(default)]
    pub(crate) vectors: Vec<String>,
    /// Tests that prove it under another name.
    #[serde(default)]
    pub(crate) also: Vec<String>,
    /// What the tests do not show.
    pub(crate) remark: Option<String>,
    /// Why nothing proves it.
    pub(crate) out_of_scope: Option<String>,
}

/// One conflict vector: what happened, and what follows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    /// Its id, such as `V01`.
    pub(crate) id: String,
    /// What it states.
    pub(crate) states: String,
}

impl Catalogue {
    /// Reads the file under a workspace's root.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(root.join(FILE)).map_err(|error| format!("{FILE}: {error}\n"))?;
        toml::from_str(&text).map_err(|error| format!("{FILE}: {error}\n"))
    }
}
