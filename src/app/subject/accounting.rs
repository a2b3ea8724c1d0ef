//! Accounting for disclosures: who received what of a person, for what, when, under which consent and policy (GDPR
//! Arts. 5(2), 15(1)(c); C-154/21, C-579/21). A disclosure of a million persons is one row with one bit a person; what
//! holds for this person in it is told from the person's own history when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::consent::Standing;
use kernel::policy::{PolicyVersion, ValidPolicy};
use serde_json::{Value as Json, json};
use store::query::DisclosureRow;

use super::History;
use crate::error::AppError;
use crate::gateway::Gateway;

/// The most policies of the past that one page of the list compiles.
const MOST_POLICIES: usize = 16;

impl Gateway {
    /// What a person's disclosures were, each under the policy that decided it and the consent that stood then.
    pub(super) async fn account_for(
        &self,
        history: &History,
        disclosures: &[DisclosureRow],
    ) -> Result<Vec<Json>, AppError> {
        let policies = self.policies_of(disclosures).await?;
        Ok(disclosures.iter().map(|disclosure| self.account(history, disclosure, &policies)).collect())
    }

    fn account(
        &self,
        history: &History,
        disclosure: &DisclosureRow,
        policies: &BTreeMap<PolicyVersion, Arc<ValidPolicy>>,
    ) -> Json {
        let policy = policies.get(&disclosure.policy);
        let rule = policy.and_then(|policy| policy.recipient(&disclosure.recipient));
        let organisation = policy.zip(rule).and_then(|(policy, rule)| {
            policy
                .controllers()
                .find(|(id, _)| **id == rule.controller)
                .map(|(_, controller)| controller.name.as_str())
        });
        let pseudonym = rule.map(|rule| {
            let of = &self.inner.keyring;
            of.pseudonymiser(&disclosure.recipient, &disclosure.purpose, rule.epochs.at(disclosure.at))
                .of(history.row.id)
                .to_string()
        });
        json!({
            "at": disclosure.at,
            "pull": disclosure.pull,
            "recipient": disclosure.recipient,
            "name": rule.map(|rule| rule.name.as_str()),
            "organisation": organisation,
            "purpose": disclosure.purpose,
            "attributes": disclosure.attributes,
            "policy": disclosure.policy,
            "pseudonym": pseudonym,
            "consent": consent_of_then(history, disclosure),
        })
    }

    /// The policies that decided, compiled again from what was stored of them. One that cannot be is not in the answer.
    async fn policies_of(
        &self,
        disclosures: &[DisclosureRow],
    ) -> Result<BTreeMap<PolicyVersion, Arc<ValidPolicy>>, AppError> {
        let mut policies = BTreeMap::new();
        for disclosure in disclosures {
            if policies.len() < MOST_POLICIES && !policies.contains_key(&disclosure.policy) {
                let policy = self.policy_of_version(disclosure.policy).await?;
                policies.extend(policy.map(|policy| (disclosure.policy, policy)));
            }
        }
        Ok(policies)
    }
}

/// The grant that stood when the data left; null where the purpose rested on something else.
fn consent_of_then(history: &History, disclosure: &DisclosureRow) -> Json {
    let known =
        history.entries.iter().map(|(_, event, _)| event).filter(|event| event.received_at <= disclosure.at);
    let standing = Standing::fold(history.row.id, known);
    let Some(given) = standing.effective(&disclosure.purpose) else { return Json::Null };
    let receipt = history
        .entries
        .iter()
        .find(|(_, event, _)| event.sequence == given.sequence)
        .map(|(receipt, ..)| *receipt);
    json!({
        "event": given.sequence,
        "receipt": receipt,
        "captured_at": given.captured_at,
        "notice": given.grant.notice,
        "version": given.grant.purpose_version,
    })
}
