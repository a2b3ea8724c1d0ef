//! Deliveries: the addresses of a campaign, released at send time to those who may still be written to.
//!
//! Each person is decided anew at this moment (EML-11), addresses that were suppressed are left out whoever holds them
//! now (EML-09), and every delivery comes with its links and with what the message may do: carry a pixel, mark its links.

mod campaign;

pub use campaign::{BlockClass, Campaign, CampaignClass, Slot, StatedSender, StopKind};

use std::collections::BTreeMap;

use kernel::authz::{Authorized, ReadProfiles};
use kernel::capability::Stop;
use kernel::decision::{Ask, Refusal};
use kernel::disclosure::{DisclosureLog, DisclosureRecord, Gathering, PermittedBatch, Reach};
use kernel::id::PullId;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::policy::{ControllerRule, ValidPolicy};
use kernel::purpose::Purpose;
use kernel::recipient::RecipientRole;
use kernel::subject::SubjectId;
use kernel::title::Title;
use store::Store;
use store::change::{RecordCampaign, RecordDisclosures};
use store::query::SubjectRow;

use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;
use crate::profile::{LookupKeys, MAX_LOOKUP, ProfileAsk, ReadyAsk, asked_attributes};

/// The purpose of measuring that a mail was opened (EDPB Guidelines 2/2023).
const OPEN_TRACKING: &str = "email_open_tracking";
/// The purpose of links that tell who followed them.
const LINK_TRACKING: &str = "link_tracking";

/// The deliveries of a campaign. It holds what was permitted and recorded, and nothing else.
#[derive(Debug)]
pub struct Deliveries {
    /// The addresses and merge fields.
    pub batch: PermittedBatch,
    /// Who sends, as every message must say; none of a message that is no marketing.
    pub sender: Option<Sender>,
    /// What a first message says of the right to object, by itself.
    pub objection_notice: Option<Title>,
    extras: BTreeMap<u32, Extras>,
}

/// Who sends (Directive 2002/58 Art. 13(4); 15 USC 7704(a)(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Legal name.
    pub legal_name: String,
    /// Postal address.
    pub postal_address: String,
    /// Where to ask that it stops.
    pub stop_address: String,
}

/// What goes with one delivery. The links are secrets of the person: not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Extras {
    /// The header `List-Unsubscribe` (RFC 2369); none for a message that is no marketing.
    pub list_unsubscribe: Option<String>,
    /// The address of the preference page.
    pub preferences_url: String,
    /// Whether the message may carry a pixel that tells who opened it.
    pub open_tracking: bool,
    /// Whether its links may tell who followed them.
    pub link_tracking: bool,
}

impl std::fmt::Debug for Extras {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extras(..)")
    }
}

impl Deliveries {
    /// What goes with the delivery at a place of the list that was asked for.
    #[must_use]
    pub fn extras(&self, position: u32) -> Option<&Extras> {
        self.extras.get(&position)
    }
}

/// A person whom the campaign reaches.
struct Reached {
    row: SubjectRow,
    position: u32,
    reach: Reach,
}

