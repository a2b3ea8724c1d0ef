//! One showing of a plain form. A browser may send a form again, days later and without being asked: what was taken back
//! meanwhile must not come back by that (GDPR Art. 7(3)). A page with script has its own time of capture and its own
//! idempotency key; a plain page gets a key with its form.

use kernel::id::hex;
use kernel::time::Timestamp;

use super::plan::{CLOCK_SKEW_MS, IDEMPOTENCY_MS};
use super::{AppError, Code, Gateway, Idempotency};
use crate::error::Fault;

/// Whose keys these are. No client has a name with a space.
const SCOPE: &str = "one showing";

impl Gateway {
    /// A key for one showing of a form: when, and at random.
    #[must_use]
    pub fn showing(&self) -> String {
        format!("{}-{}", self.now().as_millis(), hex(&self.inner.entropy.bytes_16()))
    }

    /// How a form is recognised that was sent before from the same showing, with the same content. With another content
    /// it is another act: somebody went back and corrected it.
    ///
    /// # Errors
    /// When it is no such key, or so old that a repetition would not be recognised any more.
    pub fn once(&self, showing: &str, content: [u8; 32]) -> Result<Idempotency, AppError> {
        let fault = |code| AppError::invalid(Fault::at("/showing", code));
        let (at, random) = showing.split_once('-').ok_or_else(|| fault(Code::InvalidField))?;
        let is_random = random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let at = at.parse().ok().filter(|_| is_random && at.bytes().all(|byte| byte.is_ascii_digit()));
        let at = Timestamp::from_millis(at.ok_or_else(|| fault(Code::InvalidField))?);
        match self.now().since_ms(at) {
            ..0 if at > self.now().plus_ms(CLOCK_SKEW_MS) => Err(fault(Code::InvalidField)),
            IDEMPOTENCY_MS.. => Err(fault(Code::FormStale)),
            _ => Ok(Idempotency {
                scope: SCOPE.to_owned(),
                key: format!("{showing}.{}", hex(&content)),
                request: content,
            }),
        }
    }
}
