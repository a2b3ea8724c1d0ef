//! Whether a message may reach a person: decided as every disclosure is, and checked against the suppressed addresses
//! before anything is gathered. The address itself stays sealed; only its keyed marks come out.

use crate::attribute::{AttributeType, ServedForm, Value};
use crate::consent::{Assurance, Standing};
use crate::decision::{Ask, Decision, Permit, Refusal, decide};
use crate::identifier::{Identifier, SuppressionFingerprint};
use crate::policy::ValidPolicy;
use crate::seal::{Keyring, OpenError, SealedRecord, SealedSubject, SubjectKey};
use crate::time::Timestamp;

/// A person whom a message may reach, unless the address is suppressed.
pub struct Reach {
    standing: Standing,
    marks: Vec<SuppressionFingerprint>,
    agreed_at: Option<Timestamp>,
    now: Timestamp,
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reach(..)")
    }
}

impl Reach {
    /// Decides about one stored person and marks the address that the ask would release.
    ///
    /// # Errors
    /// Why the person is not reached: refused, unreadable, or without an address that may still be used.
    pub fn of(
        policy: &ValidPolicy,
        keyring: &Keyring,
        ask: &Ask,
        sealed: &SealedSubject<'_>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let unreadable = |_: OpenError| Refusal::Unreadable;
        let key = keyring.unwrap_key(sealed.id, sealed.wrapped_key).map_err(unreadable)?;
        let standing = key.open_standing(sealed.standing).map_err(unreadable)?;
        let permit = match decide(policy, &standing, ask, now) {
            Decision::Permit(permit) => permit,
            Decision::Refuse(refusal) => return Err(refusal),
        };
        let agreed = standing.effective(ask.purpose()).filter(|grant| grant.assurance() != Assurance::Imported);
        let agreed_at = agreed.map(|grant| grant.captured_at);
        let one_mailbox = policy.suppresses_plus_tags();
        let addresses = addresses(policy, permit, &key, sealed).map_err(unreadable)?;
        let marks: Vec<_> =
            addresses.iter().flat_map(|address| keyring.suppression_marks(address, one_mailbox)).collect();
        if marks.is_empty() {
            return Err(Refusal::NotFound);
        }
        Ok(Self { standing, marks, agreed_at, now })
    }

    /// Under which marks the address would be suppressed.
    #[must_use]
    pub fn marks(&self) -> &[SuppressionFingerprint] {
        &self.marks
    }

    /// Whether a suppression since then stands in the way. The person's own later yes is not undone by it.
    #[must_use]
    pub fn is_barred_since(&self, since: Timestamp) -> bool {
        self.agreed_at.is_none_or(|agreed| agreed <= since)
    }

    /// Whether something else is permitted for the same person at the same instant: to open a pixel, to mark a link.
    #[must_use]
    pub fn also_permits(&self, policy: &ValidPolicy, ask: &Ask) -> bool {
        matches!(decide(policy, &self.standing, ask, self.now), Decision::Permit(_))
    }
}

/// Uses up the permit: opens the addresses that it names and nothing else.
fn addresses(
    policy: &ValidPolicy,
    permit: Permit,
    key: &SubjectKey,
    sealed: &SealedSubject<'_>,
) -> Result<Vec<Identifier>, OpenError> {
    let mut addresses = Vec::new();
    for entry in SealedRecord::new(sealed.record).entries() {
        let entry = entry?;
        let rule = permit
            .attributes()
            .find(|name| name.as_str() == entry.name())
            .and_then(|name| policy.attribute(name))
            .filter(|rule| {
                rule.stored == Some(AttributeType::Email)
                    && rule.served == Some(ServedForm::Plain)
                    && !rule.retention.are_over(entry.observed_at(), permit.now)
            });
        if rule.is_some()
            && let Value::Text(text) = key.open_value(&entry)?
            && let Ok(address) = Identifier::email(&text)
        {
            addresses.push(address);
        }
    }
    Ok(addresses)
}
