//! The header of a file: a closed set of columns, settled before the first row is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use kernel::attribute::AttributeType;
use kernel::policy::{AttributeRule, PurposeRule, ValidPolicy};

use super::ImportParameters;
use crate::error::{Code, Fault};

/// The most columns of a file.
const MOST_COLUMNS: usize = 128;

/// What a column holds.
#[derive(Debug, Clone)]
pub(super) enum Column {
    Email,
    CustomerId,
    Region,
    CapturedAt,
    Locale,
    Notice,
    Evidence,
    Partner,
    Controllers,
    SaleRef,
    ProductFamily,
    ObjectionOffered,
    Objected,
    OptedOutOfSale,
    Purpose(Arc<PurposeRule>),
    Attribute(Arc<AttributeRule>, AttributeType),
}

/// The columns of a file, each with its name. Names are of a closed set: they may be repeated to the caller.
#[derive(Debug, Clone)]
pub(super) struct Columns(pub(super) Vec<(String, Column)>);

impl Columns {
    /// Reads a header. A name that is not known is told by its place alone: a file without a header begins with
    /// somebody's data.
    pub(super) fn read(
        policy: &ValidPolicy,
        parameters: &ImportParameters,
        header: &[String],
    ) -> Result<Self, Vec<Fault>> {
        if header.len() > MOST_COLUMNS {
            return Err(vec![Fault::at("/header", Code::TooMany)]);
        }
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        let mut columns = Vec::with_capacity(header.len());
        for (at, name) in header.iter().enumerate() {
            let name = name.trim();
            let pointer = format!("/header/{at}");
            match column(policy, name) {
                Err(code) => faults.push(Fault::at(pointer, code)),
                Ok(_) if !seen.insert(name.strip_prefix("attribute:").unwrap_or(name).to_owned()) => {
                    faults.push(Fault::at(pointer, Code::Duplicate));
                }
                Ok(column) => columns.push((name.to_owned(), column)),
            }
        }
        let has = |wanted: fn(&Column) -> bool| columns.iter().any(|(_, column)| wanted(column));
        if faults.is_empty() && !has(|column| matches!(column, Column::Email | Column::CustomerId)) {
            let detail = "the header names neither `email` nor `customer_id`";
            faults.push(Fault::saying("/header", Code::MissingField, detail));
        }
        if parameters.captured_at.is_none() && !has(|column| matches!(column, Column::CapturedAt)) {
            let detail = "say when the rows were captured: a column or the parameter `captured_at`";
            faults.push(Fault::saying("/captured_at", Code::MissingField, detail));
        }
        if faults.is_empty() { Ok(Self(columns)) } else { Err(faults) }
    }
}

fn column(policy: &ValidPolicy, name: &str) -> Result<Column, Code> {
    Ok(match name {
        "email" => Column::Email,
        "customer_id" => Column::CustomerId,
        "region" => Column::Region,
        "captured_at" => Column::CapturedAt,
        "locale" => Column::Locale,
        "notice" => Column::Notice,
        "evidence_id" => Column::Evidence,
        "partner" => Column::Partner,
        "controllers" => Column::Controllers,
        "sale_ref" => Column::SaleRef,
        "product_family" => Column::ProductFamily,
        "objection_offered" => Column::ObjectionOffered,
        "objected" => Column::Objected,
        "opted_out_of_sale" => Column::OptedOutOfSale,
        _ => {
            if let Some(purpose) = name.strip_prefix("purpose:") {
                let rule = purpose.parse().ok().and_then(|id| policy.purpose(&id));
                return rule.map(|rule| Column::Purpose(Arc::clone(rule))).ok_or(Code::UnknownPurpose);
            }
            let attribute = name.strip_prefix("attribute:").unwrap_or(name);
            let rule =
                attribute.parse().ok().and_then(|name| policy.attribute(&name)).ok_or(Code::UnknownField)?;
            match rule.stored {
                // A history of orders does not fit a cell.
                None | Some(AttributeType::Purchases) => return Err(Code::UnknownField),
                Some(kind) => Column::Attribute(Arc::clone(rule), kind),
            }
        }
    })
}
