//! Reading what was shown.

use kernel::notice::{NoticeDigest, NoticeId};
use sea_orm::EntityTrait as _;

use crate::Store;
use crate::entity::notice::Entity;
use crate::error::{StoreError, from_db};
use crate::statement::{exactly, name};

/// A notice in one version and locale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNotice {
    /// The digest of its text and locale.
    pub digest: NoticeDigest,
    /// Its name.
    pub id: NoticeId,
    /// Its version, from 1.
    pub version: u16,
    /// BCP 47 language tag.
    pub locale: String,
    /// The exact text.
    pub text: String,
}

impl Store {
    /// The notice with this digest. One whose text is not what the digest says is [`StoreError::Tampered`].
    ///
    /// # Errors
    /// Those of the database.
    pub async fn notice(&self, digest: &NoticeDigest) -> Result<Option<StoredNotice>, StoreError> {
        let key = digest.as_bytes().to_vec();
        let Some(model) = Entity::find_by_id(key).one(self.db()).await.map_err(from_db)? else {
            return Ok(None);
        };
        let notice = StoredNotice {
            digest: NoticeDigest::from_bytes(exactly(model.digest)?),
            id: name(&model.notice_id)?,
            version: model.version.try_into().map_err(|_| StoreError::Tampered)?,
            locale: model.locale,
            text: model.text,
        };
        if NoticeDigest::of(&notice.locale, &notice.text) == *digest {
            Ok(Some(notice))
        } else {
            Err(StoreError::Tampered)
        }
    }
}
