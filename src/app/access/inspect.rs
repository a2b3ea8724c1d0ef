//! Asking about a token (RFC 7662) and taking one back (RFC 7009). A client sees its own; who may introspect sees all; for
//! everybody else a token of another client is none.

use kernel::authn::TokenClaims;
use kernel::authz::{Actor, Authorized, ClientActor, IntrospectTokens};
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use store::change::RevokeToken;
use store::query::ClientRow;

use super::{AuthenticateError, ClientProof, TokenDenial};
use crate::denied::Author;
use crate::gateway::Gateway;

impl Gateway {
    /// What an active token says, for a client that proves itself and may know; `None`: not active, or not to be known.
    ///
    /// # Errors
    /// See [`TokenDenial`].
    pub async fn introspect(&self, proof: &ClientProof, token: &str) -> Result<Option<TokenClaims>, TokenDenial> {
        let row = self.prove_client(proof, RefusedAttempt::InspectToken).await?;
        let live =
            self.live_token(token, self.now()).await.map_err(|_: AuthenticateError| TokenDenial::Unavailable)?;
        let Some((claims, _)) = live else { return Ok(None) };
        if claims.client == row.id || may_introspect(&row) {
            return Ok(Some(claims));
        }
        let reason = AttemptRefusal::InsufficientScope;
        self.note_denied_by(Author::client(Some(row.id)), RefusedAttempt::InspectToken, reason).await;
        Ok(None)
    }

    /// Takes a client's own token back. One that is not good any more, or never was, needs nothing.
    ///
    /// # Errors
    /// [`TokenDenial::NotYours`] for a good token of another client; see [`TokenDenial`].
    pub async fn revoke_token(&self, proof: &ClientProof, token: &str) -> Result<(), TokenDenial> {
        let row = self.prove_client(proof, RefusedAttempt::InspectToken).await?;
        let settings = self.settings();
        let at = self.now();
        let Ok(claims) = self.signers().tokens.verify(token, at, &settings.issuer, &settings.audience) else {
            return Ok(());
        };
        if claims.client != row.id {
            let reason = AttemptRefusal::InsufficientScope;
            self.note_denied_by(Author::client(Some(row.id)), RefusedAttempt::InspectToken, reason).await;
            return Err(TokenDenial::NotYours);
        }
        let change = RevokeToken { token: claims.id, client: row.id, expires_at: claims.expires_at, at };
        self.inner.store.perform(&change).await.map_err(|_| TokenDenial::Unavailable)?;
        Ok(())
    }
}

/// Whether a client's registration lets it ask about everybody's tokens.
fn may_introspect(row: &ClientRow) -> bool {
    let actor = Actor::Client(ClientActor {
        client: row.id.clone(),
        scopes: row.scopes.clone(),
        recipient: row.recipient.clone(),
        source: row.source.clone(),
        purposes: Vec::new(),
    });
    Authorized::<IntrospectTokens>::prove(actor).is_ok()
}