impl Gateway {
    /// Resolves the addresses of a campaign. Who is unknown, erased, refused, suppressed or without an address is
    /// absent, all alike.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for a recipient that is no sender or outside its contract, [`AppError::Invalid`] for a
    /// campaign that lacks what the law asks of it. Nothing is released then.
    pub async fn resolve_deliveries(
        &self,
        by: &Authorized<ReadProfiles>,
        purpose: Purpose,
        campaign: &Campaign,
        keys: LookupKeys,
    ) -> Result<Deliveries, AppError> {
        let attempt = RefusedAttempt::ResolveDelivery;
        let ready = self.ask(by, ProfileAsk { purpose, attributes: Vec::new() }, attempt).await?;
        if ready.role() != RecipientRole::Sender {
            let client = by.actor().client().map(|client| client.client.clone());
            self.note_refusal(client, attempt, AttemptRefusal::ForeignRecipient).await?;
            return Err(AppError::Forbidden(Fault::at("", Code::NotASender)));
        }
        match keys.len() {
            0 => return Err(AppError::invalid(Fault::at(keys.pointer(), Code::Empty))),
            1..=MAX_LOOKUP => {}
            _ => return Err(AppError::invalid(Fault::at(keys.pointer(), Code::TooMany))),
        }
        let policy = self.policy();
        let rule = policy.purpose(ready.purpose()).ok_or(AppError::Conflict(Code::PolicyChanged))?;
        let controller = policy
            .recipient(ready.recipient())
            .and_then(|recipient| policy.controller(&recipient.controller))
            .ok_or(AppError::Conflict(Code::PolicyChanged))?;
        campaign.check(rule, controller).map_err(AppError::Invalid)?;

        let (reached, refused) = self.reach(&policy, &ready, &keys, rule.direct_marketing).await?;
        let pull = PullId::at(self.now(), &*self.inner.entropy);
        let now = self.now();
        let (outcome, disclosure) = {
            let mut page = Gathering::new(&policy, &self.inner.keyring, ready.inner(), (pull, 0), now);
            for one in &reached {
                page.consider(&one.row.sealed(), one.position);
            }
            for refusal in refused {
                page.refuse(refusal);
            }
            let outcome = page.end_lookup();
            (outcome, page.finish_lookups())
        };
        let log = CampaignLog { store: &self.inner.store, campaign };
        let batch = disclosure.release(&log).await?.pop().ok_or(AppError::Unavailable)?;
        self.inner.counters.disclosed(outcome.persons, &outcome.refused);
        let extras = self.extras(by, (&policy, controller), &ready, campaign, &reached)?;
        let is_first = rule.direct_marketing && campaign.first_contact;
        Ok(Deliveries {
            batch,
            sender: rule.direct_marketing.then(|| sender(controller)).flatten(),
            objection_notice: controller.objection_notice.clone().filter(|_| is_first),
            extras,
        })
    }

    /// Whom the campaign reaches now, and why the others are not reached.
    async fn reach(
        &self,
        policy: &ValidPolicy,
        ready: &ReadyAsk,
        keys: &LookupKeys,
        is_marketing: bool,
    ) -> Result<(Vec<Reached>, Vec<Refusal>), AppError> {
        let subjects = self.subjects_of(ready, keys).await?;
        let rows = self.inner.store.rows_by_ids(&subjects.keys().copied().collect::<Vec<_>>()).await?;
        let now = self.now();
        let mut refused = vec![Refusal::NotFound; keys.len().saturating_sub(rows.len())];
        let mut reached = Vec::with_capacity(rows.len());
        for row in rows {
            let position = subjects.get(&row.id).copied().unwrap_or_default();
            match Reach::of(policy, &self.inner.keyring, ready.inner(), &row.sealed(), now) {
                Ok(reach) => reached.push(Reached { row, position, reach }),
                Err(refusal) => refused.push(refusal),
            }
        }
        // An order is confirmed even to somebody who wants no marketing.
        if is_marketing {
            let marks: Vec<_> = reached.iter().flat_map(|one| one.reach.marks()).copied().collect();
            let suppressed: BTreeMap<_, _> = self
                .inner
                .store
                .suppressions(&marks)
                .await?
                .into_iter()
                .map(|suppression| (suppression.fingerprint, suppression.since))
                .collect();
            let before = reached.len();
            reached.retain(|one| {
                let mut since = one.reach.marks().iter().filter_map(|mark| suppressed.get(mark));
                !since.any(|since| one.reach.is_barred_since(*since))
            });
            refused.extend(std::iter::repeat_n(Refusal::Objected, before - reached.len()));
        }
        Ok((reached, refused))
    }

