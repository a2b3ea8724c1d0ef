//! Restriction of the processing (GDPR Art. 18): stored and nothing else, until it is lifted. What the person consented to
//! stays as it is, and counts again afterwards.

use std::collections::BTreeSet;

use kernel::consent::RestrictionGround;
use kernel::id::{ReceiptId, SubjectId};
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;
use store::StoreError;
use store::change::{CompleteRightsRequest, RestrictSubject, RightsOutcome};

use super::{Opening, RightsRequestView};
use crate::error::{AppError, Code};
use crate::gateway::Gateway;

impl Gateway {
    /// Whether a restriction may end now: there is one, and the person was told before (GDPR Art. 18(3)).
    pub(super) async fn may_lift(
        &self,
        opening: &Opening,
        informed_at: Option<Timestamp>,
    ) -> Result<(), AppError> {
        let Some(subject) = opening.held else { return Ok(()) };
        let Some(row) = self.inner.store.rows_by_ids(&[subject]).await?.pop() else { return Ok(()) };
        let sealed = row.sealed();
        let key =
            self.inner.keyring.unwrap_key(sealed.id, sealed.wrapped_key).map_err(|_| StoreError::Tampered)?;
        let standing = key.open_standing(sealed.standing).map_err(|_| StoreError::Tampered)?;
        let Some(since) = standing.restricted_at() else { return Err(AppError::Conflict(Code::NotRestricted)) };
        // What was said before the restriction began was not said of its end.
        match informed_at {
            Some(at) if since < at && at < opening.now => Ok(()),
            _ => Err(AppError::Conflict(Code::PersonNotInformed)),
        }
    }

    /// Who received data of a person, for which purpose.
    async fn recipients_of(&self, subject: SubjectId) -> Result<Vec<(Purpose, RecipientId)>, StoreError> {
        let Some(row) = self.inner.store.rows_by_ids(&[subject]).await?.pop() else { return Ok(Vec::new()) };
        let disclosures = self.disclosures_of(row.ordinal).await?;
        let told: BTreeSet<_> = disclosures.into_iter().map(|row| (row.purpose, row.recipient)).collect();
        Ok(told.into_iter().collect())
    }

    /// Restricts on a ground, or lifts.
    pub(super) async fn restrict(
        &self,
        opening: &Opening,
        ground: Option<RestrictionGround>,
    ) -> Result<RightsRequestView, StoreError> {
        let Some(subject) = opening.held else { return self.hold_nothing(opening).await };
        let restrict = RestrictSubject {
            subject,
            told: self.recipients_of(subject).await?,
            lifted: ground.is_none(),
            receipt: ReceiptId::generate(&*self.inner.entropy),
            keyring: std::sync::Arc::clone(&self.inner.keyring),
            entropy: std::sync::Arc::clone(&self.inner.entropy),
            at: opening.now,
        };
        let outcome = ground.map_or(RightsOutcome::RestrictionLifted, RightsOutcome::Restricted);
        let complete = CompleteRightsRequest { id: opening.id, outcome, at: opening.now };
        self.carry_out(opening, opening.change(), (restrict, complete)).await?;
        let name = if ground.is_some() { "restricted" } else { "lifted" };
        Ok(RightsRequestView { ground, ..opening.view(name, None) })
    }
}
