//! Gives a program credentials. Of a secret only the hash is kept, of keys the public part, and a name is given once.

use std::fmt;

use kernel::authz::Scope;
use kernel::client::ClientId;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::source::SourceId;
use kernel::time::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;

use super::{Change, sealed};
use crate::entity::client;
use crate::error::{StoreError, from_db};
use crate::query::ClientCredentials;
use crate::statement::join_names;
use crate::unit_of_work::{Conn, Entries};

/// A new client. A name that is taken, by a revoked client too, is [`StoreError::Conflict`].
#[derive(Clone)]
pub struct RegisterClient {
    /// Its name.
    pub client: ClientId,
    /// How it proves itself.
    pub credentials: ClientCredentials,
    /// Whether its tokens must be bound to a key.
    pub bound_tokens: bool,
    /// The recipient it acts as, if any.
    pub recipient: Option<RecipientId>,
    /// The source it speaks for, if any.
    pub source: Option<SourceId>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The purposes it is bound to.
    pub purposes: Vec<Purpose>,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for RegisterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisterClient").field("client", &self.client).finish_non_exhaustive()
    }
}

impl sealed::Sealed for RegisterClient {}

impl Change for RegisterClient {
    type Output = ();
    const NAME: &'static str = "register_client";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let (secret_hash, jwks) = self.credentials.columns();
        let row = client::ActiveModel {
            id: Set(self.client.as_str().to_owned()),
            secret_hash: Set(secret_hash),
            recipient: Set(self.recipient.as_ref().map(|recipient| recipient.as_str().to_owned())),
            source: Set(self.source.as_ref().map(|source| source.as_str().to_owned())),
            scopes: Set(join_names(&self.scopes)),
            purposes: Set(join_names(&self.purposes)),
            created_at: Set(self.at.as_millis()),
            revoked_at: Set(None),
            jwks: Set(jwks),
            generation: Set(1),
            bound_tokens: Set(i16::from(self.bound_tokens)),
        };
        client::Entity::insert(row).exec_without_returning(conn.raw()).await.map_err(from_db)?;
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        let event = LedgerEvent::ClientRegistered { client: self.client.clone() };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