    fn extras(
        &self,
        by: &Authorized<ReadProfiles>,
        (policy, controller): (&ValidPolicy, &ControllerRule),
        ready: &ReadyAsk,
        campaign: &Campaign,
        reached: &[Reached],
    ) -> Result<BTreeMap<u32, Extras>, AppError> {
        let ask = |purpose| tracking_ask(by, policy, ready, purpose);
        let (opens, links) = (ask(OPEN_TRACKING), ask(LINK_TRACKING));
        let permits =
            |one: &Reached, ask: &Option<Ask>| ask.as_ref().is_some_and(|ask| one.reach.also_permits(policy, ask));
        let stop = match campaign.stop {
            StopKind::List => Stop::List(ready.purpose().clone()),
            StopKind::AllMarketing => Stop::Marketing,
        };
        let is_marketing = campaign.class == CampaignClass::Marketing;
        reached
            .iter()
            .map(|one| {
                let unsubscribe = is_marketing
                    .then(|| self.list_unsubscribe(one.row.id, &stop, controller.stop_address.as_deref()));
                let extras = Extras {
                    list_unsubscribe: unsubscribe.transpose()?,
                    preferences_url: self.preferences_url(one.row.id)?,
                    open_tracking: permits(one, &opens),
                    link_tracking: permits(one, &links),
                };
                Ok((one.position, extras))
            })
            .collect()
    }

    /// `<https://…>, <mailto:…>`: one address to post to, one to write to (RFC 2369 §3.2, RFC 8058 §3.1). The token in the
    /// subject tells a reply's list.
    fn list_unsubscribe(
        &self,
        subject: SubjectId,
        stop: &Stop,
        stop_address: Option<&str>,
    ) -> Result<String, AppError> {
        let token = self.inner.keyring.unsubscribe_token(subject, stop, self.now()).map_err(AppError::internal)?;
        let base = &self.settings().issuer;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@._-".contains(&byte);
        let mailto = stop_address
            .filter(|address| address.bytes().all(plain))
            .map(|address| format!(", <mailto:{address}?subject=unsubscribe%20{token}>"));
        Ok(format!("<{base}/unsubscribe/{token}>{}", mailto.unwrap_or_default()))
    }

    fn preferences_url(&self, subject: SubjectId) -> Result<String, AppError> {
        let token = self.inner.keyring.preference_token(subject, self.now()).map_err(AppError::internal)?;
        Ok(format!("{}/preferences/{token}", self.settings().issuer))
    }
}

/// Asks for a tracking purpose, if the policy has it, the contract binds the sender to it and the token covers it.
/// Otherwise nothing is tracked.
fn tracking_ask(
    by: &Authorized<ReadProfiles>,
    policy: &ValidPolicy,
    ready: &ReadyAsk,
    purpose: &str,
) -> Option<Ask> {
    let purpose: Purpose = purpose.parse().ok()?;
    by.actor().client().filter(|client| client.purposes.contains(&purpose))?;
    let recipient = policy.recipient(ready.recipient()).filter(|rule| rule.purposes.contains(&purpose))?;
    let attributes = asked_attributes(policy, recipient, Vec::new(), &purpose).ok()?;
    Some(Ask::new(policy, recipient.id.clone(), purpose, attributes))
}

fn sender(controller: &ControllerRule) -> Option<Sender> {
    Some(Sender {
        legal_name: controller.name.clone(),
        postal_address: controller.address.clone(),
        stop_address: controller.stop_address.clone()?,
    })
}

/// Records the disclosure together with the campaign it is for.
struct CampaignLog<'a> {
    store: &'a Store,
    campaign: &'a Campaign,
}

impl DisclosureLog for CampaignLog<'_> {
    type Error = AppError;

    async fn record(&self, record: DisclosureRecord) -> Result<(), AppError> {
        let campaign = RecordCampaign {
            pull: record.pull,
            campaign: self.campaign.id.clone(),
            first_contact: self.campaign.first_contact,
            at: record.at,
        };
        self.store.perform(&(RecordDisclosures { disclosures: vec![record] }, campaign)).await?;
        Ok(())
    }
}
