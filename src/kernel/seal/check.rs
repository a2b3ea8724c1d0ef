//! Whether a record is whole: every value is opened and forgotten, and a number is all that comes of it.

use super::key::{OpenError, SubjectKey};
use super::record::SealedRecord;

impl SubjectKey {
    /// Opens every value of a record, hands none over, and tells how many there are.
    ///
    /// # Errors
    /// When the record is not whole, or a value does not open.
    pub fn check_record(&self, record: &[u8]) -> Result<u64, OpenError> {
        let mut values = 0;
        for entry in SealedRecord::new(record).entries() {
            self.open_value(&entry?).map(drop)?;
            values += 1;
        }
        Ok(values)
    }
}
