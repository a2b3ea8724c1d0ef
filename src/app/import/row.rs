//! From the cells of a line to a staged row: every fault of the line at once, or the reason for its quarantine.

use std::collections::BTreeSet;

use kernel::attribute::{AttributeName, AttributeType, Value};
use kernel::consent::{Assurance, Basis, EventKind, Grant, ImportedProof};
use kernel::controller::ControllerId;
use kernel::id::ImportId;
use kernel::identifier::{Identifier, IdentifierKind};
use kernel::import::{BadCell, StagedRow, StagedStatement};
use kernel::notice::NoticeDigest;
use kernel::policy::{AttributeRule, NoticeText, PurposeRule, ValidPolicy};
use kernel::recipient::RecipientRole;
use kernel::regime::{Regime, RegimeSource};
use kernel::seal::Keyring;
use kernel::source::SourceId;
use kernel::time::{Months, Timestamp};

use super::ImportParameters;
use super::columns::{Column, Columns};
use crate::error::Code;
use crate::plain;
use crate::record::birth_of;

/// The longest reference to evidence or to a sale, in bytes.
pub(super) const MOST_REFERENCE: usize = 128;
/// CASL s.10(10): consent implied by a purchase or contract lasts 24 months, by an inquiry 6.
const PURCHASE: Months = Months(24);
const INQUIRY: Months = Months(6);

/// What a line turned out to be.
pub(super) enum ReadRow {
    Row(StagedRow),
    Quarantined(&'static str),
    Invalid(Vec<BadCell>),
}

/// What all rows of a file are read by.
pub(super) struct RowReader<'a> {
    pub(super) policy: &'a ValidPolicy,
    pub(super) keyring: &'a Keyring,
    pub(super) columns: &'a Columns,
    pub(super) parameters: &'a ImportParameters,
    pub(super) import: ImportId,
    pub(super) default_regime: Option<Regime>,
    pub(super) now: Timestamp,
}

/// What a line says, cell by cell.
#[derive(Default)]
struct Said<'a> {
    email: Option<Identifier>,
    customer_id: Option<Identifier>,
    regime: Option<(Regime, RegimeSource)>,
    captured_at: Option<Timestamp>,
    locale: Option<String>,
    notice: Option<NoticeDigest>,
    evidence: Option<String>,
    partner: Option<SourceId>,
    controllers: Vec<ControllerId>,
    sale: Option<String>,
    product_family: Option<String>,
    objection_offered: bool,
    objected: bool,
    opted_out: bool,
    stated: Vec<(&'a str, &'a PurposeRule, Stated)>,
    attributes: Vec<(AttributeName, Value)>,
}

/// What a cell of a purpose says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stated {
    Given,
    Refused,
    Withdrawn,
    SoftOptIn,
    ImpliedByPurchase,
    ImpliedByInquiry,
}

impl Stated {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "given" => Self::Given,
            "refused" => Self::Refused,
            "withdrawn" => Self::Withdrawn,
            "soft_opt_in" => Self::SoftOptIn,
            "implied_purchase" => Self::ImpliedByPurchase,
            "implied_inquiry" => Self::ImpliedByInquiry,
            _ => return None,
        })
    }

    const fn kind(self) -> EventKind {
        match self {
            Self::Given => EventKind::GrantConfirmed,
            Self::Refused => EventKind::Refused,
            Self::Withdrawn => EventKind::Withdrawn,
            Self::SoftOptIn => EventKind::SoftOptInBasis,
            Self::ImpliedByPurchase | Self::ImpliedByInquiry => EventKind::ImpliedBasis,
        }
    }

    const fn basis(self) -> Option<Basis> {
        match self {
            Self::SoftOptIn => Some(Basis::SoftOptIn),
            Self::ImpliedByPurchase | Self::ImpliedByInquiry => Some(Basis::Implied),
            Self::Given | Self::Refused | Self::Withdrawn => None,
        }
    }
}

fn bad(column: &str, code: Code) -> BadCell {
    BadCell { column: Some(column.to_owned()), code: code.as_str().to_owned() }
}

/// The fault of a line as a whole.
pub(super) fn bad_line(code: Code) -> Vec<BadCell> {
    vec![BadCell { column: None, code: code.as_str().to_owned() }]
}

