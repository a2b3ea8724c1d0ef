//! Reading who may call.

use std::fmt;

use kernel::authn::ClientKeys;
use kernel::authz::Scope;
use kernel::client::ClientId;
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::source::SourceId;
use kernel::time::Timestamp;
use sea_orm::{EntityTrait as _, QueryOrder as _};

use crate::Store;
use crate::entity::client::{Column, Entity, Model};
use crate::error::{StoreError, from_db};
use crate::statement::{name, names};

/// How a client proves itself.
#[derive(Clone, PartialEq, Eq)]
pub enum ClientCredentials {
    /// With a secret, of which this is the hash in PHC form.
    Secret(String),
    /// With the private part of one of these keys.
    Keys(ClientKeys),
}

impl ClientCredentials {
    /// The two columns: hash and keys.
    pub(crate) fn columns(&self) -> (String, Option<String>) {
        match self {
            Self::Secret(hash) => (hash.clone(), None),
            Self::Keys(keys) => (String::new(), Some(keys.as_json().to_owned())),
        }
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret(..)",
            Self::Keys(_) => "Keys(..)",
        })
    }
}

/// A client.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientRow {
    /// Its name.
    pub id: ClientId,
    /// How it proves itself.
    pub credentials: ClientCredentials,
    /// Which of its credentials these are, counted from 1.
    pub generation: u32,
    /// Whether its tokens must be bound to a key (RFC 9449 §5.2).
    pub bound_tokens: bool,
    /// The recipient it acts as, if any.
    pub recipient: Option<RecipientId>,
    /// The source it speaks for, if any.
    pub source: Option<SourceId>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The purposes it is bound to.
    pub purposes: Vec<Purpose>,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when, if it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl fmt::Debug for ClientRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRow").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Store {
    /// A client by its name, revoked ones included.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn client(&self, id: &ClientId) -> Result<Option<ClientRow>, StoreError> {
        let model = Entity::find_by_id(id.as_str()).one(self.db()).await.map_err(from_db)?;
        model.map(read).transpose()
    }

    /// Every client, by name, revoked ones included.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn clients(&self) -> Result<Vec<ClientRow>, StoreError> {
        let models = Entity::find().order_by_asc(Column::Id).all(self.db()).await.map_err(from_db)?;
        models.into_iter().map(read).collect()
    }
}

fn read(model: Model) -> Result<ClientRow, StoreError> {
    let scopes =
        model.scopes.split_ascii_whitespace().map(|scope| Scope::parse(scope).ok_or(StoreError::Tampered));
    Ok(ClientRow {
        id: name(&model.id)?,
        scopes: scopes.collect::<Result<_, _>>()?,
        purposes: names(&model.purposes)?,
        recipient: model.recipient.as_deref().map(name).transpose()?,
        source: model.source.as_deref().map(name).transpose()?,
        credentials: match model.jwks {
            None => ClientCredentials::Secret(model.secret_hash),
            Some(keys) => ClientCredentials::Keys(ClientKeys::from_json(&keys).map_err(|_| StoreError::Tampered)?),
        },
        generation: model.generation.try_into().map_err(|_| StoreError::Tampered)?,
        bound_tokens: model.bound_tokens != 0,
        created_at: Timestamp::from_millis(model.created_at),
        revoked_at: model.revoked_at.map(Timestamp::from_millis),
    })
}