impl RowReader<'_> {
    /// Reads the cells of a line.
    pub(super) fn read(&self, cells: &[String]) -> ReadRow {
        if cells.len() != self.columns.0.len() {
            return ReadRow::Invalid(bad_line(Code::CsvColumns));
        }
        let mut faults = Vec::new();
        let mut said = Said::default();
        for ((name, column), cell) in self.columns.0.iter().zip(cells) {
            if let Err(code) = self.cell(&mut said, (name, column), cell) {
                faults.push(bad(name, code));
            }
        }
        self.check(&mut said, &mut faults);
        let Some(captured_at) = said.captured_at.filter(|_| faults.is_empty()) else {
            return ReadRow::Invalid(faults);
        };
        self.stage(said, captured_at)
    }

    fn cell<'a>(
        &self,
        said: &mut Said<'a>,
        (name, column): (&'a str, &'a Column),
        cell: &str,
    ) -> Result<(), Code> {
        if cell.chars().any(char::is_control) {
            return Err(Code::ControlCharacter);
        }
        let text = cell.trim();
        if text.is_empty() {
            return Ok(());
        }
        match column {
            Column::Email => said.email = Some(identifier(IdentifierKind::Email, plain_text(text)?)?),
            Column::CustomerId => said.customer_id = Some(identifier(IdentifierKind::CustomerId, text)?),
            Column::Region => {
                let regime = Regime::of_region(text).map_err(|_| Code::InvalidRegion)?;
                said.regime = Some((regime, RegimeSource::Declared));
                if let Some(rule) = self.attribute_named("region", AttributeType::Text) {
                    said.attributes.push((rule.name.clone(), Value::Text(text.to_owned())));
                }
            }
            Column::CapturedAt => said.captured_at = Some(text.parse().map_err(|_| Code::InvalidField)?),
            Column::Locale => said.locale = Some(locale(text)?),
            Column::Notice => said.notice = Some(text.parse().map_err(|_| Code::InvalidField)?),
            Column::Evidence => said.evidence = Some(reference(text)?),
            Column::Partner => said.partner = Some(text.parse().map_err(|_| Code::InvalidField)?),
            Column::Controllers => {
                said.controllers = text
                    .split(' ')
                    .filter(|name| !name.is_empty())
                    .map(str::parse)
                    .collect::<Result<_, _>>()
                    .map_err(|_| Code::InvalidField)?;
            }
            Column::SaleRef => said.sale = Some(reference(text)?),
            Column::ProductFamily => said.product_family = Some(reference(text)?),
            Column::ObjectionOffered => said.objection_offered = flag(text)?,
            Column::Objected => said.objected = flag(text)?,
            Column::OptedOutOfSale => said.opted_out = flag(text)?,
            Column::Purpose(rule) => {
                said.stated.push((name, rule, Stated::read(text).ok_or(Code::InvalidField)?));
            }
            Column::Attribute(rule, kind) => {
                if matches!(kind, AttributeType::Text | AttributeType::Email) {
                    plain_text(text)?;
                } else if *kind == AttributeType::TextList {
                    text.split(',').try_for_each(|part| plain_text(part.trim()).map(drop))?;
                }
                let value = plain::field(*kind, text, "").map_err(|fault| fault.code)?;
                said.attributes.push((rule.name.clone(), value));
            }
        }
        Ok(())
    }

    fn attribute_named(&self, name: &str, kind: AttributeType) -> Option<&AttributeRule> {
        let rule = name.parse().ok().and_then(|name| self.policy.attribute(&name))?;
        (rule.stored == Some(kind)).then_some(&**rule)
    }

    /// What concerns several cells, with what holds for all rows that do not say otherwise.
    fn check(&self, said: &mut Said<'_>, faults: &mut Vec<BadCell>) {
        let given = |column: fn(&Column) -> bool| self.columns.0.iter().any(|(_, known)| column(known));
        let is_bad = |faults: &[BadCell], name: &str| faults.iter().any(|bad| bad.column.as_deref() == Some(name));
        let parameters = self.parameters;
        said.captured_at = said.captured_at.or(parameters.captured_at);
        match said.captured_at {
            None if !is_bad(faults, "captured_at") => faults.push(bad("captured_at", Code::MissingField)),
            Some(at) if at > self.now => faults.push(bad("captured_at", Code::CapturedInFuture)),
            _ => {}
        }
        let assumed = parameters.regime.map(|regime| (regime, RegimeSource::Form));
        let assumed = assumed.or(self.default_regime.map(|regime| (regime, RegimeSource::Default)));
        said.regime = said.regime.or(assumed);
        said.notice = said.notice.or(parameters.notice);
        said.partner = said.partner.take().or_else(|| parameters.partner.clone());
        said.evidence = said.evidence.take().or_else(|| parameters.evidence.clone());
        if said.controllers.is_empty() {
            said.controllers.clone_from(&parameters.controllers);
        }
        let named = said.email.is_some() || said.customer_id.is_some();
        if !named && !is_bad(faults, "email") && !is_bad(faults, "customer_id") {
            let column = if given(|column| matches!(column, Column::Email)) { "email" } else { "customer_id" };
            faults.push(bad(column, Code::MissingField));
        }
        for (column, rule, stated) in &said.stated {
            let Some(basis) = stated.basis() else { continue };
            if !rule.bases.contains(&basis) {
                faults.push(bad(column, Code::BasisNotAllowed));
            }
            // Directive 2002/58 Art. 13(2): in a sale, own similar products, and objecting was offered from the start.
            let complete = said.sale.is_some() && said.product_family.is_some() && said.objection_offered;
            if basis == Basis::SoftOptIn && !complete {
                faults.push(bad(column, Code::SoftOptInIncomplete));
            }
        }
        let empty = said.attributes.is_empty() && said.stated.is_empty() && !said.objected && !said.opted_out;
        if faults.is_empty() && empty {
            faults.extend(bad_line(Code::Empty));
        }
    }

    fn stage(&self, mut said: Said<'_>, captured_at: Timestamp) -> ReadRow {
        let notice = match &said.notice {
            None => None,
            Some(digest) => match self.policy.notice(digest) {
                Some(notice) => Some(&**notice),
                None => return ReadRow::Quarantined("notice_unknown"),
            },
        };
        if let Some(reason) = self.quarantine(&said, notice) {
            return ReadRow::Quarantined(reason);
        }
        let mut statements = Vec::new();
        for (kind, stated) in [(EventKind::Objected, said.objected), (EventKind::OptOutSaleShare, said.opted_out)]
        {
            if stated {
                statements.push(StagedStatement {
                    kind,
                    purpose: None,
                    grant: None,
                    proof: Some(self.proof(&said)),
                    direct_marketing: false,
                    sale_or_share: false,
                    validity: Months(0),
                });
            }
        }
        statements.extend(said.stated.iter().map(|(_, rule, stated)| StagedStatement {
            kind: stated.kind(),
            purpose: Some(rule.id.clone()),
            grant: self.grant(&said, (rule, *stated), notice, captured_at),
            proof: Some(self.proof(&said)),
            direct_marketing: rule.direct_marketing,
            sale_or_share: rule.sale_or_share,
            validity: rule.validity,
        }));
        let tells = !said.attributes.is_empty() || statements.iter().any(StagedStatement::gives);
        // Who only says no needs no address to be kept: the fingerprint honours it.
        if let (true, Some(email), Some(rule)) =
            (tells, &said.email, self.attribute_named("email", AttributeType::Email))
        {
            said.attributes.retain(|(name, _)| *name != rule.name);
            said.attributes.push((rule.name.clone(), Value::Text(email.expose().to_owned())));
        }
        // EML-10: where the policy takes a plus-tag for the same mailbox, so does the check of who is suppressed.
        let mailbox = said.email.as_ref().filter(|_| self.policy.suppresses_plus_tags());
        let mailbox = mailbox.and_then(Identifier::without_plus_tag);
        let print = |identifier: Option<&Identifier>| identifier.map(|one| self.keyring.fingerprint(one));
        ReadRow::Row(StagedRow {
            email: print(said.email.as_ref()),
            customer_id: print(said.customer_id.as_ref()),
            variants: print(mailbox.as_ref()).into_iter().collect(),
            captured_at,
            regime: said.regime.map(|(regime, _)| regime),
            regime_source: said.regime.map(|(_, source)| source),
            birth: birth_of(&said.attributes),
            attributes: said.attributes,
            statements,
            partner: said.partner,
        })
    }

    /// Why a row that would tell or permit something lacks what makes it lawful.
    fn quarantine(&self, said: &Said<'_>, notice: Option<&NoticeText>) -> Option<&'static str> {
        let gives = |stated: Stated| !matches!(stated, Stated::Refused | Stated::Withdrawn);
        let given: Vec<_> = said.stated.iter().filter(|(_, _, stated)| gives(*stated)).collect();
        if given.is_empty() && said.attributes.is_empty() {
            return None;
        }
        let listed = self.controllers(said, notice);
        let ours = self.own_controllers();
        let names_us = listed.iter().any(|controller| ours.contains(controller));
        let consented = given.iter().any(|(_, _, stated)| *stated == Stated::Given);
        if said.partner.is_some() {
            // CAP-18: what a partner collected counts only with its evidence, and if it named us.
            if said.evidence.is_none() {
                return Some("partner_evidence_missing");
            }
            if !names_us {
                return Some("controller_not_named");
            }
            if given.iter().any(|(_, _, stated)| stated.basis().is_some()) {
                return Some("basis_of_partner");
            }
        } else if consented {
            if said.evidence.is_none() && notice.is_none() {
                return Some("evidence_missing");
            }
            if !names_us {
                return Some("controller_not_named");
            }
        }
        let explained = |rule: &PurposeRule| notice.is_none_or(|notice| notice.purposes.contains(&rule.id));
        if given.iter().any(|(_, rule, stated)| *stated == Stated::Given && !explained(rule)) {
            return Some("purpose_not_in_notice");
        }
        None
    }

    /// Those who rely on the consent: as listed, else as the notice named them.
    fn controllers(&self, said: &Said<'_>, notice: Option<&NoticeText>) -> Vec<ControllerId> {
        let known = |id: &ControllerId| self.policy.controllers().any(|(known, _)| known == id);
        if said.controllers.is_empty() {
            return notice.map(|notice| notice.controllers.clone()).unwrap_or_default();
        }
        said.controllers.iter().filter(|id| known(id)).cloned().collect()
    }

    /// The controllers that the gateway works for: those of every recipient that is no third party.
    fn own_controllers(&self) -> BTreeSet<ControllerId> {
        let own = self.policy.recipients().filter(|recipient| recipient.role != RecipientRole::ThirdParty);
        own.map(|recipient| recipient.controller.clone()).collect()
    }

    fn grant(
        &self,
        said: &Said<'_>,
        (rule, stated): (&PurposeRule, Stated),
        notice: Option<&NoticeText>,
        captured_at: Timestamp,
    ) -> Option<Grant> {
        let valid_until = match stated {
            Stated::Refused | Stated::Withdrawn => return None,
            Stated::Given | Stated::SoftOptIn => None,
            Stated::ImpliedByPurchase => Some(PURCHASE.after(captured_at)),
            Stated::ImpliedByInquiry => Some(INQUIRY.after(captured_at)),
        };
        let mut controllers = self.controllers(said, notice);
        if controllers.is_empty() && stated.basis().is_some() {
            controllers.extend(self.own_controllers());
        }
        // Only the current notice tells which version was asked for: of anything else, the oldest is assumed. A sale
        // or an inquiry was about no version.
        let is_current = stated.basis().is_some() || notice.is_some_and(|notice| notice.current);
        Some(Grant {
            notice: notice.map(|notice| notice.digest),
            purpose_version: if is_current { rule.version } else { 1 },
            assurance: Assurance::Imported,
            explicit: false,
            controllers,
            valid_until,
            third_party: said.partner.is_some(),
            product_family: said.product_family.as_ref().and_then(|family| family.parse().ok()),
        })
    }

    fn proof(&self, said: &Said<'_>) -> ImportedProof {
        ImportedProof {
            import: self.import,
            partner: said.partner.clone(),
            evidence: said.evidence.clone(),
            locale: said.locale.clone(),
            sale: said.sale.clone(),
            product_family: said.product_family.clone(),
        }
    }
}

fn identifier(kind: IdentifierKind, text: &str) -> Result<Identifier, Code> {
    Identifier::parse(kind, text).map_err(|_| Code::InvalidIdentifier)
}

/// A text that no spreadsheet takes for a formula: what is imported may be exported one day, and opened by somebody.
pub(super) fn plain_text(text: &str) -> Result<&str, Code> {
    if text.starts_with(['=', '+', '-', '@']) { Err(Code::Formula) } else { Ok(text) }
}

fn reference(text: &str) -> Result<String, Code> {
    if text.len() > MOST_REFERENCE { Err(Code::TooLong) } else { plain_text(text).map(str::to_owned) }
}

fn locale(text: &str) -> Result<String, Code> {
    let good = text.len() <= 35 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if good { Ok(text.to_owned()) } else { Err(Code::InvalidField) }
}

fn flag(text: &str) -> Result<bool, Code> {
    match text {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(Code::InvalidField),
    }
}
